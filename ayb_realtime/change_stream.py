"""``ayb_realtime.changes``: a stream for Python code, such as a worker's.

It reads a stream of the hub of its event loop, as a browser does: what row-level security shows to an identity, in
order. Where that stream ends, as when the database is away or the reader is slow, it opens another one after the last
position. What must always hold: ``position`` is never beyond what the caller has been given.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Self

import psycopg
from asgiref.sync import sync_to_async
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db import InterfaceError, OperationalError
from django.db.models import Model

from ayb_realtime.access.proofs import Proof, of_user
from ayb_realtime.exceptions import SnapshotFailed, Unauthenticated
from ayb_realtime.filters import parse
from ayb_realtime.hub.admission import Wanted, listed
from ayb_realtime.hub.hub import Hub
from ayb_realtime.hub.quiet_logger import QuietLogger
from ayb_realtime.hub.registry import get_hub, opening
from ayb_realtime.hub.streams.subscriber import Subscriber
from ayb_realtime.identity import Identity, identify
from ayb_realtime.postgres.threads import ConnectionThreads
from ayb_realtime.relay.backoff import backoff_seconds
from ayb_realtime.wire.reading import Change, Reader, Ready, Reset, Snapshot, Value

__all__ = ["Change", "ChangeStream", "Ready", "Reset", "Snapshot", "changes"]

logger = logging.getLogger(__name__)

Subject = Identity | AbstractBaseUser | AnonymousUser
# What says that the database is away, or the way to it.
AWAY = (psycopg.OperationalError, psycopg.InterfaceError, OperationalError, InterfaceError, OSError)


def changes(
    tables: str | type[Model] | Sequence[str | type[Model]],
    *,
    as_: Subject,
    after: int | None = None,
    filter: str | Sequence[str] = (),  # noqa: A002 - the parameter's name
    fields: str | Sequence[str] = (),
    snapshot: bool = False,
) -> "ChangeStream":
    """Return what an identity may see of the changes of tables: ``async for change in changes(["cards"], as_=user)``.

    tables: names, as in ``?tables=``, or models.
    as_: who reads: an ``Identity``, or a user, of whom ``IDENTITY`` makes one.
    after: the position after which to go on, with a Reset if the log lacks what came after it; None: begin now.
    filter: which rows, as ``?filter=`` has it before percent-encoding: ``"status=eq.open,price=lt.10"``.
    fields: which columns of the records, besides the key: ``"title,price"``, or their names; none: all.
    snapshot: whether to begin with the rows that are there: Snapshot values, and then Ready. They come again after each
        Reset; with ``after`` only then.
    Raises InvalidParameter for a filter that cannot be read. What Postgres cannot compare, the stream raises.
    """
    named = [tables] if isinstance(tables, str | type) else tables
    if not named:
        raise ValueError("changes() takes at least one table")
    names = [_name(each) for each in named]
    filters = parse([filter] if isinstance(filter, str) else filter, names)
    columns = tuple(listed(fields) if isinstance(fields, str) else fields)
    return ChangeStream(names, as_, after, snapshot=snapshot, wanted=Wanted(columns, filters=filters))


def _name(table: str | type[Model]) -> str:
    # A model of another schema has quotes in its table's name.
    return table if isinstance(table, str) else table._meta.db_table.replace('"', "")


class ChangeStream:
    """An async iterator of Change and Reset, and of Snapshot and Ready. It begins when it is entered or first read.

    position: everything up to here has been given to the caller, who may go on after it later; None: not begun; 0: in a
        snapshot, after which it goes on with a Reset and another one.
    Reading raises UnknownTable, InvalidParameter, RoleRefused, NotMigrated, SnapshotFailed; Unauthenticated once the
    user may no longer stream; at the beginning also what says that the database is away, for which it waits later. A
    reader that was cancelled, as by a timeout, may read on.
    """

    def __init__(self, tables: Sequence[str], subject: Subject, after: int | None, **wanted: Any) -> None:
        self.position = after
        self._tables, self._subject, self._wanted = tables, subject, wanted
        self._reader, self._values = Reader(), deque[Value]()
        self._opened: tuple[Hub, Subscriber, asyncio.AbstractEventLoop] | None = None
        self._has_begun = self._is_closed = False
        self._logger = QuietLogger(logger)

    async def __aenter__(self) -> Self:
        """Begin: what commits from now on is among the changes."""
        if self._opened is None:
            await self._open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Value:
        """Wait for the next value."""
        while not self._is_closed:
            if self._values:
                value = self._values.popleft()
                self.position = value.position
                return value
            if self._reader.has_expired:
                await self.aclose()
                raise Unauthenticated("the user may no longer stream")
            await self._read()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """End the stream, also for a task that waits for it. May be called again."""
        self._is_closed = True
        self._leave()

    def __del__(self) -> None:
        """Leave the hub, where a loop was left by ``break``."""
        if self._opened:
            hub, subscriber, loop = self._opened
            with suppress(RuntimeError):  # The event loop, and the hub with it, may be gone already.
                loop.call_soon_threadsafe(hub.leave, subscriber)

    async def _read(self) -> None:
        """Read a piece of the hub's stream; open another one if that has ended."""
        if self._opened is None:
            await self._reopen()
            return
        _, subscriber, _ = self._opened
        try:
            piece = await anext(subscriber, b"")
        except BaseException:
            self._leave()
            raise
        if piece:
            self._take(piece)
            return
        self._leave()
        if failure := subscriber.failure:
            raise SnapshotFailed(failure)
        if not (self._is_closed or self._reader.has_expired):
            await asyncio.sleep(self._reader.retry_seconds)

    async def _reopen(self) -> None:
        failures = 0
        while self._opened is None and not self._is_closed:
            try:
                await self._open()
            except AWAY as error:
                if not self._has_begun:
                    raise
                failures += 1
                line = "changes cannot be read now; they go on after position %s: %s"
                self._logger.warning(line, self.position, error, extra={"event_name": "reading_fails"})
                await asyncio.sleep(backoff_seconds(failures))

    async def _open(self) -> None:
        """Open a stream of the hub, after ``position``, and read its greeting."""
        identity, proofs = await _who(self._subject)
        hub = await get_hub()
        with opening():
            resume = "" if self.position is None else str(self.position)
            subscriber = await hub.subscribe(identity, self._tables, resume=resume, proofs=proofs, **self._wanted)
        self._opened, self._has_begun = (hub, subscriber, asyncio.get_running_loop()), True
        if self._is_closed:
            self._leave()
        else:
            self._reader = Reader()
            self._take(await anext(subscriber, b""))

    def _leave(self) -> None:
        opened, self._opened = self._opened, None
        if opened is not None:
            hub, subscriber, _ = opened
            hub.leave(subscriber)

    def _take(self, piece: bytes) -> None:
        self._values += self._reader.take(piece)
        if not self._values and self._reader.position:
            self.position = self._reader.position


async def _who(subject: Subject) -> tuple[Identity, list[Proof]]:
    return (subject, []) if isinstance(subject, Identity) else await _who_is(subject)


def _identified(user: AbstractBaseUser | AnonymousUser) -> tuple[Identity, list[Proof]]:
    return identify(user), [] if isinstance(user, AnonymousUser) else [of_user(user, with_password=False)]


# The site's ``IDENTITY`` may query.
_who_is = sync_to_async(_identified, thread_sensitive=False, executor=ConnectionThreads(1))
