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

from ayb_realtime.conf import conf
from ayb_realtime.exceptions import NotificationsUnheard
from ayb_realtime.log import queries
from ayb_realtime.log.changes import Batch
from ayb_realtime.postgres import sessions, tables
from ayb_realtime.relay import leadership
from ayb_realtime.relay.publisher import Publisher

logger = logging.getLogger(__package__)

Connection = psycopg.AsyncConnection[Any]

NOTIFY_CHANNEL = "ayb_realtime"
# How long the hubs may wait for a word on where the head is, and the log for its next look at what has committed.
ANNOUNCE_SECONDS = 0.5
# How often the listening connection is tried, and how long an answer may take.
PROBE_SECONDS = 5.0
ANSWER_SECONDS = 5.0
# While awake: how often the log is looked at, how long without a change until asleep, how often writers are told.
# To look five times for nothing costs more than to be called once: a relay sleeps between changes that are that rare.
POLL_SECONDS = 0.005
IDLE_SECONDS = 0.025
AWAKE_SECONDS = 1.0
# How long to look on for writers that may have been told not to notify.
FENCE_SECONDS = 2.0
PRUNE_SECONDS = 30.0
# How often to look for rows that came or went without a trigger.
ALTERED_SECONDS = 1.0


def backoff_seconds(failures: int, chance: Callable[[], float] = random.random) -> float:
    """Return how long to wait after so many failures in a row: from 0.1 s, doubling up to 2 s, less up to a half."""
    longest: float = min(2.0, 0.1 * 2 ** min(failures - 1, 10))
    return longest * (1 - chance() / 2)


class Relay:
    """Relays from ``run`` until it is cancelled.

    connect: opens a connection in autocommit mode, to Postgres itself or through a pooler in session mode.
    leads: set while this relay leads and listens.
    """

    def __init__(self, layer: BaseChannelLayer, connect: Callable[[], Awaitable[Connection]]) -> None:
        self.leads = asyncio.Event()
        self._publisher = Publisher(layer)
        self._connect = connect
        self._wake = asyncio.Event()
        self._failures = 0
        self._has_started = False
        self._epoch: int | None = None
        self._head = 0

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
                logger.warning("the relay fails, and begins again: %s", error)
            finally:
                self.leads.clear()
            await asyncio.sleep(backoff_seconds(self._failures))

    async def _session(self) -> None:
        """Lead for as long as every connection lasts."""
        async with await self._connect() as writer, await self._connect() as listener, await self._connect() as keeper:
            for connection in (writer, listener, keeper):
                await sessions.settle(connection)
            acquiring = asyncio.ensure_future(leadership.acquire(writer))
            await asyncio.wait([acquiring], timeout=leadership.TRY_SECONDS)
            self._has_started = self._has_started or not acquiring.done()
            await acquiring
            await listener.execute(f"listen {NOTIFY_CHANNEL}")
            await self._hear_itself(listener, writer)
            await self._begin(writer)
            # The first that ends, ends all: it has lost its connection, or its log.
            parts = (
                self._number(writer),
                self._listen(listener),
                self._prune(keeper),
                self._watch(keeper),
                self._announce_altered(keeper),
                leadership.be_seen(keeper),
                self._publisher.run(),
            )
            tasks = [asyncio.create_task(part) for part in parts]
            try:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            done.pop().result()

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

    async def _begin(self, writer: Connection) -> None:
        # Before a new epoch, in which each table is another one to what was known, and all are told to fetch anyway.
        await queries.announce_altered(writer)
        if await queries.ensure_epoch(writer):
            logger.warning("after a restore or a failover the log begins anew, and clients fetch again")
        await queries.keep_plans(writer)
        await queries.keep_before(writer, conf.delete_visibility == "policy")
        self._epoch, self._head = await queries.epoch(writer), await queries.head(writer)
        self._publisher.begin(await queries.group(writer))
        names = [table.name for table in await tables.streamed(writer)]
        logger.info("relay leads: %d tables (%s), position %d", len(names), ", ".join(sorted(names)), self._head)
        self._has_started = True
        self.leads.set()

    async def _listen(self, listener: Connection) -> NoReturn:
        """Wake the numbering at every notification; now and then see whether the connection is still alive."""
        while True:
            async for _ in listener.notifies(timeout=PROBE_SECONDS):
                self._wake.set()
            async with asyncio.timeout(ANSWER_SECONDS):
                await listener.execute("select 1")

    async def _prune(self, keeper: Connection) -> NoReturn:
        """Empty the oldest part of the log now and then, for ever."""
        while True:
            try:
                await queries.prune(keeper, conf.keep_hours)
            except psycopg.errors.LockNotAvailable:
                logger.debug("the oldest part of the log is still in use; it is emptied later")
            await asyncio.sleep(PRUNE_SECONDS)

    async def _watch(self, keeper: Connection) -> None:
        """Return once the log is not the one that this relay began with: it was restored or made again meanwhile."""
        while True:
            if await queries.epoch(keeper) != self._epoch:
                logger.warning("the log was restored, or made again")
                return
            await asyncio.sleep(leadership.SEEN_SECONDS)

    async def _announce_altered(self, keeper: Connection) -> NoReturn:
        """Look for tables whose rows came or went without a trigger, for ever."""
        while True:
            await asyncio.sleep(ALTERED_SECONDS)
            await queries.announce_altered(keeper)

    async def _number(self, writer: Connection) -> NoReturn:
        """Number and publish whatever has committed, for ever: asleep until a notification, or awake under load."""
        await self._fall_asleep(writer)
        while True:
            self._wake.clear()
            is_news = await self._publish_next(writer)
            # Called and more at once: under load, looking costs less than notifying.
            if is_news and self._wake.is_set() and await self._publish_next(writer):
                await self._stay_awake(writer)
            try:
                async with asyncio.timeout(ANNOUNCE_SECONDS):
                    await self._wake.wait()
            except TimeoutError:
                self._publisher.publish(Batch(self._head))

    async def _publish_next(self, writer: Connection) -> bool:
        numbered = await queries.next_batch(writer)
        self._failures = 0
        if numbered is None:
            return False
        self._head = numbered.head
        self._publisher.publish(numbered)
        return True

    async def _stay_awake(self, writer: Connection) -> None:
        """Look at the log again and again, until nothing comes any more; then fall asleep."""
        clock = asyncio.get_running_loop().time
        told_at, busy_at = -AWAKE_SECONDS, clock()
        while clock() - busy_at < IDLE_SECONDS:
            if clock() - told_at > AWAKE_SECONDS:
                # Again and again, for to be seen asleep may have crossed with this.
                told_at = clock()
                await queries.stay_awake(writer)
            if await self._publish_next(writer):
                busy_at = clock()
            else:
                await asyncio.sleep(POLL_SECONDS)
        await self._fall_asleep(writer)

    async def _fall_asleep(self, writer: Connection) -> None:
        """Have the writers notify; and look at the log until those have ended that did not know of it yet."""
        clock = asyncio.get_running_loop().time
        fence, asleep_at = await queries.fall_asleep(writer), clock()
        # For one that goes on for long, the regular look is enough.
        while clock() - asleep_at < FENCE_SECONDS and not await queries.is_past(writer, fence):
            await self._publish_next(writer)
            await asyncio.sleep(POLL_SECONDS)
        await self._publish_next(writer)
