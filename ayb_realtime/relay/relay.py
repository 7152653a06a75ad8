"""The relay: it numbers what has committed, and tells every hub. One relay leads, others stand by.

While it leads, it runs several tasks: it listens for the notifications of capture_v1(), numbers, publishes, prunes, and
looks for altered tables. Whatever fails, nothing is lost: what has committed is in the log, and the next relay numbers
it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, NoReturn
from weakref import WeakSet

import psycopg
from channels.layers import BaseChannelLayer

from ayb_realtime.conf import conf
from ayb_realtime.exceptions import NotificationsUnheard
from ayb_realtime.log import queries
from ayb_realtime.log.local_hubs import LocalHubs, local_hubs
from ayb_realtime.postgres import notifications, sessions, tables
from ayb_realtime.relay import leadership
from ayb_realtime.relay.backoff import backoff_seconds
from ayb_realtime.relay.numbering import Numbering
from ayb_realtime.relay.outlets import Layer, Notify
from ayb_realtime.relay.publisher import Publisher
from ayb_realtime.tracing import tracing

logger = logging.getLogger(__package__)

Connection = psycopg.AsyncConnection[Any]

NOTIFY_CHANNEL = "ayb_realtime"
PRUNE_SECONDS = 30.0
# How often to look for tables whose rows came or went without a trigger.
ALTERED_SECONDS = 1.0


class Relay:
    """Relays from ``run`` until it is cancelled.

    layer: the way to the hubs of other processes; None: by NOTIFY.
    connect: opens a connection in autocommit mode, to Postgres itself or through a pooler in session mode.
    hubs: those to tell without a layer or NOTIFY, by default all of this process.
    leads: set while this relay leads and listens.
    """

    def __init__(
        self,
        layer: BaseChannelLayer | None,
        connect: Callable[[], Awaitable[Connection]],
        hubs: LocalHubs = local_hubs,
    ) -> None:
        self.leads = asyncio.Event()
        relays.add(self)
        self._publisher = Publisher(Notify(connect) if layer is None else Layer(layer), hubs)
        self._connect = connect
        self._failures = 0
        self._has_started = False
        self._epoch: int | None = None

    async def run(self) -> NoReturn:
        """Relay until cancelled. After a failure, begin again, except if the relay has not started yet.

        Raises psycopg.Error, OSError, TimeoutError or NotificationsUnheard if it could never lead or stand by.
        """
        tracing.begin(conf.tracing)
        while True:
            try:
                await self._session()
            except (psycopg.Error, OSError, TimeoutError, NotificationsUnheard) as error:
                if not self._has_started:
                    raise
                self._failures += 1
                logger.warning("the relay fails, and begins again: %s", error, extra={"event_name": "relay_fails"})
            finally:
                self.leads.clear()
            await asyncio.sleep(backoff_seconds(self._failures))

    async def _session(self) -> None:
        """Wait to lead, and lead as long as every connection lasts."""
        async with await self._connect() as writer, await self._connect() as listener, await self._connect() as keeper:
            for connection in (writer, listener, keeper):
                await sessions.settle(connection)
            term = await leadership.acquire(writer, self._stand_by)
            await notifications.listen(listener, NOTIFY_CHANNEL)
            await _check_notifications(listener, writer)
            numbering = Numbering(self._publisher, await self._begin(writer))
            try:
                await _until_first_ends(
                    numbering.run(writer),
                    _listen(listener, numbering.wake),
                    _prune(keeper),
                    self._watch_epoch(keeper),
                    _announce_altered(keeper),
                    leadership.be_seen(keeper, term),
                    self._publisher.run(),
                )
            finally:
                if numbering.has_numbered:
                    self._failures = 0

    def _stand_by(self) -> None:
        logger.info("another relay leads; this one stands by", extra={"event_name": "relay_stands_by"})
        self._has_started = True

    async def _begin(self, writer: Connection) -> int:
        """Begin a new epoch if the log needs one, and return the head."""
        # Before a new epoch: in it every table counts as another one, and every client has to fetch again anyway.
        await queries.announce_altered(writer)
        if await queries.ensure_epoch(writer):
            logger.warning(
                "after a restore or a failover the log begins a new epoch, and clients fetch again",
                extra={"event_name": "new_epoch"},
            )
        await queries.keep_plans(writer)
        await queries.keep_before(writer, conf.delete_visibility == "policy")
        self._epoch, head = await queries.epoch(writer), await queries.head(writer)
        self._publisher.set_group(await queries.group(writer))
        names = [table.name for table in await tables.streamed(writer)]
        logger.info(
            "relay leads: %d tables (%s), position %d",
            len(names),
            ", ".join(sorted(names)),
            head,
            extra={"event_name": "relay_leads"},
        )
        self._has_started = True
        self.leads.set()
        return head

    async def _watch_epoch(self, keeper: Connection) -> None:
        """Return once the log is not the one that this relay began with: it was restored, or created again."""
        while True:
            if await queries.epoch(keeper) != self._epoch:
                logger.warning("the log was restored, or created again", extra={"event_name": "log_replaced"})
                return
            await asyncio.sleep(leadership.SEEN_SECONDS)


# Those of this process.
relays: WeakSet[Relay] = WeakSet()


async def _until_first_ends(*works: Coroutine[Any, Any, object]) -> None:
    """Run these until the first one ends, and cancel the others. Raises what the first one raises."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    done.pop().result()


async def _check_notifications(listener: Connection, writer: Connection) -> None:
    """Raise NotificationsUnheard if the one connection does not hear the other."""
    try:
        is_heard = await notifications.is_heard(listener, writer, NOTIFY_CHANNEL)
    except psycopg.errors.ProgramLimitExceeded as error:
        # A session of any database can keep it full. Writers do not notify then, and the relay looks by itself.
        logger.warning("changes come late: %s", error, extra={"event_name": "notifications_full"})
        return
    if not is_heard:
        raise NotificationsUnheard(
            f"The relay sent itself a NOTIFY and heard nothing for {notifications.ANSWER_SECONDS:.0f} s. Most likely a "
            "connection pooler in transaction mode (pgbouncer, a cloud's pooled port) stands between it and Postgres: "
            "LISTEN does not work through one. Give runrealtime a direct connection: an entry in DATABASES that "
            "reaches Postgres itself, named by --database."
        )


async def _listen(listener: Connection, wake: asyncio.Event) -> NoReturn:
    """Set ``wake`` at every notification."""
    while True:
        if await notifications.next_payloads(listener):
            wake.set()


async def _prune(keeper: Connection) -> NoReturn:
    """Empty the oldest slot of the log whenever that is due."""
    while True:
        try:
            await queries.prune(keeper, conf.keep_hours)
        except psycopg.errors.LockNotAvailable:
            logger.debug(
                "the oldest slot of the log is still in use; it is emptied later", extra={"event_name": "slot_in_use"}
            )
        await asyncio.sleep(PRUNE_SECONDS)


async def _announce_altered(keeper: Connection) -> NoReturn:
    """Log the tables whose rows came or went without a trigger."""
    while True:
        await asyncio.sleep(ALTERED_SECONDS)
        await queries.announce_altered(keeper)
