"""The writers: ``python -m tests.chaos.writers CONFIG``, threads that write until SIGTERM and record what committed.

CONFIG is JSON: ``database_url``, ``history`` (a file to append to), ``teams``, ``seed``, ``threads``, ``per_second``.
"""

import json
import math
import random
import signal
import sys
import threading
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, TextIO

import psycopg

from tests.chaos.history import Membership, Transaction, Write
from tests.chaos.shapes import Rows, choose

RECONNECT_SECONDS = 0.2
SESSION = "-c lock_timeout=3s -c statement_timeout=10s"


class History:
    """The file of transactions; any thread may append."""

    def __init__(self, path: Path) -> None:
        self._file: TextIO = path.open("a", buffering=1)
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def append(self, transaction: Transaction) -> None:
        """Append a transaction."""
        with self._lock:
            self._file.write(transaction.to_line())


class Session:
    """One writer's connection and its current transaction."""

    def __init__(self, database_url: str, history: History, name: str) -> None:
        self._history = history
        self._name = name
        self._number = 0
        self._transaction = 0
        self.connection = psycopg.connect(database_url, options=SESSION, application_name=f"writer-{name}")
        self.writes: list[Write] = []
        self.memberships: list[Membership] = []

    def token(self) -> str:
        """Return a token that has not been used."""
        self._number += 1
        return f"{self._name}-{self._number}"

    def commit(self) -> None:
        """Commit and record it; if no answer comes, as unknown."""
        self._transaction += 1
        name = f"{self._name}/{self._transaction}"
        self.connection.execute("insert into chaos_transaction values (%s)", [name])
        writes, memberships = tuple(self.writes), tuple(self.memberships)
        started, finished = time.monotonic(), math.inf
        try:
            self.connection.commit()
            finished = time.monotonic()
        finally:
            self._history.append(Transaction(name, started, finished, writes, memberships))
            self._forget()

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    def roll_back(self) -> None:
        """Roll the transaction back. Raises psycopg.OperationalError if the connection is lost."""
        self._forget()
        self.connection.rollback()

    def _forget(self) -> None:
        self.writes, self.memberships = [], []


class Writer(threading.Thread):
    """Writes transactions of every shape at a given rate until it is stopped."""

    def __init__(
        self, config: dict[str, Any], number: int, rows: Rows, history: History, stop: threading.Event
    ) -> None:
        super().__init__(name=f"writer {number}")
        self._config = config
        self._number = number
        self._rows = rows
        self._history = history
        self._stop_event = stop
        self._chance = random.Random(f"{config['seed']} {number}")

    def run(self) -> None:
        """Write; if the connection is lost, open a new one."""
        life = 0
        while not self._stop_event.is_set():
            life += 1
            with suppress(psycopg.OperationalError):
                session = Session(self._config["database_url"], self._history, f"w{self._number}.{life}")
                with session.connection:
                    self._write(session)
            self._stop_event.wait(RECONNECT_SECONDS)

    def _write(self, session: Session) -> None:
        pause = self._config["threads"] / self._config["per_second"]
        while not self._stop_event.is_set():
            before = time.monotonic()
            written = 0
            try:
                shape = choose(self._chance)
                written = shape(session, self._rows, self._chance, self._stop_event)
            except psycopg.Error:
                if session.connection.broken or session.connection.closed:
                    raise psycopg.OperationalError("the connection is lost") from None
                session.roll_back()  # a deadlock, or a row of a transaction that takes long
            self._stop_event.wait(max(0.0, before + max(1, written) * pause - time.monotonic()))


def main() -> None:
    """Write until SIGTERM, then finish the open transactions."""
    config = json.loads(Path(sys.argv[1]).read_text())
    rows = Rows(config["teams"])
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    with closing(History(Path(config["history"]))) as history:
        writers = [Writer(config, number, rows, history, stop) for number in range(config["threads"])]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()


if __name__ == "__main__":
    main()
