"""A transaction becomes one change for each row that it leaves different."""

import json
from typing import Any

import pytest

from ayb_realtime.log import queries
from tests.integration.log.conftest import Connection, assert_same_when_read, numbered, records
from tests.integration.scenario import MakeTable, Owner

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
        # The log cannot tell that the old row is the one updated and deleted. The row is sent as it is now.
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
        # Each row is written three times, far apart; the first rows are deleted again.
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
