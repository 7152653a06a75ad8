"""What a batch holds and what is read from it, even if it is large."""

import psycopg
import pytest

from ayb_realtime.exceptions import PositionUnavailable
from ayb_realtime.log import queries
from ayb_realtime.log.changes import Action, Announcement, Change
from ayb_realtime.postgres.sql_files import statement
from tests.integration.log.conftest import Connection, assert_same_when_read, numbered, records
from tests.integration.scenario import MakeTable, Owner


async def test_numbering_is_planned_once_and_not_for_an_empty_log(relay: Connection, owner: Owner) -> None:
    owner.execute("vacuum analyze ayb_realtime.change")
    owner.execute("insert into notes values (1, 0)")
    assert len(await numbered(relay)) == 1
    plans = await relay.execute(
        "select custom_plans from pg_prepared_statements where statement like '-- Number the changes%'"
    )
    assert await plans.fetchall() == [(0,)]
    parameters = {"bytes": queries.NEW_BYTES, "changes": queries.NEW_CHANGES}
    plan = await relay.execute("explain " + statement("next_batch"), parameters)
    assert "Seq Scan on change" not in str(await plan.fetchall())


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
    assert await queries.next_batch(relay) == Announcement(start + 2)
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
        await queries.skip(relay, after=start + n, upto=end, skippable=letters) - start
        for n in (0, 7, 1999, 2000, 3000)
    ]
    assert skips == [2000, 2000, 2000, 2000, 4501]
    assert await queries.skip(relay, after=start, upto=start + 100, skippable=letters) == start + 100
    assert await queries.skip(relay, after=start, upto=end, skippable=()) == start
    read = await queries.read(relay, after=start + 2000, upto=start + 3000, skippable=letters)
    assert [change.position for change in read] == list(range(start + 2001, start + 3001))
    assert [change.record for change in read if change.record] == ['{"id":1,"version":0}']
    async with relay.transaction(force_rollback=True):
        # A gap is not skipped, and rows that are not read count when gaps are looked for.
        await relay.execute("delete from ayb_realtime.batch where first_position = %s", [start + 1001])
        assert await queries.skip(relay, after=start, upto=end, skippable=letters) == start + 1000
        assert await queries.skip(relay, after=start + 1000, upto=end, skippable=letters) == start + 1000
        with pytest.raises(PositionUnavailable):
            await queries.read(relay, after=start + 1000, upto=end, skippable=letters)
        await relay.execute('delete from ayb_realtime.change where record::text = \'{"id":2501,"body":"x"}\'')
        with pytest.raises(PositionUnavailable):
            await queries.read(relay, after=start + 2000, upto=start + 3000, skippable=letters)


async def test_truncate_has_no_record(owner: Owner, relay: Connection) -> None:
    owner.execute("truncate notes")
    ((action, record),) = [(change.action, change.record) for change in await numbered(relay)]
    assert (action, record) == ("truncate", None)
