"""A row about which Postgres does not answer causes a reset for those concerned; everything else continues."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from httpx_sse import ServerSentEvent

from ayb_realtime.hub.hub import Hub
from ayb_realtime.hub.streams.unanswered_resets import BURST
from ayb_realtime.identity import Identity
from ayb_realtime.log.slices import LARGEST_CHARACTERS
from tests.integration.scenario import USER, MakeTable, Owner, World, open_stream, person

# A function of the author and the row's number that does what a test wants, for one user or for all.
SLOW = (
    "create function slow(int) returns boolean language plpgsql security definer as"
    " $$ begin if {} then {}; end if; return true; end $$"
)
CATCHES = "begin perform pg_sleep(60); exception when query_canceled then loop end loop; end"


class Client:
    """A client that, like a browser, resumes after its last id when its stream ends.

    resumes: how often it did.
    """

    def __init__(self, hub: Hub, identity: Identity, tables: tuple[str, ...], after: int | None) -> None:
        self.resumes = 0
        self.last_id = after
        self._hub, self._identity, self._tables = hub, identity, tables

    async def open(self) -> "Client":
        """Open or reopen the stream."""
        self._stream = await open_stream(self._hub, self._identity, *self._tables, after=self.last_id)
        if self.last_id is None:
            self.last_id = self._hub.position
        return self

    async def next(self) -> ServerSentEvent:
        """Wait for the next event."""
        while True:
            try:
                event = await self._stream.next()
            except StopAsyncIteration:
                self.resumes += 1
                await self.open()
            else:
                self.last_id = int(event.id or self.last_id or 0)
                return event

    async def until(self, table: str, row_id: int) -> "Told":
        """Return everything up to the event of a row."""
        told = Told()
        while True:
            event = await self.next()
            if event.event == "reset":
                told.resets += [*event.json()["tables"]]
                told.reasons.add(event.json()["reason"])
            else:
                change = event.json()
                told.rows.append((change["table"], change["record"]["id"]))
                if told.rows[-1] == (table, row_id):
                    return told


class Told:
    """A part of a stream: the tables that were reset, the reasons, and the rows that arrived."""

    def __init__(self) -> None:
        self.resets: list[str] = []
        self.reasons: set[str] = set()
        self.rows: list[tuple[str, int]] = []


async def opened(hub: Hub, user: int, *tables: str, after: int | None = None) -> Client:
    """Open a stream of these tables for a user."""
    return await Client(hub, person(user), tables, after).open()


@asynccontextmanager
async def slow_notes(owner: Owner, make_table: MakeTable, condition: str, action: str) -> AsyncIterator[None]:
    """Create a table ``notes`` whose policy acts oddly under a condition, and an ordinary table ``marks``."""
    owner.execute(SLOW.format(condition, action).encode())
    make_table("notes", "id int primary key", policy="slow(id)")
    make_table("marks", "id int primary key", policy="true")
    try:
        yield
    finally:
        owner.execute("drop table notes; drop function slow")


async def test_two_rows_whose_policy_does_not_end_hide_no_others(world: World, settings: Any) -> None:
    settings.AYB_REALTIME = {"CHECK_TIMEOUT_SECONDS": 1}
    world.table("nodes", "id int primary key, parent int", enable=False)
    world.write(
        "create function rooted(int) returns boolean language sql stable security definer as $$"
        " with recursive up as (select id, parent from nodes where id = $1"
        "   union all select n.id, n.parent from nodes n join up on n.id = up.parent)"
        " select exists (select from up where parent is null) $$;"
        "create policy p on nodes using (rooted(id)); alter table nodes enable row level security;"
        "select ayb_realtime.enable_v1('nodes')"
    )
    try:
        async with world.relaying():
            clients = [await opened(world.hub, user, "nodes") for user in range(12)]
            world.write("insert into nodes values (1, 2), (2, 1)")
            for row_id in range(11, 56):
                world.write("insert into nodes values (%s, null)", [row_id])
            for client in clients:
                told = await client.until("nodes", 55)
                assert told.rows == [("nodes", row_id) for row_id in range(11, 56)]
                assert set(told.resets) == {"nodes"}
            assert sum(client.resumes for client in clients) == 0
    finally:
        world.write("drop table nodes; drop function rooted")


async def test_row_that_is_slow_for_one_keeps_them_from_no_other_table(world: World, settings: Any) -> None:
    settings.AYB_REALTIME = {"CHECK_TIMEOUT_SECONDS": 1}
    condition = f"$1 = 1 and {USER} = '5'"
    async with slow_notes(world.owner, world.table, condition, "perform pg_sleep(3)"), world.relaying():
        slow, other = await opened(world.hub, 5, "notes", "marks"), await opened(world.hub, 6, "notes", "marks")
        world.write("insert into notes values (0), (1), (2); insert into marks values (1)")
        told = await slow.until("marks", 1)
        assert told.resets == ["notes"]
        assert told.rows == [("notes", 0), ("notes", 2), ("marks", 1)]
        told = await other.until("marks", 1)
        assert (told.resets, told.rows) == ([], [("notes", 0), ("notes", 1), ("notes", 2), ("marks", 1)])
        world.write("insert into notes values (3)")
        assert (await slow.until("notes", 3)).resets == []
        assert slow.resumes == other.resumes == 0


@pytest.mark.parametrize(
    "action",
    [
        "loop end loop",
        CATCHES,
        "perform pg_advisory_xact_lock(4712)",
        "perform pg_terminate_backend(pg_backend_pid())",
        "raise exception using errcode = 'XX001'",
        "raise exception using errcode = '53200'",
    ],
)
async def test_policy_that_ends_for_no_row_of_one_costs_them_resets_now_and_then(
    world: World, settings: Any, action: str, caplog: pytest.LogCaptureFixture
) -> None:
    settings.AYB_REALTIME = {"CHECK_TIMEOUT_SECONDS": 1}
    async with slow_notes(world.owner, world.table, f"{USER} = '5'", action):
        world.write("select pg_advisory_lock(4712)")
        async with world.relaying():
            slow, other = await opened(world.hub, 5, "notes", "marks"), await opened(world.hub, 6, "notes", "marks")
            for row_id in range(1, 31):
                world.write("insert into notes values (%s)", [row_id])
                world.write("insert into marks values (%s)", [row_id])
                told = await other.until("marks", row_id)
                assert told.rows == [("notes", row_id), ("marks", row_id)]
            told = await slow.until("marks", 30)
            assert told.rows == [("marks", row_id) for row_id in range(1, 31)]
            assert told.reasons == {"row could not be checked"}
            # Those that may be sent at once, and one or two that were owed.
            assert 1 <= len(told.resets) <= BURST + 2
            assert slow.resumes == other.resumes == 0
        assert "did not say what 1 identities may see" in caplog.text
        world.write("select pg_advisory_unlock_all()")


async def test_resume_over_a_row_that_cannot_be_checked_goes_on_after_a_reset(world: World, settings: Any) -> None:
    settings.AYB_REALTIME = {"CHECK_TIMEOUT_SECONDS": 1}
    async with slow_notes(world.owner, world.table, f"$1 = 1 and {USER} = '5'", "loop end loop"), world.relaying():
        before = await world.caught_up()
        other = await opened(world.hub, 6, "marks")
        world.write("insert into notes values (0), (1), (2); insert into marks values (1)")
        await other.until("marks", 1)
        for _ in range(2):
            again = await opened(world.hub, 5, "notes", "marks", after=before)
            told = await again.until("marks", 1)
            assert told.resets == ["notes"]
            assert ("notes", 2) in told.rows
            assert again.resumes == 0


async def test_old_row_that_cannot_be_checked_is_told_by_a_reset(world: World, settings: Any) -> None:
    settings.AYB_REALTIME = {"DELETE_VISIBILITY": "policy", "CHECK_TIMEOUT_SECONDS": 1}
    async with slow_notes(world.owner, world.table, f"$1 = 1 and {USER} = '5'", "loop end loop"), world.relaying():
        earlier = await opened(world.hub, 6, "marks")
        world.write("insert into notes values (0), (1), (2); insert into marks values (1)")
        await earlier.until("marks", 1)
        slow, other = await opened(world.hub, 5, "notes", "marks"), await opened(world.hub, 6, "notes", "marks")
        world.write("delete from notes; insert into marks values (2)")
        told = await slow.until("marks", 2)
        assert told.resets == ["notes"]
        assert sorted(told.rows) == [("marks", 2), ("notes", 0), ("notes", 2)]
        told = await other.until("marks", 2)
        assert (told.resets, len(told.rows)) == ([], 4)
        assert slow.resumes == other.resumes == 0
    world.write("select setval('ayb_realtime.keeps_before', 0)")


async def test_row_that_is_too_large_to_send_is_told_by_a_reset(world: World) -> None:
    world.table("notes", "id int primary key, author text, body text", policy=f"author = {USER}")
    async with world.relaying():
        client = await opened(world.hub, 5, "notes")
        for size in (1000, LARGEST_CHARACTERS // 2):
            world.write("insert into notes values (%s, '5', repeat('x', %s))", [size, size])
            assert (await client.until("notes", size)).resets == []
        world.write("insert into notes values (1, '5', repeat('x', %s))", [LARGEST_CHARACTERS])
        world.write("insert into notes values (2, '5', '')")
        told = await client.until("notes", 2)
        assert told.rows == [("notes", 2)]
        assert told.resets == ["notes"]
        assert client.resumes == 0


async def test_row_that_has_become_too_large_to_send_is_told_by_a_reset(world: World) -> None:
    world.table("notes", "id int primary key, body text", policy="true")
    world.table("marks", "id int primary key", policy="true")
    async with world.relaying():
        after = await world.caught_up()
        client = await opened(world.hub, 5, "marks")
        world.write("insert into notes values (1, ''), (2, ''); insert into marks values (1)")
        await client.until("marks", 1)
    # Without a relay the update gets no position, so the row is read only for its create.
    world.write("update notes set body = repeat('x', %s) where id = 1", [LARGEST_CHARACTERS])
    again = await opened(world.hub, 5, "notes", after=after)
    told = await again.until("notes", 2)
    assert told.rows == [("notes", 2)]
    assert told.resets == ["notes"]
