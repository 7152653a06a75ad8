"""The streamed tables, as found in the catalog."""

import pytest

from ayb_realtime.conf import conf
from ayb_realtime.exceptions import UnknownTable
from ayb_realtime.postgres import database, tables
from ayb_realtime.postgres.tables import Table
from tests.integration.scenario import MakeTable, Owner


async def streamed() -> list[Table]:
    """Return the streamed tables."""
    async with await database.connect(conf.hub_database) as connection:
        return await tables.streamed(connection)


async def one(name: str) -> Table:
    """Return the streamed table with this name."""
    (table,) = tables.named(await streamed(), [name])
    return table


async def test_table_is_known_with_its_key_in_the_order_of_the_key(owner: Owner, make_table: MakeTable) -> None:
    make_table("seats", "hall text, body text, number int, primary key (number, hall)", policy="true")
    row = owner.execute(
        "select tgrelid::bigint, oid::bigint from pg_trigger"
        " where tgname = '!ayb_realtime' and tgrelid = 'seats'::regclass"
    ).fetchone()
    assert row is not None
    assert await one("seats") == Table(
        row[0], "public", "seats", ("number", "hall"), (), row_security=True, trigger=row[1]
    )


async def test_columns_with_a_time_zone_are_known(owner: Owner, make_table: MakeTable) -> None:
    owner.execute("create domain moment as timestamptz not null")
    try:
        make_table(
            "notes",
            "id int primary key, at timestamptz, ats timestamptz(3)[], made moment default now(), gone timestamptz,"
            " local timestamp, day date, text text",
        )
        owner.execute("alter table notes drop column gone")
        assert (await one("notes")).utc_columns == ("at", "ats", "made")
    finally:
        owner.execute("drop domain moment cascade")


async def test_table_without_policies_is_known_as_such(make_table: MakeTable) -> None:
    make_table("notes", "id int primary key")
    assert not (await one("notes")).row_security


async def test_renamed_table_is_the_same_under_another_name(owner: Owner, make_table: MakeTable) -> None:
    make_table("notes", "id int primary key")
    before = await one("notes")
    owner.execute("alter table notes rename to memos")
    try:
        assert (await one("memos")).relation == before.relation
        with pytest.raises(UnknownTable, match="unknown table: notes"):
            await one("notes")
    finally:
        owner.execute("alter table memos rename to notes")


@pytest.mark.parametrize(
    "stop",
    [
        "select ayb_realtime.disable_v1('notes')",
        'alter table notes disable trigger "!ayb_realtime"',
        'drop trigger "!ayb_realtime" on notes',
    ],
)
async def test_table_without_our_trigger_is_unknown(owner: Owner, make_table: MakeTable, stop: str) -> None:
    make_table("notes", "id int primary key")
    assert await one("notes")
    owner.execute(stop.encode())
    with pytest.raises(UnknownTable, match="unknown table: notes"):
        await one("notes")


async def test_trigger_of_our_name_alone_streams_nothing(owner: Owner, make_table: MakeTable) -> None:
    make_table("notes", "id int primary key", enable=False)
    owner.execute(
        "create function pg_temp.nothing() returns trigger language plpgsql as $$ begin return null; end $$;"
        'create trigger "!ayb_realtime" after insert on notes for each row execute function pg_temp.nothing()'
    )
    with pytest.raises(UnknownTable):
        await one("notes")


async def test_partitions_are_known_by_their_whole_table_alone(owner: Owner, make_table: MakeTable) -> None:
    make_table("visits", "id int primary key", suffix="partition by list (id)")
    owner.execute("create table visits_1 partition of visits for values in (1)")
    assert await one("visits")
    with pytest.raises(UnknownTable):
        await one("visits_1")


async def test_of_two_tables_with_one_name_the_public_one_is_meant(owner: Owner, make_table: MakeTable) -> None:
    owner.execute("create schema archive")
    try:
        make_table("archive.notes", "id int primary key")
        assert (await one("notes")).schema == "archive"
        make_table("notes", "id int primary key")
        assert (await one("notes")).schema == "public"
    finally:
        owner.execute("drop schema archive cascade")
