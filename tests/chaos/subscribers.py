"""The streams: ``python -m tests.chaos.subscribers CONFIG``, clients that come, go and resume.

Each writes what it receives to its own file, and ends when it has received the markers. All end on SIGTERM.

CONFIG is JSON: ``addresses`` (of the web processes), ``accounts``, ``streams`` (each with ``account``, ``history``,
``begins_after`` in seconds, ``stays`` if it never leaves by itself, ``parameters`` of its URL, ``reloads`` if it
sometimes begins from nothing), ``marker``, ``seed``.
"""

import asyncio
import json
import random
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import httpx

from example_project.blog.demo import PASSWORD
from tests.chaos.history import Event, split_text

# A stream sends a heartbeat at least every 15 seconds.
TIMEOUTS = httpx.Timeout(connect=3, read=20, write=5, pool=5)
LOGIN_SECONDS = 60
RETRY_SECONDS = 0.3
# How long a client stays connected, and away, on average.
STAYS_SECONDS = 8.0
AWAY_SECONDS = 0.3
LONG_ABSENCE_SECONDS = 4.0
# How often a page that leaves forgets its rows and its position.
RELOADS = 0.5


class Parser:
    """Reads server-sent events from chunks. An incomplete event waits for the next chunk."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> Iterator[dict[str, str]]:
        """Yield the fields of each event that is complete now."""
        *blocks, self._rest = (self._rest + chunk).split(b"\n\n")
        for block in blocks:
            lines = (line.partition(":") for line in block.decode().split("\n"))
            fields = {name: value.removeprefix(" ") for name, _, value in lines if name}
            if "data" in fields:
                yield fields


def events_from(fields: dict[str, str]) -> Iterator[Event]:
    """Make an event from its fields, as received now; from a piece of a snapshot one for each row."""
    at, number, kind = time.monotonic(), int(fields.get("id") or 0), fields.get("event", "change")
    if kind not in ("change", "snapshot"):
        yield Event(at, number, kind)
        return
    data = json.loads(fields["data"])
    action, table = data.get("action", ""), data["table"]
    for record in data["records"] if kind == "snapshot" else [data["record"]]:
        text = record.get("title" if table == "posts" else "body", "")
        token, version = split_text(text) if action != "delete" else ("", 0)
        yield Event(at, number, "row" if kind == "snapshot" else kind, action, table, record["id"], token, version)


def open_history(path: str) -> TextIO:
    """Open a file of events. Lines are not buffered, so none is missing if the process is killed."""
    return Path(path).open("a", buffering=1)


class Tokens:
    """Each account's token, shared by its streams: checking a password is slow, and they all connect at once."""

    def __init__(self) -> None:
        self._tokens: dict[str, str] = {}
        self._lock = asyncio.Lock()

    async def get(self, http: httpx.AsyncClient, address: str, account: str) -> str:
        """Return the account's token; log in if it has none. Raises httpx.HTTPError."""
        async with self._lock:
            if account not in self._tokens:
                credentials = {"email": account, "password": PASSWORD}
                answer = await http.post(f"{address}/api/auth/login", json=credentials, timeout=LOGIN_SECONDS)
                self._tokens[account] = answer.raise_for_status().json()["token"]
            return self._tokens[account]

    def forget(self, account: str) -> None:
        """Log in again for the next stream."""
        self._tokens.pop(account, None)


class Client:
    """One account's stream, over one or more connections."""

    def __init__(self, config: dict[str, Any], stream: dict[str, Any], number: int, tokens: Tokens) -> None:
        self._config = config
        self._tokens = tokens
        self._stream = stream
        self._chance = random.Random(f"{config['seed']} {number}")
        self._last_id: int | None = None
        self._markers: set[tuple[str, str]] = set()
        self._deleted_marker = False

    async def run(self, http: httpx.AsyncClient) -> None:
        """Stream until the markers have arrived."""
        await asyncio.sleep(self._stream["begins_after"])
        with open_history(self._stream["history"]) as history:
            comes_by_itself = True
            while not self._has_markers():
                if comes_by_itself:
                    history.write(Event(time.monotonic(), 0, "connecting").to_line())
                pause, comes_by_itself = RETRY_SECONDS, False
                address = self._chance.choice(self._config["addresses"])
                try:
                    token = await self._tokens.get(http, address, self._stream["account"])
                    async with asyncio.timeout(self._stay()):
                        await self._connect(http, history, address, token)
                except TimeoutError:
                    comes_by_itself = True
                    if self._stream.get("reloads") and self._chance.random() < RELOADS:
                        self._last_id = None
                        history.write(Event(time.monotonic(), 0, "reload").to_line())
                    pause = LONG_ABSENCE_SECONDS if self._chance.random() < 0.1 else AWAY_SECONDS
                except httpx.HTTPError:
                    pass  # Refused, reset, or silent for too long: try again, perhaps at the other process.
                if not self._has_markers():
                    await asyncio.sleep(self._chance.uniform(0, 2) * pause)

    def _stay(self) -> float | None:
        return None if self._stream.get("stays") else self._chance.expovariate(1 / STAYS_SECONDS) + 0.5

    async def _connect(self, http: httpx.AsyncClient, history: TextIO, address: str, token: str) -> None:
        headers = {"Authorization": f"Bearer {token}"}
        if self._last_id is not None:
            headers["Last-Event-ID"] = str(self._last_id)
        parameters = {"tables": "posts,comments", **self._stream.get("parameters", {})}
        async with http.stream("GET", f"{address}/api/realtime", params=parameters, headers=headers) as response:
            if response.status_code == httpx.codes.UNAUTHORIZED:
                self._tokens.forget(self._stream["account"])
            response.raise_for_status()
            parser = Parser()
            async for chunk in response.aiter_raw():
                for fields in parser.feed(chunk):
                    if "id" in fields:  # Without one the last one stays, as in a browser; an empty one ends it.
                        self._last_id = int(fields["id"]) if fields["id"] else None
                    for event in events_from(fields):
                        self._take(event, history)
                if self._has_markers():
                    return

    def _take(self, event: Event, history: TextIO) -> None:
        history.write(event.to_line())
        if event.kind == "expired":
            self._tokens.forget(self._stream["account"])
            return
        if event.kind == "change" and event.token == self._config["marker"]:
            self._markers.add((event.table, event.action))
        if event.kind == "change" and event.action == "delete" and ("posts", "create") in self._markers:
            # The last write of all deletes the marker among the comments, which not every user sees.
            self._markers.add((event.table, event.action))

    def _has_markers(self) -> bool:
        return {("posts", "create"), ("comments", "delete")} <= self._markers


async def run(config: dict[str, Any]) -> None:
    """Run every stream."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    async with httpx.AsyncClient(timeout=TIMEOUTS, limits=limits) as http:
        tokens = Tokens()
        clients = [Client(config, stream, number, tokens) for number, stream in enumerate(config["streams"])]
        work = asyncio.gather(*(client.run(http) for client in clients))
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, work.cancel)
        try:
            await work
        except asyncio.CancelledError:
            return


if __name__ == "__main__":
    asyncio.run(run(json.loads(Path(sys.argv[1]).read_text())))
