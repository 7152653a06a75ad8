"""The hub of a process: it lets streams in and out, and runs the tasks that deliver changes to them."""

import asyncio
from collections.abc import Iterable, MutableSet, Sequence
from contextlib import AbstractContextManager, AsyncExitStack
from functools import partial
from itertools import chain
from typing import Any

from channels.layers import BaseChannelLayer

from ayb_realtime import precedence
from ayb_realtime.access.proofs import Proof
from ayb_realtime.conf import conf
from ayb_realtime.exceptions import PositionUnavailable
from ayb_realtime.hub.admission import Admission, Wanted
from ayb_realtime.hub.hearing.feed import Feed
from ayb_realtime.hub.hearing.hearing import Hearing
from ayb_realtime.hub.lifetime import draining, liveness, rechecking
from ayb_realtime.hub.lifetime.refreshing import Refreshing
from ayb_realtime.hub.live import Live
from ayb_realtime.hub.relay_watch import RelayWatch, run_relay
from ayb_realtime.hub.replaying.replay import Replay
from ayb_realtime.hub.snapshots.snapshots import Snapshots
from ayb_realtime.hub.streams.greeting import greeting
from ayb_realtime.hub.streams.snapshot_subscriber import SnapshotSubscriber
from ayb_realtime.hub.streams.subscriber import Subscriber
from ayb_realtime.hub.streams.subscribers import Subscribers
from ayb_realtime.hub.tasks import Tasks
from ayb_realtime.identity import Identity
from ayb_realtime.postgres.database import Pool
from ayb_realtime.wire.events import parse_event_id


class Hub:
    """Keeps the subscribers, from ``start`` to ``close``.

    delivery: of connections that only deliveries use, so that nothing else delays them; by default those of ``pool``.
    primary: of connections to where changes are written, if those of ``pool`` read a standby.
    refreshing: lets streams go on with newer credentials.
    """

    def __init__(
        self, layer: BaseChannelLayer | None, pool: Pool, delivery: Pool | None = None, primary: Pool | None = None
    ) -> None:
        self._pool, self._primary, delivery = pool, primary or pool, delivery or pool
        self._pools, self._opened = {pool, delivery, self._primary}, AsyncExitStack()
        self._admission = Admission(pool, self._primary)
        self.feed = Feed(delivery)
        self._hearing = Hearing(layer, pool, self.feed)
        self._replay = Replay(pool)
        self._live = Live(delivery, self.feed, self._replay)
        self._snapshots = Snapshots(self._primary, self._replay, self._live.look_up_tables)
        self._relay_watch, self.refreshing = RelayWatch(self._primary), Refreshing(self._primary, self.open_streams)
        self._layer, self._tasks = layer, Tasks(self._end_at_once)

    @property
    def position(self) -> int:
        """Everything up to here has been delivered."""
        return self._live.position

    @property
    def live_subscribers(self) -> Subscribers:
        """The subscribers at the hub's position, without those that are still resuming."""
        return self._live.subscribers

    @property
    def _subscribers(self) -> Sequence[MutableSet[Any]]:
        return self._live.subscribers, self._replay.subscribers, self._snapshots.subscribers

    @property
    def has_failed(self) -> bool:
        """Whether one of its tasks has failed: every stream has ended then, and another hub has to take its place."""
        return self._tasks.has_failed

    async def start(self) -> None:
        """Begin at the head of the log. Raises NotMigrated, psycopg.Error or PoolTimeout."""
        try:
            for pool in self._pools:
                await self._opened.enter_async_context(pool)
            self._live.position = await self.feed.start()
            await self._hearing.start()
        except BaseException:
            await self._opened.aclose()
            raise
        delivering = self._live.run(), self._replay.run(self._live), self._snapshots.run()
        tending = liveness.run(self.open_streams, self.leave), rechecking.run(self.open_streams), self.refreshing.run()
        if conf.relay_in_process:
            self._tasks.spawn(run_relay(self._layer))
        for work in (*delivering, *tending, *self._hearing.tasks()):
            self._tasks.spawn(work)

    async def close(self) -> None:
        """End every stream, group after group and each with a retry hint, and stop."""
        await draining.end_in_groups(self.open_streams())
        await self._tasks.stop()
        self._end_at_once()
        await self._hearing.close()
        await self._opened.aclose()

    def end_streams(self) -> asyncio.Task[None]:
        """Begin to end the open streams, since the server is about to stop; return the task. Later ones stay open."""
        return self._tasks.spawn(draining.end_with_latecomers(self.open_streams))

    def opening(self) -> AbstractContextManager[None]:
        """Let replays wait for a stream that is opened in the block."""
        return self._replay.opening()

    async def subscribe(
        self,
        identity: Identity,
        names: Sequence[str],
        *,
        resume: str = "",
        snapshot: bool = False,
        wanted: Wanted = Wanted(),  # noqa: B008
        expires_at: float | None = None,
        proofs: Iterable[Proof] = (),
    ) -> Subscriber:
        """Open a stream of the tables with these names. It holds its greeting: the retry time, and ``connected``.

        resume: the id of the client's last event; "": begin now. If the log lacks what came after it: now, and a reset.
        wanted: which rows, which columns of the records, and in which form.
        snapshot: whether to send all rows where the stream begins now, and after each reset.
        expires_at, proofs: until when the stream may be open, in seconds since the epoch, and what has to remain true.
        Raises UnknownTable, InvalidParameter, RoleRefused, NotMigrated, psycopg.Error or PoolTimeout.
        """
        answer = await self._admission.ask(identity.role)
        tables = answer.tables(names, identity.role)
        make = partial(SnapshotSubscriber, on_reset=self._send_snapshot) if snapshot else Subscriber
        subscriber = make(
            identity,
            tables,
            form=await self._admission.form(wanted, tables, identity.role),
            filters=await self._admission.filters(wanted, answer, identity.role),
            buffer_bytes=conf.buffer_bytes,
            heartbeat_seconds=conf.heartbeat_seconds,
            expires_at=expires_at,
            proofs=proofs,
        )
        await self._let_in(subscriber, resume)
        self._live.look_up_tables_if_unknown(subscriber.relations)
        if self._relay_watch.is_due():
            self._tasks.spawn(self._relay_watch.look())
        return subscriber

    async def _let_in(self, subscriber: Subscriber, resume: str) -> None:
        """Let a subscriber in, with its greeting."""
        reason = None
        try:
            await (self._resume(subscriber, resume) if resume else self._begin(subscriber))
        except PositionUnavailable as error:
            reason = error.reason
            await self._begin(subscriber)
        subscriber.prepend(greeting(subscriber, bool(resume), reason))

    async def _begin(self, subscriber: Subscriber) -> None:
        await precedence.turn()
        if isinstance(subscriber, SnapshotSubscriber):
            subscriber.awaits_snapshot = True
            self._snapshots.add(subscriber)
        else:
            await self._live.join(subscriber)

    def _send_snapshot(self, subscriber: SnapshotSubscriber) -> None:
        """Take a subscriber out of the deliveries until it has a new snapshot."""
        # Not at once: the delivery that resets it goes over the sets that it is in.
        for step in (self._take_out, self._snapshots.add):
            asyncio.get_running_loop().call_soon(step, subscriber)

    async def _resume(self, subscriber: Subscriber, last_event_id: str) -> None:
        """Let a subscriber in that resumes after an event. Raises PositionUnavailable."""
        position = parse_event_id(last_event_id)
        await self._admission.check_resumable(position)
        subscriber.position = position
        self._replay.add(subscriber)

    def beat(self) -> None:
        """Have each stream that waits send a heartbeat now, which says its position."""
        for subscriber in self.open_streams():
            subscriber.wake()

    def leave(self, subscriber: Subscriber) -> None:
        """Forget a subscriber: its response has ended, its client has gone, or reads nothing. May be called again."""
        subscriber.abandon()
        self._take_out(subscriber)

    def _take_out(self, subscriber: Subscriber) -> None:
        for subscribers in self._subscribers:
            subscribers.discard(subscriber)

    def open_streams(self) -> list[Subscriber]:
        """Return the open streams."""
        return [*chain(*self._subscribers)]

    def _end_at_once(self) -> None:
        for subscriber in self.open_streams():
            subscriber.end()
        for subscribers in self._subscribers:
            subscribers.clear()
