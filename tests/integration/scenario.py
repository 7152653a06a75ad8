"""What most integration tests do: run a relay, open streams, write, and read what the streams are sent."""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
import psycopg
from channels.layers import BaseChannelLayer
from httpx_sse import EventSource, ServerSentEvent

from ayb_realtime.exceptions import PositionUnavailable
from ayb_realtime.hub.hub import Hub
from ayb_realtime.hub.streams.subscriber import Subscriber
from ayb_realtime.identity import AUTHENTICATED_ROLE, Identity
from ayb_realtime.log import queries
from ayb_realtime.log.local_hubs import LocalHubs
from ayb_realtime.reset_reasons import ResetReason
from ayb_realtime.testing import running_relay

Owner = psycopg.Connection[Any]
MakeTable = Callable[..., None]

USER = "current_setting('ayb.user_id')"
OWN = f"author = {USER}"


def relaying(layer: BaseChannelLayer | None, connect: Any = None) -> Any:
    """Run a relay as if in another process: the hubs of this one hear it only through the layer, or by NOTIFY."""
    return running_relay(layer, connect, LocalHubs())


def person(user_id: object) -> Identity:
    """Return the identity of a user with this id."""
    return Identity(AUTHENTICATED_ROLE, (("ayb.user_email", f"{user_id}@example.com"), ("ayb.user_id", str(user_id))))


HUB_FUNCTIONS = """
select 'grant execute on function ' || string_agg(p.oid::regprocedure::text, ', ') || ' to '
  from pg_proc p
 where p.pronamespace = 'ayb_realtime'::regnamespace
   and (not p.prosecdef or p.proname = 'make_check_function_v1') and p.proname !~ '^check_1_'
"""


def let_call_what_hubs_call(owner: Owner, role: str) -> None:
    """Grant a role our functions that run with its own rights, and of the others those that a hub needs."""
    (grant,) = owner.execute(HUB_FUNCTIONS).fetchone() or ("",)
    owner.execute(f"{grant} {role}".encode())


class Stream:
    """A stream as a client reads it, through an independent parser."""

    def __init__(self, chunks: Any) -> None:
        headers = {"content-type": "text/event-stream"}
        self._events = EventSource(httpx.Response(200, headers=headers, content=chunks)).aiter_sse()

    async def next(self) -> ServerSentEvent:
        """Wait for the next event, as long as a slow machine may need. Raises StopAsyncIteration at the end."""
        async with asyncio.timeout(30):
            # This parser yields an event for a comment, too; a browser does not.
            while not (event := await anext(self._events)).data:
                pass
            return event

    async def next_change(self) -> Any:
        """Wait for the next unnamed event, and return its data."""
        event = await self.next()
        assert event.event == "message", event
        return event.json()

    async def next_action(self) -> tuple[str, Any]:
        """Wait for the next change; return its action and record."""
        change = await self.next_change()
        return change["action"], change["record"]

    async def next_ids(self, count: int) -> list[int]:
        """Wait for this many changes; return the ids of their rows."""
        return [(await self.next_change())["record"]["id"] for _ in range(count)]


async def read_to_end(subscriber: Subscriber) -> bytes:
    """Return the rest of a stream that has ended."""
    async with asyncio.timeout(30):
        return b"".join([chunk async for chunk in subscriber])


async def open_stream(the_hub: Hub, identity: Identity, *tables: str, after: int | None = None) -> Stream:
    """Subscribe an identity to tables."""
    return Stream(await subscribed(the_hub, identity, *tables, after=after))


async def subscribed(the_hub: Hub, identity: Identity, *tables: str, after: int | None = None) -> Subscriber:
    """Subscribe an identity to tables, and read only the greeting.

    Raises PositionUnavailable if the stream begins with a reset, because it cannot resume after that position.
    """
    resume = "" if after is None else str(after)
    subscriber = await the_hub.subscribe(identity, tables, resume=resume)
    if reset := re.search(rb'event: reset\ndata: {"reason":"(.*?)"', await anext(subscriber)):
        raise PositionUnavailable(ResetReason(reset[1].decode()))
    return subscriber


def group_of(the_hub: Hub) -> str:
    """Return the layer's group that a hub has joined."""
    return the_hub._hearing.inlet.group


async def until(owner: Owner, condition: str, values: Any = None) -> None:
    """Poll until a query returns true: only for what the package does not signal, such as a wait for a lock."""
    async with asyncio.timeout(30):
        while (await asyncio.to_thread(owner.execute, condition.encode(), values)).fetchone() != (True,):
            pass


async def until_head(connection: queries.Connection, at_least: int) -> int:
    """Wait until the log has this position, and return its head."""
    async with asyncio.timeout(60):
        while (head := await queries.head(connection)) < at_least:
            pass
    return head


async def until_blocked(owner: Owner, pid: int) -> None:
    """Wait until a backend waits for a lock."""
    await until(owner, "select cardinality(pg_blocking_pids(%s)) > 0", [pid])


async def until_table_is_waited_for(owner: Owner, table: str) -> None:
    """Wait until a backend waits for a lock on a table."""
    await until(owner, "select exists (select from pg_locks where not granted and relation = %s::regclass)", [table])


@dataclass(frozen=True, slots=True)
class World:
    """One database, one layer and one hub, with a connection that writes from outside Django.

    ``world.table("notes", "id int primary key")`` makes a streamed table,
    ``async with world.relaying():`` runs a relay, ``await world.stream(person(1), "notes")`` opens a
    stream, ``world.write("insert ...")`` runs and commits.
    """

    hub: Hub
    layer: BaseChannelLayer
    owner: Owner
    table: MakeTable

    def relaying(self, layer: BaseChannelLayer | None = None) -> Any:
        """Run a relay, on another layer than the hub's if one is given; enter the block when it leads."""
        return relaying(layer or self.layer)

    async def stream(self, identity: Identity, *tables: str, after: int | None = None) -> Stream:
        """Open a stream, and return its client."""
        return await open_stream(self.hub, identity, *tables, after=after)

    async def subscriber(self, identity: Identity, *tables: str, after: int | None = None) -> Subscriber:
        """Open a stream that has no client yet."""
        return await subscribed(self.hub, identity, *tables, after=after)

    def write(self, statement: str, values: Any = None) -> psycopg.Cursor[Any]:
        """Run a statement as the tables' owner, in its own transaction."""
        return self.owner.execute(statement.encode(), values)

    def insert(self, table: str, *ids: int) -> None:
        """Insert one row after the other, each in its own transaction."""
        for row_id in ids:
            self.write(f"insert into {table} (id) values (%s)", [row_id])

    async def caught_up(self) -> int:
        """Insert a note, and return its position once it is delivered: earlier tests' changes are before it."""
        stream = await self.stream(person(1), "notes")
        self.insert("notes", -1)
        event = await stream.next()
        assert event.json()["record"]["id"] == -1
        return int(event.id)

    async def head(self, at_least: int) -> int:
        """Wait until the log has this position, and return its head."""
        async with self.hub._pool.connection() as connection:
            return await until_head(connection, at_least)

    @property
    def group(self) -> str:
        """The layer's group that the hub has joined."""
        return group_of(self.hub)
