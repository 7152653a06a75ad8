"""Large and odd rows, from the write to the bytes that a client reads."""

import json

import pytest

from ayb_realtime.relay import relay as relay_module
from tests.integration.scenario import World, person


@pytest.fixture(autouse=True)
def no_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Switch off the relay's look at definitions, which would reset streams at other times."""
    monkeypatch.setattr(relay_module, "ALTERED_SECONDS", 3600.0)


VALUES = {
    "text": ("repeat('é', 500000)", json.dumps("é" * 500_000, ensure_ascii=False)),
    "bytea": ("'\\x00ff41'", '"\\\\x00ff41"'),
    "int[]": ("'{{1,2},{3,null}}'", "[[1,2],[3,null]]"),
    "text[]": ("""'{"a b",NULL,"NULL"}'""", '["a b",null,"NULL"]'),
    "int4range": ("'[1,5)'", '"[1,5)"'),
    "tstzrange": (
        "'[2026-02-07 23:00:00+01,)'",
        '"[\\"2026-02-07 22:00:00+00\\",)"',
    ),
    "json": ("'null'", "null"),
    "jsonb": ("""'{"a": null, "n": 1e400}'""", '{"a": null, "n": 1' + "0" * 400 + "}"),
    "numeric": ("'NaN'", '"NaN"'),
    "float8": ("'-Infinity'", '"-Infinity"'),
    "bigint": ("9007199254740993", "9007199254740993"),
    "timestamptz": ("'2026-02-07 23:00:00.5+01'", '"2026-02-07T22:00:00.5Z"'),
    "interval": ("'1 year 2 days'", '"1 year 2 days"'),
    "boolean": ("null", "null"),
}


@pytest.mark.parametrize("kind", list(VALUES))
async def test_value_arrives_as_postgres_writes_it(running_relay: None, world: World, kind: str) -> None:
    literal, expected = VALUES[kind]
    world.table("notes", f"id int primary key, value {kind}")
    stream = await world.stream(person(1), "notes")
    world.write(f"insert into notes values (1, {literal})")
    data = (await stream.next()).data
    assert data == f'{{"action":"create","table":"notes","record":{{"id":1,"value":{expected}}}}}'


@pytest.mark.parametrize("value", [r'"\u0000"', r'{"\ud800": "\\u0000 \\\u0000"}'])
async def test_json_that_is_no_text_stops_neither_the_write_nor_the_streams(
    running_relay: None, world: World, value: str
) -> None:
    world.table("notes", "id text primary key, value json")
    stream = await world.stream(person(1), "notes")
    with world.owner.transaction():
        world.write("insert into notes values ('a', %s), ('b', null)", [value])
        world.write("update notes set id = 'c' where id = 'b'")
    world.write("update notes set id = 'd' where id = 'a'")
    arrived = [(await stream.next()).data for _ in range(3)]
    assert arrived[:2] == [
        '{"action":"create","table":"notes","record":{"id":"c","value":null}}',
        '{"action":"delete","table":"notes","record":{"id":"a"}}',
    ]
    assert arrived[2] == f'{{"action":"create","table":"notes","record":{{"id":"d","value":{value}}}}}'


async def test_composite_and_quoted_key_is_told_of_a_delete(running_relay: None, world: World) -> None:
    world.table('"Line ""items"""', '"the order" bigint, note text, "№" text, primary key ("№", "the order")')
    stream = await world.stream(person(1), 'Line "items"')
    world.write('insert into "Line ""items""" values (%s, %s, %s)', [2**53 + 1, "x", 'a"b'])
    assert await stream.next_action() == ("create", {"the order": 2**53 + 1, "note": "x", "№": 'a"b'})
    world.write('delete from "Line ""items"""')
    assert await stream.next_action() == ("delete", {"№": 'a"b', "the order": 2**53 + 1})


async def test_changed_key_is_a_row_gone_and_a_row_made(running_relay: None, world: World) -> None:
    world.table("notes", "id int primary key, body text")
    stream = await world.stream(person(1), "notes")
    world.write("insert into notes values (1, 'x')")
    assert await stream.next_action() == ("create", {"id": 1, "body": "x"})
    world.write("update notes set id = 2")
    assert [await stream.next_action(), await stream.next_action()] == [
        ("delete", {"id": 1}),
        ("create", {"id": 2, "body": "x"}),
    ]


async def test_partitioned_table_is_one_table_to_its_clients(running_relay: None, world: World) -> None:
    world.table("visits", "id int, year int, primary key (id, year)", suffix="partition by list (year)", enable=False)
    world.write("create table visits_25 partition of visits for values in (2025)")
    world.write("create table visits_26 partition of visits for values in (2026)")
    world.write("select ayb_realtime.enable_v1('visits')")
    stream = await world.stream(person(1), "visits")
    world.write("insert into visits values (1, 2025)")
    assert await stream.next_action() == ("create", {"id": 1, "year": 2025})
    world.write("insert into visits_26 values (2, 2026)")
    assert await stream.next_action() == ("create", {"id": 2, "year": 2026})
    world.write("update visits set year = 2026 where id = 1")
    moved = [("delete", {"id": 1, "year": 2025}), ("create", {"id": 1, "year": 2026})]
    assert [await stream.next_action(), await stream.next_action()] == moved


async def test_row_that_moves_to_another_partition_under_the_same_key_is_an_update(
    running_relay: None, world: World
) -> None:
    world.table("visits", "id int primary key, body text", suffix="partition by range (id)", enable=False)
    world.write("create table visits_low partition of visits for values from (0) to (10)")
    world.write("create table visits_high partition of visits for values from (10) to (20)")
    world.write("select ayb_realtime.enable_v1('visits')")
    stream = await world.stream(person(1), "visits")
    world.write("insert into visits values (1, 'x')")
    assert await stream.next_action() == ("create", {"id": 1, "body": "x"})
    with world.owner.transaction():
        world.write("update visits set id = 11")
        world.write("update visits set id = 1, body = 'y'")
    assert await stream.next_action() == ("update", {"id": 1, "body": "y"})


async def test_merge_and_upsert_and_copy_arrive_as_what_they_did(running_relay: None, world: World) -> None:
    world.table("notes", "id int primary key, body text")
    stream = await world.stream(person(1), "notes")
    with world.owner.cursor() as cursor, cursor.copy("copy notes from stdin") as copy:
        copy.write_row((1, "copied"))
    assert await stream.next_action() == ("create", {"id": 1, "body": "copied"})
    world.write("insert into notes values (1, 'again') on conflict (id) do update set body = excluded.body")
    assert await stream.next_action() == ("update", {"id": 1, "body": "again"})
    world.write("insert into notes values (1, 'ignored') on conflict do nothing")
    if world.owner.info.server_version >= 150000:
        world.write(
            "merge into notes using (values (1), (2)) as n (id) on notes.id = n.id"
            " when matched then delete when not matched then insert values (n.id, 'merged')"
        )
    else:
        world.write("with gone as (delete from notes) insert into notes values (2, 'merged')")
    arrived = [await stream.next_action(), await stream.next_action()]
    assert sorted(arrived, key=str) == [("create", {"id": 2, "body": "merged"}), ("delete", {"id": 1})]


async def test_columns_and_table_renamed_while_a_stream_is_open_are_followed(running_relay: None, world: World) -> None:
    world.table("notes", "id int primary key, body text")
    stream = await world.stream(person(1), "notes")
    world.write("alter table notes rename body to text")
    world.write("alter table notes rename id to number")
    world.write("insert into notes values (1, 'x')")
    assert await stream.next_action() == ("create", {"number": 1, "text": "x"})
    world.write("alter table notes rename to remarks")
    world.write("update remarks set text = 'y'")
    change = await stream.next_change()
    assert change == {"action": "update", "table": "remarks", "record": {"number": 1, "text": "y"}}
    world.write("alter table remarks rename to notes")


async def test_table_that_loses_its_key_is_to_be_fetched_again(running_relay: None, world: World) -> None:
    world.table("notes", "id int primary key")
    stream = await world.stream(person(1), "notes")
    world.write("alter table notes drop constraint notes_pkey")
    world.write("insert into notes values (1), (1)")
    event = await stream.next()
    assert (event.event, event.json()) == ("reset", {"reason": "table definition changed", "tables": ["notes"]})
    world.write("delete from notes")
    assert (await stream.next()).event == "reset"


async def test_row_that_is_changed_a_thousand_times_in_a_transaction_arrives_once(
    running_relay: None, world: World
) -> None:
    world.table("notes", "id int primary key, version int")
    stream = await world.stream(person(1), "notes")
    with world.owner.transaction():
        world.write("insert into notes values (1, 0), (2, 0)")
        for _ in range(1500):
            world.write("update notes set version = version + 1 where id = 1")
        world.write("delete from notes where id = 2")
    assert await stream.next_action() == ("create", {"id": 1, "version": 1500})
    world.write("insert into notes values (3, 0)")
    assert await stream.next_action() == ("create", {"id": 3, "version": 0})
