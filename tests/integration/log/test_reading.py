"""Reading a range of the log, and ranges that the log does not hold."""

import json
import random

import pytest

from ayb_realtime.conf import conf
from ayb_realtime.exceptions import PositionUnavailable
from ayb_realtime.log import queries
from ayb_realtime.log.changes import Change
from ayb_realtime.postgres import database
from tests.integration.log.conftest import Connection, assert_same_when_read, numbered
from tests.integration.scenario import MakeTable, Owner


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


async def test_no_more_of_a_row_is_read_than_shows_that_it_is_too_large(
    owner: Owner, relay: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "LARGEST_CHARACTERS", 2)
    start = await queries.head(relay)
    owner.execute("insert into notes values (1, 0)")
    await numbered(relay)
    (change,) = await queries.read(relay, after=start, upto=start + 1)
    assert change.record == '{"i'


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


async def test_rows_as_they_were_read_the_same_from_the_log(owner: Owner, make_table: MakeTable) -> None:
    make_table("notes", "id int primary key, version int")
    chance = random.Random(7)
    statements = [
        "insert into notes select n, 0 from generate_series(1, 30) n on conflict do nothing",
        "update notes set version = version + 1 where id % 3 = 0",
        "update notes set id = (select max(id) + 1 from notes) where id = (select min(id) from notes)",
        "delete from notes where id % 5 = 1",
        "delete from notes where id = (select max(id) from notes)",
    ]
    async with await database.connect(conf.relay_database) as relay:
        await relay.execute("select setval('ayb_realtime.keeps_before', 1)")
        while await numbered(relay):
            pass
        start = await queries.head(relay)
        batches = []
        for _ in range(20):
            owner.execute("; ".join(chance.choices(statements, k=chance.randint(1, 6))).encode())
            if batch := await numbered(relay):
                batches.append(batch)
        await assert_same_when_read(relay, batches, start)
        changes = [change for batch in batches for change in batch]
        assert {(c.action, c.before is None) for c in changes} == {
            ("create", True),
            ("update", False),
            ("delete", False),
        }
        rows: dict[int, int] = {}
        for change in changes:
            row = json.loads(change.record or "{}")
            if change.before is not None:
                assert json.loads(change.before) == {"id": row["id"], "version": rows[row["id"]]}
            rows[row["id"]] = row["version"]
        await relay.execute("select setval('ayb_realtime.keeps_before', 0)")
