"""The short statement that numbers plain batches: what it numbers, and what it leaves to the long one."""

from typing import Any

import pytest

from ayb_realtime.log import queries
from ayb_realtime.postgres.sql_files import statement
from tests.integration.log.conftest import Connection, numbered, records
from tests.integration.scenario import MakeTable, Owner

PARAMETERS = {"bytes": queries.NEW_BYTES, "changes": queries.NEW_CHANGES}
# Without the snapshot and the transaction, which are not the same twice.
NEWEST = """
select id, first_position, size, first_id, last_id, outcomes, first_change_ids, relations
  from ayb_realtime.batch order by id desc limit 1
"""


async def numbered_by(relay: Connection, name: str) -> tuple[list[Any], list[Any]]:
    """Return what a statement returns, and the newest batch then. It is rolled back, so the changes are new again."""
    async with relay.transaction(force_rollback=True):
        rows = await (await relay.execute(statement(name), PARAMETERS)).fetchall()
        return rows, await (await relay.execute(NEWEST)).fetchall()


def heads(rows: list[Any]) -> list[int | None]:
    """Return the newest position that each row of an answer gives; None: the changes are not plain."""
    return [head for *_, head in rows]


@pytest.fixture
def letters(owner: Owner, make_table: MakeTable) -> None:
    """A second table, with a row."""
    make_table("letters", "id int primary key, body text")
    owner.execute("insert into letters values (1, 'x')")


@pytest.mark.parametrize(
    ("transactions", "changes"),
    [
        ([], 0),
        (["insert into notes values (1, 0)"], 1),
        (["update letters set body = 'y'"], 1),
        (["delete from letters"], 1),
        (["truncate letters"], 1),
        (["update letters set id = 2 where false"], 0),
        (["insert into notes values (1, 0); insert into letters values (2, 'x')"], 2),
        (["insert into notes values (1, 0)", "update notes set version = 1", "delete from notes"], 3),
        (["alter table letters add column at timestamptz; select ayb_realtime.announce_altered_v1()"], 1),
        (["select ayb_realtime.disable_v1('letters'); select ayb_realtime.enable_v1('letters')"], 1),
    ],
)
@pytest.mark.usefixtures("letters")
async def test_plain_batch_is_what_the_long_statement_makes_of_it(
    owner: Owner, relay: Connection, transactions: list[str], changes: int
) -> None:
    await queries.keep_before(relay, is_kept=True)
    try:
        await queries.next_batch(relay)
        for transaction in transactions:
            owner.execute(transaction.encode())
        plain = await numbered_by(relay, "next_plain_batch")
        assert plain == await numbered_by(relay, "next_batch")
        assert len(plain[0]) == changes
        assert None not in heads(plain[0])
    finally:
        await queries.keep_before(relay, is_kept=False)


@pytest.mark.parametrize(
    ("limits", "transaction"),
    [
        ({}, "insert into notes values (2, 0); update notes set version = 1 where id = 2"),
        ({}, "insert into notes values (2, 0), (3, 0)"),
        ({}, "insert into notes select n, 0 from generate_series(2, 2000) n"),
        ({"bytes": 40}, "insert into notes values (2, 0)"),
        ({"changes": 1}, "insert into notes values (2, 0)"),
    ],
)
async def test_what_is_not_plain_is_left_alone_and_said(
    owner: Owner, relay: Connection, limits: dict[str, int], transaction: str
) -> None:
    head = await queries.head(relay)
    owner.execute("insert into notes values (1, 0)")
    owner.execute(transaction.encode())
    found = await relay.execute(statement("next_plain_batch"), PARAMETERS | limits)
    assert heads(await found.fetchall()) == [None]
    assert await queries.head(relay) == head
    assert records(await numbered(relay))[0] == ("create", 1, 0)


async def test_a_thousand_transactions_are_plain_and_one_more_is_not(owner: Owner, relay: Connection) -> None:
    for n in range(1000):
        owner.execute("insert into notes values (%s, 0)", [n])
    rows, _ = await numbered_by(relay, "next_plain_batch")
    assert len(rows) == 1000
    owner.execute("insert into notes values (1000, 0)")
    rows, _ = await numbered_by(relay, "next_plain_batch")
    assert heads(rows) == [None]
    assert len(await numbered(relay)) == 1001
