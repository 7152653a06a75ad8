"""The relay: it numbers what has committed and tells every hub. One leads, others stand by.

Its parts: listen for the wake-up call of capture_v1(), number, publish to the Channels layer. Whatever fails, nothing
is lost: what has committed is in the log, and the next relay numbers it.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any, NoReturn
from uuid import uuid4

import psycopg
from channels.layers import BaseChannelLayer

from ayb_realtime import log, tables
from ayb_realtime.changes import Batch, in_batches
from ayb_realtime.exceptions import NotificationsUnheard

logger = logging.getLogger(__name__)

Connection = psycopg.AsyncConnection[Any]

NOTIFY_CHANNEL = "ayb_realtime"
# How long the hubs may wait for a word on where the head is, and the log for its next look at what has committed.
HEARTBEAT_SECONDS = 0.5
# How often the listening connection is tried, and how long an answer may take.
PROBE_SECONDS = 5.0
ANSWER_SECONDS = 5.0
STANDBY_SECONDS = 1.0
# A batch is published in messages of at most so many characters of records.
MESSAGE_CHARACTERS = 256 * 1024


def backoff_seconds(failures: int, chance: Callable[[], float] = random.random) -> float:
    """Return how long to wait after so many failures in a row: from 0.1 s, doubling up to 5 s, less up to a half."""
    longest: float = min(5.0, 0.1 * 2 ** min(failures - 1, 10))
    return longest * (1 - chance() / 2)


class Relay:
    """Relays from ``run`` until it is cancelled.

    connect: opens a connection in autocommit mode, to Postgres itself or through a pooler in session mode.
    leads: set while this relay leads and listens.
    """

    def __init__(self, layer: BaseChannelLayer, connect: Callable[[], Awaitable[Connection]]) -> None:
        self.leads = asyncio.Event()
        self._layer = layer
        self._connect = connect
        self._wake = asyncio.Event()
        self._failures = 0
        self._has_started = False
        self._layer_fails = False
        self._group = ""

    async def run(self) -> NoReturn:
        """Relay for ever. A failure is tried again, but not one of the first start, which is raised.

        Raises psycopg.Error or NotificationsUnheard where it could never lead, nor stand by.
        """
        while True:
            try:
                await self._session()
            except (psycopg.Error, OSError, TimeoutError, NotificationsUnheard) as error:
                if not self._has_started:
                    raise
                self._failures += 1
                logger.warning("the relay lost its database, and tries again: %s", error)
            finally:
                self.leads.clear()
            await asyncio.sleep(backoff_seconds(self._failures))

    async def _session(self) -> None:
        """Lead for as long as both connections last."""
        async with await self._connect() as writer, await self._connect() as listener:
            await self._await_leadership(writer)
            await listener.execute(f"listen {NOTIFY_CHANNEL}")
            await self._hear_itself(listener, writer)
            listening = asyncio.create_task(self._listen(listener))
            listening.add_done_callback(lambda _: self._wake.set())
            try:
                await self._number(writer, listening)
            finally:
                listening.cancel()
                await asyncio.wait([listening])

    async def _await_leadership(self, writer: Connection) -> None:
        """Wait for the lock that the leader's connection holds. A lost connection is lost leadership."""
        waited = False
        while not await _one(writer, "select pg_try_advisory_lock(hashtext('ayb_realtime relay'))"):
            if not waited:
                logger.info("another relay leads; this one stands by")
            waited = self._has_started = True
            await asyncio.sleep(STANDBY_SECONDS)

    async def _hear_itself(self, listener: Connection, writer: Connection) -> None:
        """Notify ourselves. Through a transaction pooler LISTEN succeeds, and nothing is ever heard."""
        token = uuid4().hex
        await writer.execute("select pg_notify(%s, %s)", [NOTIFY_CHANNEL, token])
        async with aclosing(listener.notifies(timeout=ANSWER_SECONDS)) as heard:
            async for notify in heard:
                if notify.payload == token:
                    return
        raise NotificationsUnheard(
            f"The relay sent itself a NOTIFY and heard nothing for {ANSWER_SECONDS:.0f} s. Most likely a connection "
            "pooler in transaction mode (pgbouncer, a cloud's pooled port) stands between it and Postgres: LISTEN does "
            "not work through one. Give runrealtime a direct connection: an entry in DATABASES that reaches Postgres "
            "itself, named by --database."
        )

    async def _listen(self, listener: Connection) -> NoReturn:
        """Wake the numbering at every notification; now and then see whether the connection is still alive."""
        while True:
            async for _ in listener.notifies(timeout=PROBE_SECONDS):
                self._wake.set()
            async with asyncio.timeout(ANSWER_SECONDS):
                await listener.execute("select 1")

    async def _number(self, writer: Connection, listening: "asyncio.Task[NoReturn]") -> None:
        """Number and publish whatever has committed, until the listening ends."""
        head = await log.head(writer)
        self._group = await log.group(writer)
        names = [table.name for table in await tables.streamed(writer)]
        logger.info("relay leads: %d tables (%s), position %d", len(names), ", ".join(sorted(names)), head)
        self._failures = 0
        self._has_started = True
        self.leads.set()
        while not listening.done():
            self._wake.clear()
            if changes := await log.next_batch(writer):
                head = changes[-1].position
                for batch in in_batches(changes, MESSAGE_CHARACTERS):
                    await self._publish(batch)
                continue
            try:
                async with asyncio.timeout(HEARTBEAT_SECONDS):
                    await self._wake.wait()
            except TimeoutError:
                await self._publish(Batch(head))
        listening.result()

    async def _publish(self, batch: Batch) -> None:
        """Tell the hubs. A layer that fails costs them time and nothing else: they read the log."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._layer.group_send(self._group, batch.to_message())
        except Exception as error:  # noqa: BLE001 - each layer raises errors of its own
            if not self._layer_fails:
                logger.warning("the Channels layer fails (%s); the hubs read the log meanwhile", error)
            self._layer_fails = True
        else:
            if self._layer_fails:
                logger.info("the Channels layer is back")
            self._layer_fails = False


async def _one(connection: Connection, query: str) -> Any:
    row = await (await connection.execute(query)).fetchone()
    return row[0] if row else None
