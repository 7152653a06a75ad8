"""The log: every committed change gets one position, in order, and reads the same for ever."""

import asyncio
import json
import random
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from typing import Any
from uuid import uuid4

import psycopg
import pytest
import pytest_asyncio

from ayb_realtime.exceptions import PositionUnavailable
from ayb_realtime.log import queries
from ayb_realtime.log.changes import Action, Batch, Change
from ayb_realtime.postgres import database, sessions
from tests.integration.scenario import MakeTable, Owner

Connection = psycopg.AsyncConnection[Any]


@pytest_asyncio.fixture
async def relay(make_table: MakeTable) -> AsyncIterator[Connection]:
    """A connection as a sleeping relay has it, with the table ``notes`` streamed, and all that was there numbered."""
    make_table("notes", "id int primary key, version int")
    async with await database.connect("default") as connection:
        await sessions.settle(connection)
        await queries.keep_plans(connection)
        await queries.fall_asleep(connection)
        while await numbered(connection):
            pass
        yield connection


@pytest.fixture
def other(database_url: str) -> Iterator[Owner]:
    """A connection of another writer."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


async def numbered(connection: Connection) -> list[Change]:
    """Number what has committed, and return it."""
    batch = await queries.next_batch(connection)
    if batch is None:
        return []
    assert batch.head == batch.changes[-1].position
    return list(batch.changes)


def records(changes: list[Change]) -> list[Any]:
    """Return each change's action and the values of its record."""
    return [(change.action, *json.loads(change.record or "{}").values()) for change in changes]


async def assert_same_when_read(relay: Connection, batches: list[list[Change]], after: int) -> None:
    """Compare what ``next_batch`` returned with what ``read`` finds: all at once, by batch, and one by one."""
    changes = [change for batch in batches for change in batch]
    upto = after + len(changes)
    assert [change.position for change in changes] == list(range(after + 1, upto + 1))
    assert await queries.head(relay) == upto
    assert await queries.read(relay, after=after, upto=upto) == changes
    for batch in batches:
        assert await queries.read(relay, after=batch[0].position - 1, upto=batch[-1].position) == batch
    for change in changes[:50]:
        assert await queries.read(relay, after=change.position - 1, upto=change.position) == [change]


async def test_numbering_is_planned_once_and_not_for_an_empty_log(relay: Connection, owner: Owner) -> None:
    owner.execute("vacuum analyze ayb_realtime.change")
    owner.execute("insert into notes values (1, 0)")
    assert len(await numbered(relay)) == 1
    plans = await relay.execute(
        "select custom_plans from pg_prepared_statements where statement like '-- Number what has committed%'"
    )
    assert await plans.fetchall() == [(0,)]
    parameters = {"bytes": queries.NEW_BYTES, "changes": queries.NEW_CHANGES}
    plan = await relay.execute(b"explain " + database.sql("next_batch"), parameters)
    assert "Seq Scan on change" not in str(await plan.fetchall())


@pytest.mark.parametrize("emptied", ["batch", "epoch"])
async def test_log_that_was_emptied_by_hand_begins_an_epoch(relay: Connection, emptied: str) -> None:
    async with relay.transaction(force_rollback=True):
        before = await queries.head(relay)
        await relay.execute(f"truncate ayb_realtime.{emptied}".encode())
        assert await queries.ensure_epoch(relay)
        assert not await queries.ensure_epoch(relay)
        oldest, head = await queries.bounds(relay)
        assert oldest == head > before + 1


async def restore(relay: Connection, table: str) -> None:
    """Do what a restore of a table's data does: the same rows, by another transaction."""
    await relay.execute(f"create temp table saved as table ayb_realtime.{table}".encode())
    await relay.execute(f"truncate ayb_realtime.{table}".encode())
    await relay.execute(f"insert into ayb_realtime.{table} table saved".encode())
    await relay.execute("drop table saved")


@pytest.mark.parametrize("table", ["epoch", "batch"])
async def test_log_that_was_restored_begins_an_epoch(owner: Owner, relay: Connection, table: str) -> None:
    start = await queries.head(relay)
    owner.execute("insert into notes values (1, 0)")
    await numbered(relay)
    assert not await queries.ensure_epoch(relay)
    await restore(relay, table)
    assert await queries.epoch(relay) is None
    if table == "batch":
        owner.execute("insert into notes values (0, 0)")
        assert await numbered(relay) == []
    assert await queries.ensure_epoch(relay)
    assert await queries.epoch(relay) is not None
    assert await queries.head(relay) > start + 2
    with pytest.raises(PositionUnavailable):
        await queries.read(relay, after=start, upto=start + 1)
    owner.execute("insert into notes values (2, 0)")
    assert records(await numbered(relay)) == [("create", 2, 0)]


async def test_log_that_is_vacuumed_goes_on(owner: Owner, relay: Connection) -> None:
    owner.execute("insert into notes values (1, 0)")
    await numbered(relay)
    for how in ("freeze", "full, freeze"):
        owner.execute(f"vacuum ({how}) ayb_realtime.epoch, ayb_realtime.batch".encode())
        assert await queries.epoch(relay) is not None


async def test_epochs_are_never_the_same(relay: Connection) -> None:
    query = "select ayb_realtime.beginning_v1(%s) from generate_series(1, 1000)"
    beginnings = [row[0] for row in await (await relay.execute(query, [0])).fetchall()]
    assert len(set(beginnings)) == 1000
    assert 0 < min(beginnings) <= max(beginnings) < 1 << 53
    # Where the clock went back, or it is the same day, they are above what was told.
    for told in (max(beginnings), (1 << 53) - (1 << 37)):
        later = [row[0] for row in await (await relay.execute(query, [told])).fetchall()]
        assert len(set(later)) == 1000
        assert told < min(later) <= max(later) < 1 << 53


async def test_change_of_another_cluster_is_never_numbered(owner: Owner, relay: Connection) -> None:
    foreign = (
        "insert into ayb_realtime.change (xid, relation, action)"
        " select (pg_current_xact_id()::text::bigint + n)::text::xid8, 0, 'truncate' from generate_series(1, 20) n"
    )
    owner.execute(foreign)
    await restore(relay, "epoch")
    assert await queries.ensure_epoch(relay)
    not_ended = "select count(*) from ayb_realtime.change where not pg_visible_in_snapshot(xid, pg_current_snapshot())"
    assert owner.execute(not_ended.encode()).fetchone() == (0,)
    # And where they come later than the epoch began, or alone.
    owner.execute(foreign)
    for n in range(30):
        owner.execute("insert into notes values (%s, 0)", [n])
        assert records(await numbered(relay)) == [("create", n, 0)]


async def test_epoch_begins_while_writers_and_readers_are_in_the_log(
    owner: Owner, other: Owner, relay: Connection, database_url: str
) -> None:
    owner.execute("insert into notes values (1, 0)")
    await restore(relay, "epoch")
    with psycopg.connect(database_url) as reader, other.transaction():
        # Like a dump, which locks every table at its beginning.
        for table in ("change", "batch", "epoch", "slot_history"):
            reader.execute(f"lock table ayb_realtime.{table} in access share mode".encode())
        other.execute("insert into notes values (2, 0)")
        await relay.execute("set lock_timeout = '1ms'")
        assert await queries.ensure_epoch(relay)
        # What ended before is behind all who come, or fetch again now; what ends later is told.
        assert await numbered(relay) == []
        owner.execute("insert into notes values (3, 0)")
        assert records(await numbered(relay)) == [("create", 3, 0)]
    assert records(await numbered(relay)) == [("create", 2, 0)]


RESTART = "update ayb_realtime.epoch set server_start = server_start - interval '1 hour', xid = pg_current_xact_id()"


async def test_log_goes_on_after_a_restart_at_positions_of_its_own(owner: Owner, relay: Connection) -> None:
    start = await queries.head(relay)
    owner.execute("insert into notes values (1, 0)")
    await numbered(relay)
    owner.execute("insert into notes values (2, 0)")
    # A server may start again and again, and nothing is written.
    beginnings = []
    for _ in range(2):
        owner.execute(RESTART)
        assert not await queries.ensure_epoch(relay)
        beginnings.append(await queries.head(relay))
    assert start + 1 < beginnings[0] - 1 < beginnings[1] - 2
    oldest, _ = await queries.bounds(relay)
    assert oldest <= start
    assert records(await numbered(relay)) == [("create", 2, 0)]
    # Who had a position before it goes on by itself.
    read, after = [], start
    while after < beginnings[1] + 1:
        read += await queries.read(relay, after=after, upto=after + 500)
        after = read[-1].position
    assert [(change.action, change.position) for change in read] == [
        ("create", start + 1), ("epoch", beginnings[0]), ("epoch", beginnings[1]), ("create", beginnings[1] + 1),
    ]  # fmt: skip
    # But not with a position that this log has not told: it is of a copy, or of a server that has lost it.
    for unknown in (start + 2, beginnings[0] - 1, beginnings[0] + 1):
        with pytest.raises(PositionUnavailable):
            await queries.read(relay, after=unknown, upto=unknown + 1)


async def test_nothing_new_makes_no_batch(relay: Connection) -> None:
    head = await queries.head(relay)
    count = "select count(*) from ayb_realtime.batch"
    before = await (await relay.execute(count)).fetchone()
    assert await numbered(relay) == []
    assert await queries.head(relay) == head
    assert await (await relay.execute(count)).fetchone() == before


async def test_batch_reads_the_same_later(owner: Owner, relay: Connection) -> None:
    start = await queries.head(relay)
    batches: list[list[Change]] = []
    for n in range(3):
        owner.execute("insert into notes values (%s, 0)", [n])
        with owner.transaction():
            owner.execute("update notes set version = version + 1")
            with owner.transaction():
                owner.execute("delete from notes where id = 0")
        with owner.transaction():
            owner.execute("insert into notes values (99, 0)")
            raise psycopg.Rollback
        batches.append(await numbered(relay))
    assert records(batches[0]) == [("create", 0, 0), ("delete", 0, 1)]
    await assert_same_when_read(relay, batches, start)


async def test_change_tells_its_table(owner: Owner, relay: Connection) -> None:
    start = await queries.head(relay)
    owner.execute("insert into notes values (1, 0)")
    row = owner.execute("select 'notes'::regclass::oid::bigint").fetchone()
    assert row is not None
    assert await numbered(relay) == [Change(start + 1, row[0], Action.CREATE, '{"id":1,"version":0}')]


INSERT, UPDATE, DELETE = (
    "insert into notes values (1, 0)",
    "update notes set version = version + 1 where id = 1",
    "delete from notes where id = 1",
)


@pytest.mark.parametrize(
    ("existed", "statements", "expected"),
    [
        (False, [INSERT], [("create", 1, 0)]),
        (False, [INSERT, UPDATE, UPDATE], [("create", 1, 2)]),
        (False, [INSERT, DELETE, INSERT], [("create", 1, 0)]),
        (False, [INSERT, DELETE, INSERT, UPDATE], [("create", 1, 1)]),
        (False, [INSERT, DELETE], []),
        (False, [INSERT, UPDATE, DELETE, INSERT, DELETE], []),
        (True, [UPDATE, UPDATE], [("update", 1, 2)]),
        (True, [UPDATE, DELETE], [("delete", 1, 1)]),
        (True, [DELETE, INSERT], [("update", 1, 0)]),
        (True, [UPDATE, DELETE, INSERT, UPDATE], [("update", 1, 1)]),
        (True, [DELETE, INSERT, DELETE], [("delete", 1, 0)]),
        (True, ["update notes set id = 2"], [("delete", 1, 0), ("create", 2, 0)]),
        (True, ["update notes set id = 2", "update notes set id = 1"], [("update", 1, 0)]),
        (True, [UPDATE, "truncate notes", INSERT], [("truncate",), ("update", 1, 0)]),
    ],
)
async def test_transaction_is_told_as_what_it_did_to_each_row(
    owner: Owner, relay: Connection, existed: bool, statements: list[str], expected: list[Any]
) -> None:
    if existed:
        owner.execute(INSERT)
        await numbered(relay)
    start = await queries.head(relay)
    with owner.transaction():
        for statement in statements:
            owner.execute(statement.encode())
    owner.execute("insert into notes values (9, 9)")
    changes = await numbered(relay)
    assert records(changes) == [*expected, ("create", 9, 9)]
    await assert_same_when_read(relay, [changes], start)


SWAP = "update seats set id = 3 - id"
SWAPPED = [("update", {"id": 2, "who": "x"}), ("update", {"id": 1, "who": "y"})]


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        ([SWAP], SWAPPED),
        ([SWAP, SWAP], [("update", {"id": 1, "who": "x"}), ("update", {"id": 2, "who": "y"})]),
        ([SWAP, "update seats set who = 'z' where id = 2"], [SWAPPED[1], ("update", {"id": 2, "who": "z"})]),
        ([SWAP, "delete from seats where id = 2"], [SWAPPED[1], ("delete", {"id": 2, "who": "x"})]),
        (
            ["insert into seats values (1, 'z')", "delete from seats where who = 'x'"],
            [("update", {"id": 1, "who": "z"})],
        ),
        (["insert into seats values (3, 'z')", "delete from seats where id = 3"], []),
        (
            [
                "insert into seats values (1, 'z')",
                "update seats set who = 'new' where who = 'z'",
                "delete from seats where who = 'x'",
            ],
            [("update", {"id": 1, "who": "new"})],
        ),
        # That it is the old row which is updated and deleted, is not to be seen. What is sent is the row as it is.
        (
            [
                "insert into seats values (1, 'z')",
                "update seats set who = 'old' where who = 'x'",
                "delete from seats where who = 'old'",
            ],
            [("update", {"id": 1, "who": "old"})],
        ),
        (
            [
                "insert into seats values (3, 'a'), (3, 'b')",
                "update seats set who = 'new' where who = 'b'",
                "delete from seats where who = 'a'",
            ],
            [("create", {"id": 3, "who": "new"})],
        ),
        (
            ["insert into seats values (1, 'z')", "delete from seats where id = 1"],
            [("delete", {"id": 1, "who": "z"})],
        ),
    ],
)
async def test_two_rows_under_one_key_for_a_while_are_told_apart(
    owner: Owner, relay: Connection, make_table: MakeTable, statements: list[str], expected: list[Any]
) -> None:
    make_table("seats", "id int primary key deferrable initially deferred, who text")
    owner.execute("insert into seats values (1, 'x'), (2, 'y')")
    await numbered(relay)
    start = await queries.head(relay)
    with owner.transaction():
        for statement in statements:
            owner.execute(statement.encode())
    changes = await numbered(relay)
    assert [(change.action, json.loads(change.record or "")) for change in changes] == expected
    if changes:
        await assert_same_when_read(relay, [changes], start)


async def test_rows_tables_and_transactions_are_told_apart(
    owner: Owner, relay: Connection, make_table: MakeTable
) -> None:
    make_table("others", "a text, b text, primary key (b, a)")
    with owner.transaction():
        owner.execute("insert into notes values (1, 0), (2, 0)")
        owner.execute("insert into others values ('1', '2'), ('2', '1'), ('12', '')")
        owner.execute("update others set b = '1' where b = ''")
    owner.execute("update notes set version = 1 where id = 1")
    assert records(await numbered(relay)) == [
        ("create", 1, 0), ("create", 2, 0),
        ("create", "1", "2"), ("create", "2", "1"), ("create", "12", "1"),
        ("update", 1, 1),
    ]  # fmt: skip


@pytest.mark.parametrize("gone", ["alter table notes drop constraint notes_pkey", "drop table notes"])
async def test_rows_without_a_key_are_not_taken_for_one(owner: Owner, relay: Connection, gone: str) -> None:
    owner.execute("insert into notes values (1, 0), (2, 0)")
    owner.execute(gone.encode())
    assert records(await numbered(relay)) == [("create", 1, 0), ("create", 2, 0)]


async def test_rows_whose_key_column_was_renamed_are_not_taken_for_one(owner: Owner, relay: Connection) -> None:
    owner.execute("insert into notes values (1, 0), (2, 0)")
    owner.execute("alter table notes rename id to number")
    assert records(await numbered(relay)) == [("create", 1, 0), ("create", 2, 0)]


async def test_transaction_that_leaves_nothing_is_passed(owner: Owner, relay: Connection) -> None:
    head = await queries.head(relay)
    with owner.transaction():
        owner.execute(INSERT)
        owner.execute(DELETE)
    assert await numbered(relay) == []
    assert await queries.head(relay) == head
    # And not looked at again.
    assert owner.execute(
        "select pg_visible_in_snapshot(xid, (select snapshot from ayb_realtime.batch order by id desc"
        " limit 1)) from ayb_realtime.change order by id desc limit 1"
    ).fetchone() == (True,)


async def test_large_transaction_is_told_once_for_each_row_and_reads_the_same_in_parts(
    owner: Owner, relay: Connection
) -> None:
    start = await queries.head(relay)
    with owner.transaction():
        # Each row is written three times, far apart; the first of them are deleted again.
        owner.execute("insert into notes select n, 0 from generate_series(1, 3000) n")
        owner.execute("update notes set version = version + 1")
        owner.execute("update notes set version = version + 1")
        owner.execute("delete from notes where id <= 500")
    changes = await numbered(relay)
    assert sorted(records(changes)) == [("create", row, 2) for row in range(501, 3001)]
    if changes:
        await assert_same_when_read(relay, [changes], start)
    parts = owner.execute("select size from ayb_realtime.batch where first_position > %s order by id", [start])
    assert sum(size for (size,) in parts.fetchall()) == 2500


async def test_beginning_of_a_large_batch_is_handed_out_and_all_of_it_is_in_the_log(
    owner: Owner, relay: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "NEW_CHANGES", 10)
    start = await queries.head(relay)
    owner.execute("insert into notes select n, 0 from generate_series(1, 2500) n")
    batch = await queries.next_batch(relay)
    assert batch is not None
    assert batch.head == start + 2500 == await queries.head(relay)
    assert records(list(batch.changes)) == [("create", n, 0) for n in range(1, 11)]
    assert records(await queries.read(relay, after=start, upto=batch.head)) == [
        ("create", n, 0) for n in range(1, 2501)
    ]
    monkeypatch.setattr(queries, "NEW_BYTES", 1)
    owner.execute("update notes set version = 1 where id <= 3")
    batch = await queries.next_batch(relay)
    assert batch is not None
    assert (batch.head, len(batch.changes)) == (start + 2503, 1)


async def test_rows_are_measured_as_they_are_unpacked(owner: Owner, relay: Connection, make_table: MakeTable) -> None:
    make_table("letters", "id int primary key, body text")
    start = await queries.head(relay)
    owner.execute("insert into letters select n, repeat('x', 100000) from generate_series(1, 100) n")
    batch = await queries.next_batch(relay)
    assert batch is not None
    assert batch.head == start + 100
    for changes, limit in (
        (batch.changes, queries.NEW_BYTES),
        (await queries.read(relay, after=start, upto=start + 100), queries.READ_BYTES),
    ):
        assert limit - 101_000 < sum(change.characters for change in changes) <= limit


async def test_row_that_is_too_large_for_the_layer_is_left_to_the_log(
    owner: Owner, relay: Connection, make_table: MakeTable
) -> None:
    make_table("letters", "id int primary key, body text")
    start = await queries.head(relay)
    owner.execute("insert into letters select n, repeat('x', 5000000) from generate_series(1, 2) n")
    assert await queries.next_batch(relay) == Batch(start + 2)
    for n in (0, 1):
        (change,) = await queries.read(relay, after=start + n, upto=start + 2)
        assert change.characters > 5_000_000


async def test_changes_of_other_tables_are_passed_over_without_their_rows(
    owner: Owner, relay: Connection, make_table: MakeTable
) -> None:
    make_table("letters", "id int primary key, body text")
    letters = owner.execute("select 'letters'::regclass::oid::bigint").fetchall()[0]
    start = await queries.head(relay)
    with owner.transaction():
        owner.execute("insert into letters select n, 'x' from generate_series(1, 2500) n")
        owner.execute("insert into notes values (1, 0)")
        owner.execute("insert into letters select n, 'x' from generate_series(2501, 4499) n")
    owner.execute("insert into letters values (4500, 'x')")
    await queries.next_batch(relay)
    owner.execute("insert into notes values (2, 0)")
    await numbered(relay)
    end = start + 4502
    assert await queries.head(relay) == end
    skips = [
        await queries.skip(relay, after=start + n, upto=end, unread=letters) - start for n in (0, 7, 1999, 2000, 3000)
    ]
    assert skips == [2000, 2000, 2000, 2000, 4501]
    assert await queries.skip(relay, after=start, upto=start + 100, unread=letters) == start + 100
    assert await queries.skip(relay, after=start, upto=end, unread=()) == start
    read = await queries.read(relay, after=start + 2000, upto=start + 3000, unread=letters)
    assert [change.position for change in read] == list(range(start + 2001, start + 3001))
    assert [change.record for change in read if change.record] == ['{"id":1,"version":0}']
    async with relay.transaction(force_rollback=True):
        # Neither is passed over what is gone, nor are the rows that are not read left out of the proof.
        await relay.execute("delete from ayb_realtime.batch where first_position = %s", [start + 1001])
        assert await queries.skip(relay, after=start, upto=end, unread=letters) == start + 1000
        assert await queries.skip(relay, after=start + 1000, upto=end, unread=letters) == start + 1000
        with pytest.raises(PositionUnavailable):
            await queries.read(relay, after=start + 1000, upto=end, unread=letters)
        await relay.execute('delete from ayb_realtime.change where record::text = \'{"id":2501,"body":"x"}\'')
        with pytest.raises(PositionUnavailable):
            await queries.read(relay, after=start + 2000, upto=start + 3000, unread=letters)


async def test_truncate_has_no_record(owner: Owner, relay: Connection) -> None:
    owner.execute("truncate notes")
    ((action, record),) = [(change.action, change.record) for change in await numbered(relay)]
    assert (action, record) == ("truncate", None)


async def test_long_transaction_holds_nobody_up_and_is_numbered_when_it_commits(
    owner: Owner, other: Owner, relay: Connection
) -> None:
    start = await queries.head(relay)
    batches = []
    with owner.transaction():
        owner.execute("insert into notes values (1, 0)")
        with owner.transaction():
            owner.execute("insert into notes values (2, 0)")
        for n in (10, 11, 12):
            other.execute("insert into notes values (%s, 0)", [n])
            batches.append(await numbered(relay))
            assert records(batches[-1]) == [("create", n, 0)]
        with owner.transaction():
            owner.execute("insert into notes values (3, 0)")
        assert await numbered(relay) == []
    batches.append(await numbered(relay))
    assert records(batches[-1]) == [("create", n, 0) for n in (1, 2, 3)]
    assert await numbered(relay) == []
    await assert_same_when_read(relay, batches, start)


async def test_transaction_that_ran_across_batches_and_rolled_back_is_never_numbered(
    owner: Owner, other: Owner, relay: Connection
) -> None:
    start = await queries.head(relay)
    with owner.transaction():
        owner.execute("insert into notes values (1, 0)")
        other.execute("insert into notes values (10, 0)")
        first = await numbered(relay)
        owner.execute("insert into notes values (2, 0)")
        raise psycopg.Rollback
    assert await numbered(relay) == []
    other.execute("insert into notes values (11, 0)")
    second = await numbered(relay)
    assert records(first + second) == [("create", 10, 0), ("create", 11, 0)]
    await assert_same_when_read(relay, [first, second], start)


async def test_transactions_that_overlap_are_each_numbered_once(
    database_url: str, other: Owner, relay: Connection
) -> None:
    """Ten writers, one ending as the next begins, each seen as running by several batches."""
    start = await queries.head(relay)
    batches = []
    with ExitStack() as stack:
        writers = [stack.enter_context(psycopg.connect(database_url)) for _ in range(10)]
        for n, writer in enumerate(writers):
            writer.execute("insert into notes values (%s, 0)", [n])
            if n >= 3:
                writers[n - 3].commit() if n % 2 else writers[n - 3].rollback()
            other.execute("insert into notes values (%s, 0)", [100 + n])
            batches.append(await numbered(relay))
        for writer in writers[7:]:
            writer.commit()
        batches.append(await numbered(relay))
    created = sorted(change[1] for batch in batches for change in records(batch))
    assert created == [0, 2, 4, 6, 7, 8, 9, *range(100, 110)]
    await assert_same_when_read(relay, batches, start)


async def test_two_writers_of_one_row_are_in_the_order_of_their_commits(
    owner: Owner, other: Owner, relay: Connection
) -> None:
    owner.execute("insert into notes values (1, 0)")
    assert len(await numbered(relay)) == 1
    with owner.transaction():
        # Has the older transaction id, and gets the row's lock second.
        owner.execute("insert into notes values (2, 0)")
        other.execute("update notes set version = 1 where id = 1")
        owner.execute("update notes set version = 2 where id = 1")
    assert records(await numbered(relay)) == [("create", 2, 0), ("update", 1, 1), ("update", 1, 2)]


async def test_prepared_transaction_is_refused_as_long_as_it_notifies(owner: Owner, relay: Connection) -> None:
    owner.execute("begin")
    owner.execute("insert into notes values (1, 0)")
    with pytest.raises(psycopg.errors.FeatureNotSupported, match="NOTIFY"):
        owner.execute(f"prepare transaction '{uuid4()}'".encode())
    assert await numbered(relay) == []


async def test_second_of_two_relays_is_fenced(owner: Owner, relay: Connection) -> None:
    start = await queries.head(relay)
    owner.execute("insert into notes values (1, 0)")
    async with await database.connect("default") as rival:
        async with rival.transaction():
            theirs = await numbered(rival)
            # Waits for the rival to end: both open the same batch.
            ours = asyncio.create_task(numbered(relay))
            await until_waiting(rival, relay)
            assert not ours.done()
        with pytest.raises(psycopg.errors.UniqueViolation):
            await ours
    owner.execute("insert into notes values (2, 0)")
    await assert_same_when_read(relay, [theirs, await numbered(relay)], start)


async def test_second_of_two_relays_takes_over_where_the_first_fails(owner: Owner, relay: Connection) -> None:
    start = await queries.head(relay)
    owner.execute("insert into notes values (1, 0)")
    async with await database.connect("default") as rival:
        async with rival.transaction(force_rollback=True):
            theirs = await numbered(rival)
            ours = asyncio.create_task(numbered(relay))
            await until_waiting(rival, relay)
        assert await ours == theirs
    await assert_same_when_read(relay, [theirs], start)


async def until_waiting(observer: Connection, waiting: Connection) -> None:
    """Return once a connection waits for a lock."""
    async with asyncio.timeout(30):
        while True:
            cursor = await observer.execute("select cardinality(pg_blocking_pids(%s))", [waiting.info.backend_pid])
            if await cursor.fetchone() == (1,):
                return


async def test_range_beyond_the_head_is_unavailable(owner: Owner, relay: Connection) -> None:
    owner.execute("insert into notes values (1, 0)")
    await numbered(relay)
    head = await queries.head(relay)
    assert len(await queries.read(relay, after=head - 1, upto=head)) == 1
    assert len(await queries.read(relay, after=head - 1, upto=head + 1)) == 1
    for after, upto in ((head, head + 1), (head + 5, head + 6)):
        with pytest.raises(PositionUnavailable):
            await queries.read(relay, after=after, upto=upto)


async def test_large_changes_are_read_in_parts(
    owner: Owner, relay: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "READ_BYTES", 100)
    start = await queries.head(relay)
    owner.execute("insert into notes select n, 0 from generate_series(1, 20) as n")
    changes = await numbered(relay)
    read: list[Change] = []
    while len(read) < 20:
        part = await queries.read(relay, after=start + len(read), upto=start + 20)
        assert len(part) < 20
        read += part
    assert read == changes


async def test_range_whose_beginning_is_gone_is_unavailable(owner: Owner, relay: Connection) -> None:
    start = await queries.head(relay)
    for n in range(3):
        owner.execute("insert into notes values (%s, 0)", [n])
        await numbered(relay)
    async with relay.transaction(force_rollback=True):
        await relay.execute("delete from ayb_realtime.batch where first_position <= %s", [start + 1])
        assert len(await queries.read(relay, after=start + 2, upto=start + 3)) == 1
        for upto in (start + 1, start + 3):
            with pytest.raises(PositionUnavailable):
                await queries.read(relay, after=start, upto=upto)


async def test_change_that_is_gone_makes_its_batch_unavailable(owner: Owner, relay: Connection) -> None:
    start = await queries.head(relay)
    owner.execute("insert into notes select n, 0 from generate_series(1, 3) as n")
    await numbered(relay)
    async with relay.transaction(force_rollback=True):
        await relay.execute("delete from ayb_realtime.change where id = (select max(id) from ayb_realtime.change)")
        with pytest.raises(PositionUnavailable):
            await queries.read(relay, after=start, upto=start + 3)


async def test_log_is_a_ring_that_forgets_the_oldest_part_and_says_so(owner: Owner, relay: Connection) -> None:
    start = await queries.head(relay)
    for n in range(12):
        owner.execute("insert into notes values (%s, 0)", [n])
        await numbered(relay)
        assert await queries.prune(relay, keep_hours=0)
    oldest, head = await queries.bounds(relay)
    # The parts that were not emptied hold seven changes.
    assert (oldest, head) == (start + 5, start + 12)
    assert len(await queries.read(relay, after=oldest, upto=head)) == 7
    with pytest.raises(PositionUnavailable):
        await queries.read(relay, after=oldest - 1, upto=head)
    assert not await queries.prune(relay, keep_hours=1)


async def test_batch_of_many_parts_is_forgotten_as_a_whole(owner: Owner, relay: Connection) -> None:
    start = await queries.head(relay)
    owner.execute("insert into notes select n, 0 from generate_series(1, 2500) n")
    await numbered(relay)
    for _ in range(8):
        assert await queries.prune(relay, keep_hours=0)
    assert await queries.bounds(relay) == (start + 2500, start + 2500)
    owner.execute("insert into notes values (0, 0)")
    await assert_same_when_read(relay, [await numbered(relay)], start + 2500)


async def test_ring_does_not_move_on_while_a_part_is_emptied(owner: Owner, other: Owner, relay: Connection) -> None:
    with owner.transaction():
        owner.execute("select ayb_realtime.prune_v1('0')")
        other.execute("set lock_timeout = '10ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            other.execute("select ayb_realtime.next_slot_v1()")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            await queries.prune(relay, keep_hours=0)


async def test_part_with_a_change_that_is_not_numbered_is_kept(owner: Owner, relay: Connection) -> None:
    await numbered(relay)
    owner.execute("insert into notes values (1, 0)")
    moved = [await queries.prune(relay, keep_hours=0) for _ in range(9)]
    assert moved == [True] * 7 + [False] * 2
    assert len(await numbered(relay)) == 1
    assert await queries.prune(relay, keep_hours=0)


async def test_part_that_a_transaction_still_writes_to_is_kept_and_nobody_waits(
    owner: Owner, relay: Connection, database_url: str
) -> None:
    with psycopg.connect(database_url) as writing:
        writing.execute("insert into notes values (1, 0)")
        for _ in range(7):
            assert await queries.prune(relay, keep_hours=0)
        with pytest.raises(psycopg.errors.LockNotAvailable):
            await queries.prune(relay, keep_hours=0)
        owner.execute("insert into notes values (2, 0)")
    assert len(await numbered(relay)) == 2


WRITERS = 6
ROWS = 8
TRANSACTIONS = 150


class RandomWriter(threading.Thread):
    """Writes to a few rows that others write to, too, with savepoints and rollbacks."""

    def __init__(self, url: str, seed: int) -> None:
        super().__init__()
        self._url = url
        self._chance = random.Random(seed)
        self.committed = 0

    def run(self) -> None:
        with psycopg.connect(self._url, autocommit=True) as connection:
            for _ in range(TRANSACTIONS):
                done = 0
                with connection.transaction():
                    # In one order, so that there are no deadlocks.
                    for row in sorted(self._chance.sample(range(ROWS), self._chance.randint(1, 3))):
                        done += self._write(connection, row)
                    if self._chance.random() < 0.2:
                        done = 0
                        raise psycopg.Rollback
                self.committed += done

    def _write(self, connection: Owner, row: int) -> int:
        """Count the row's version up; now and then inside a savepoint, or one that is rolled back."""
        count_up = "update notes set version = version + 1 where id = %s"
        kind = self._chance.choice(("plain", "savepoint", "rolled back"))
        if kind == "plain":
            connection.execute(count_up, [row])
            return 1
        with connection.transaction():
            connection.execute(count_up, [row])
            if kind == "rolled back":
                raise psycopg.Rollback
        return int(kind == "savepoint")


async def test_random_writers_lose_and_repeat_nothing(owner: Owner, database_url: str, relay: Connection) -> None:
    owner.execute("insert into notes select n, 0 from generate_series(0, %s) as n", [ROWS - 1])
    await numbered(relay)
    start = await queries.head(relay)
    writers = [RandomWriter(database_url, seed) for seed in range(WRITERS)]
    for writer in writers:
        writer.start()
    batches = []
    while any(writer.is_alive() for writer in writers):
        batches.append(await numbered(relay))
    batches.append(await numbered(relay))
    batches = [batch for batch in batches if batch]

    changes = [change for batch in batches for change in batch]
    versions: dict[int, list[int]] = {row: [] for row in range(ROWS)}
    for _, row, version in records(changes):
        versions[row].append(version)
    # A row's versions are 1, 2, 3 …: a lost one is a gap, a repeated or an early one is out of order.
    assert versions == {row: list(range(1, len(seen) + 1)) for row, seen in versions.items()}
    stored = dict(owner.execute("select id, version from notes").fetchall())
    assert {row: len(seen) for row, seen in versions.items()} == stored
    assert sum(writer.committed for writer in writers) == len(changes)
    assert len(batches) > 1
    await assert_same_when_read(relay, batches, start)
