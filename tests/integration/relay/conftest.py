"""Fixtures of the tests of the relay: a receiver of its messages, its connections and log lines, short intervals."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import pytest
import pytest_asyncio
from channels.layers import BaseChannelLayer

from ayb_realtime.conf import conf
from ayb_realtime.log import queries
from ayb_realtime.log.changes import Announcement
from ayb_realtime.log.messages import from_message
from ayb_realtime.postgres import database
from ayb_realtime.relay import leadership, numbering, publisher
from ayb_realtime.relay import relay as relay_module
from ayb_realtime.relay.relay import Relay
from embedded import free_port
from tests.integration.scenario import MakeTable, Owner

Connection = psycopg.AsyncConnection[Any]


class Receiver:
    """A member of the layer's group, as a hub is."""

    def __init__(self, layer: BaseChannelLayer, group: str, layer_channel: str) -> None:
        self._layer = layer
        self._group = group
        self._layer_channel = layer_channel

    async def next(self) -> Announcement:
        """Wait for the next message."""
        async with asyncio.timeout(30):
            return from_message(await self._layer.receive(self._layer_channel), self._group)

    async def records(self, count: int) -> list[str | None]:
        """Wait for this many changes; return their records."""
        records: list[str | None] = []
        while len(records) < count:
            records += [change.record for change in (await self.next()).changes]
        return records


async def receiver(layer: BaseChannelLayer) -> Receiver:
    """Join the layer's group."""
    layer_channel = await layer.new_channel()
    async with await database.connect(conf.relay_database) as connection:
        group = await queries.group(connection)
    await layer.group_add(group, layer_channel)
    return Receiver(layer, group, layer_channel)


class Connector:
    """Opens connections for a relay, and keeps a list of them. While it ``fails``, it opens none."""

    def __init__(self) -> None:
        self.fails = False
        self.opened: list[Connection] = []

    async def __call__(self) -> Connection:
        if self.fails:
            unreachable = {**database.connection_parameters("default"), "port": free_port()}
            return await psycopg.AsyncConnection.connect(**unreachable)
        self.opened.append(await database.connect(conf.relay_database))
        return self.opened[-1]

    def terminate(self, owner: Owner, *ordinals: int) -> None:
        """Terminate some of the connections' backends."""
        for ordinal in ordinals:
            assert owner.execute(
                "select pg_terminate_backend(%s, 30000)", [self.opened[ordinal].info.backend_pid]
            ).fetchone() == (True,)


class LogWatch(logging.Handler):
    """Waits until something is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self._news = asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())
        self._news.set()

    def count(self, text: str) -> int:
        return sum(text in line for line in self.lines)

    async def until(self, text: str, times: int = 1) -> None:
        """Wait until a line with this text has been logged this many times."""
        async with asyncio.timeout(30):
            while self.count(text) < times:
                self._news.clear()
                await self._news.wait()


@pytest.fixture
def logs() -> Iterator[LogWatch]:
    """What the relay and asyncio log."""
    watch = LogWatch()
    loggers = [logging.getLogger(name) for name in ("ayb_realtime.relay", "asyncio")]
    for logger in loggers:
        logger.addHandler(watch)
    yield watch
    for logger in loggers:
        logger.removeHandler(watch)


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten intervals."""
    monkeypatch.setattr(leadership, "TRY_SECONDS", 0.02)
    monkeypatch.setattr(numbering, "ANNOUNCE_SECONDS", 0.05)
    monkeypatch.setattr(publisher, "PAUSE_SECONDS", 0.02)
    monkeypatch.setattr(relay_module, "backoff_seconds", lambda failures: 0.02)


@pytest_asyncio.fixture
async def notes(make_table: MakeTable) -> None:
    """The streamed table ``notes``. All earlier changes are numbered."""
    make_table("notes", "id int primary key, body text")
    async with await database.connect(conf.relay_database) as connection:
        while await queries.next_batch(connection):
            pass


@asynccontextmanager
async def standing_by(layer: BaseChannelLayer, connect: Connector, logs: LogWatch) -> AsyncIterator[Relay]:
    """Run a relay beside a leader; enter the block when it stands by."""
    seen = logs.count("stands by")
    relay = Relay(layer, connect)
    running = asyncio.create_task(relay.run())
    await logs.until("stands by", seen + 1)
    try:
        yield relay
    finally:
        running.cancel()
        await asyncio.wait([running])


async def leads(relay: Relay) -> None:
    """Wait until a relay leads."""
    async with asyncio.timeout(30):
        await relay.leads.wait()
