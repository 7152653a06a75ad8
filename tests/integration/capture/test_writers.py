"""Settings, objects and rights of writers do not change what is logged."""

import psycopg
import pytest
from psycopg import sql

from tests.integration.capture.conftest import Logged, log_after, newest_id
from tests.integration.scenario import MakeTable, Owner


@pytest.mark.parametrize("name", ["00_first", "a_first", '"', "zz"])
def test_update_by_a_trigger_of_the_users_comes_after_the_change_that_fired_it(
    owner: Owner, make_table: MakeTable, logged: Logged, name: str
) -> None:
    make_table("notes", "id int primary key, version int")
    owner.execute(
        "create or replace function pg_temp.count_up() returns trigger language plpgsql as $$ begin"
        " if new.version < 3 then update notes set version = version + 1 where id = new.id; end if;"
        " return null; end $$"
    )
    trigger = "create trigger {} after insert or update on notes for each row execute function pg_temp.count_up()"
    owner.execute(sql.SQL(trigger).format(sql.Identifier(name)))
    owner.execute("insert into notes values (1, 1)")
    assert logged() == [
        ("create", {"id": 1, "version": 1}),
        ("update", {"id": 1, "version": 2}),
        ("update", {"id": 1, "version": 3}),
    ]


def test_row_changed_by_a_before_trigger_is_logged_as_it_was_stored(
    owner: Owner, make_table: MakeTable, logged: Logged
) -> None:
    make_table("notes", "id int primary key, body text")
    owner.execute(
        "create or replace function pg_temp.shout() returns trigger language plpgsql as"
        " $$ begin new.body := upper(new.body); return new; end $$"
    )
    owner.execute("create trigger shout before insert on notes for each row execute function pg_temp.shout()")
    owner.execute("insert into notes values (1, 'x')")
    assert logged() == [("create", {"id": 1, "body": "X"})]


ODD_SETTINGS = {
    "timezone": "Asia/Kolkata",
    "datestyle": "German, DMY",
    "intervalstyle": "iso_8601",
    "bytea_output": "escape",
    "extra_float_digits": "-15",
    "search_path": "",
    "xmloption": "document",
    "lc_time": "C",
}


def test_odd_settings_of_a_writer_do_not_change_what_is_logged(
    owner: Owner, database_url: str, make_table: MakeTable
) -> None:
    make_table(
        "notes",
        "id int primary key, at timestamptz, ats timestamptz[], day date, local timestamp, span interval, bytes bytea,"
        " double float8, single float4, odd float8, amount numeric, big bigint, raw json, doc jsonb, tags text[],"
        " period tstzrange",
    )
    insert = """insert into public.notes values (
        1, '2026-02-07 22:00:00.5+00', array['2026-02-07 22:00:00+00'::timestamptz, null], '2026-02-07',
        '2026-02-07 22:00:00', '1 year 2 days 03:04:05', '\\x00ff41', 0.1::float8 + 0.2::float8, 0.1, 'NaN',
        0.10000000000000000000000001, 9223372036854775807, '{ "b":1,\n"a": 1.10 }', '{"b": 1, "a": 1.10}',
        '{"a,b",c}', '[2026-02-07 22:00:00+00,)')"""
    last_id = newest_id(owner)
    owner.execute(insert.encode())
    owner.execute("delete from notes")
    with psycopg.connect(database_url, autocommit=True) as odd:
        for name, value in ODD_SETTINGS.items():
            odd.execute("select set_config(%s, %s, false)", [name, value])
        odd.execute(insert.encode())
        assert odd.execute("show datestyle").fetchone() == ("German, DMY",)
    (_, _, plain), _, (_, _, other) = log_after(owner, last_id)
    assert plain == other
    assert plain == (
        '{"id":1,"at":"2026-02-07T22:00:00.5+00:00","ats":["2026-02-07T22:00:00+00:00",null],"day":"2026-02-07",'
        '"local":"2026-02-07T22:00:00","span":"1 year 2 days 03:04:05","bytes":"\\\\x00ff41",'
        '"double":0.30000000000000004,"single":0.1,"odd":"NaN","amount":0.10000000000000000000000001,'
        '"big":9223372036854775807,"raw":{ "b":1,\n"a": 1.10 },"doc":{"a": 1.10, "b": 1},"tags":["a,b","c"],'
        '"period":"[\\"2026-02-07 22:00:00+00\\",)"}'
    )


def test_settings_of_the_writer_are_its_own_again_afterwards(owner: Owner, make_table: MakeTable) -> None:
    make_table("notes", "id int primary key")
    with owner.transaction():
        owner.execute("set local timezone = 'Asia/Kolkata'")
        owner.execute("insert into notes values (1)")
        assert owner.execute("show timezone").fetchone() == ("Asia/Kolkata",)


def test_writer_without_rights_on_the_log_is_logged(
    owner: Owner, make_table: MakeTable, logged: Logged, writer_role: str
) -> None:
    make_table("notes", "id int primary key, body text")
    owner.execute(f"grant insert, update, delete, select on notes to {writer_role}".encode())
    owner.execute(f"set role {writer_role}".encode())
    owner.execute("insert into notes values (1, 'x')")
    owner.execute("update notes set id = 2")
    owner.execute("delete from notes")
    for statement in ("select from ayb_realtime.change", "select ayb_realtime.key_columns_v1('notes'::regclass)"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            owner.execute(statement.encode())
    owner.execute("reset role")
    assert [action for action, _ in logged()] == ["create", "delete", "create", "delete"]


def test_writer_cannot_write_the_log_through_a_table_of_its_own(
    owner: Owner, make_table: MakeTable, writer_role: str
) -> None:
    make_table("notes", "id int primary key")
    owner.execute(f"grant usage on schema ayb_realtime to {writer_role}".encode())
    owner.execute(f"set role {writer_role}".encode())
    owner.execute("create temp table forged (id int primary key)")
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="capture_v1"):
        owner.execute(
            "create trigger forge after insert on forged for each row execute function ayb_realtime.capture_v1('id')"
        )
    owner.execute("drop table forged")


TRAPS = """
create schema traps;
create function traps.row_to_json(any_row record) returns json language plpgsql as $$ begin return '{}'::json; end $$;
create function traps.pg_sequence_last_value(name regclass) returns bigint language sql as $$ select 7::bigint $$;
create function traps.never(a text, b text) returns boolean language sql as $$ select false $$;
create operator traps.= (leftarg = text, rightarg = text, function = traps.never);
create operator traps.<> (leftarg = text, rightarg = text, function = traps.never)
"""


def test_functions_and_operators_that_the_writer_put_in_the_way_are_not_called(
    owner: Owner, make_table: MakeTable, logged: Logged
) -> None:
    make_table("notes", "id int primary key")
    owner.execute(TRAPS.encode())
    try:
        with owner.transaction():
            owner.execute("set local search_path = traps, pg_catalog, public")
            assert owner.execute("select row_to_json(notes) from (values (1)) as notes (id)").fetchone() == ({},)
            assert owner.execute("select 'a'::text = 'a'::text").fetchone() == (False,)
            owner.execute("insert into notes values (1)")
            owner.execute("update notes set id = 2")
    finally:
        owner.execute("drop schema traps cascade")
    assert logged() == [("create", {"id": 1}), ("delete", {"id": 1}), ("create", {"id": 2})]
