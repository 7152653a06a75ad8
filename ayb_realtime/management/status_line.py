"""The line at the bottom of a terminal that ``runrealtime`` keeps up to date; log lines scroll by above it."""

import asyncio
import logging
import shutil
import time
from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn, Protocol

import psycopg

from ayb_realtime.hub.registry import hubs
from ayb_realtime.postgres import database
from ayb_realtime.relay import leadership
from ayb_realtime.relay.leadership import Status
from ayb_realtime.relay.relay import Relay

SHOW_SECONDS = 1.0
# Clears the line that the cursor is in. Sources: ECMA-48, CR and EL.
CLEAR = "\r\x1b[K"


class Terminal(Protocol):
    """Where the line is shown."""

    def write(self, text: str, *, ending: str) -> object:
        """Write text, and after it an ending."""

    def flush(self) -> object:
        """Write now."""


class StatusLine:
    """Shows what the database's relays do, whichever process leads, and the streams of this process.

    alias: of the log's database, which is asked each second on a connection of its own.
    serves: whether this process has streams.
    """

    def __init__(self, terminal: Terminal, relay: Relay, alias: str, *, serves: bool) -> None:
        self._terminal = terminal
        self._relay = relay
        self._alias = alias
        self._serves = serves
        self._before: tuple[float, int] | None = None

    async def run_relay(self) -> None:
        """Run the relay with the line below its messages. Raises what the relay raises."""
        showing = asyncio.create_task(self._show())
        # A site's own handlers may write to the terminal, too.
        make_record = logging.getLogRecordFactory()
        logging.setLogRecordFactory(partial(self._clear_and_make, make_record))
        try:
            await self._relay.run()
        finally:
            logging.setLogRecordFactory(make_record)
            showing.cancel()
            self._write("")

    def text(self, status: Status, now: float) -> str:
        """Return the line. now: in seconds of the monotonic clock."""
        state = "stands by" if status.has_leader else "no relay leads"
        parts = ["leads" if self._relay.leads.is_set() else state]
        if self._before is not None:
            then, head = self._before
            parts.append(f"{max(0, status.head - head) / (now - then):,.0f} changes/s")
        parts += [f"position {status.head:,}", f"{status.waiting:,} waiting"]
        if self._serves:
            parts.append(f"{sum(len(hub.open_streams()) for hub in hubs()):,} streams")
        self._before = now, status.head
        return " | ".join(parts)

    def _clear_and_make(self, make: Callable[..., logging.LogRecord], *args: Any, **kwargs: Any) -> logging.LogRecord:
        self._write("")
        return make(*args, **kwargs)

    async def _show(self) -> NoReturn:
        while True:
            try:
                async with await database.connect(self._alias) as connection:
                    while True:
                        self._write(self.text(await leadership.status(connection), time.monotonic()))
                        await asyncio.sleep(SHOW_SECONDS)
            except (psycopg.Error, OSError):
                self._before = None
                self._write("the database does not answer")
            await asyncio.sleep(SHOW_SECONDS)

    def _write(self, line: str) -> None:
        # A line that is wrapped could not be cleared. The cursor goes back before it, where the next message begins.
        self._terminal.write(f"{CLEAR}{line[: shutil.get_terminal_size().columns - 1]}", ending="\r")
        self._terminal.flush()
