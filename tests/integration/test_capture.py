"""Whoever writes, and however: each committed change is in the log, once, in order, as it was written."""

import json
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from example_project.blog.models import Post, User
from tests.integration.scenario import MakeTable, Owner

Logged = Callable[[], list[tuple[str, Any]]]


@pytest.fixture
def logged(owner: Owner) -> Logged:
    """Return what has been logged since the last call: each change's action, and its record, parsed."""
    last = [newest_id(owner)]

    def read() -> list[tuple[str, Any]]:
        rows = log_after(owner, last[0])
        last[0] = newest_id(owner)
        return [(action, record and json.loads(record)) for _, action, record in rows]

    return read


def newest_id(connection: Owner) -> int:
    row = connection.execute("select coalesce(max(id), 0) from ayb_realtime.change").fetchone()
    assert row is not None
    return int(row[0])


def log_after(connection: Owner, last_id: int = 0) -> list[tuple[str, str, str | None]]:
    """Return the table, the action and the record's text of each change after this one."""
    query = """
    select relation::regclass::text, action, record::text from ayb_realtime.change
     where id > %s and action <> 'enable' order by id
    """
    return connection.execute(query, [last_id]).fetchall()


@pytest.fixture
def writer_role(owner: Owner) -> Iterator[str]:
    """A role that may do nothing yet, and that the owner can act as."""
    name = f"writer_{uuid4().hex}"
    owner.execute(f"create role {name}".encode())
    owner.execute(f"grant {name} to current_user".encode())
    yield name
    owner.execute("reset role")
    owner.execute(f"drop owned by {name}".encode())
    owner.execute(f"drop role {name}".encode())


def test_orm_writes_are_logged(logged: Logged) -> None:
    author = User.objects.create_user("reader@example.com", "correct horse")
    post = Post.objects.create(author=author, title="first")
    post.title = "second"
    post.save()
    Post.objects.bulk_create([Post(author=author, title="third")])
    Post.objects.filter(title="third").update(published=True)
    post.delete()
    changes = logged()
    assert [(action, record["title"], record["published"]) for action, record in changes] == [
        ("create", "first", False),
        ("update", "second", False),
        ("create", "third", False),
        ("update", "third", True),
        ("delete", "second", False),
    ]
    assert {record["author_id"] for _, record in changes} == {str(author.pk)}


def test_one_statement_logs_each_row(owner: Owner, make_table: MakeTable, logged: Logged) -> None:
    make_table("notes", "id int primary key, body text")
    owner.execute("insert into notes select n, 'x' from generate_series(1, 3) as n")
    owner.execute("update notes set body = 'y' where id > 1")
    owner.execute("delete from notes where id < 3")
    assert logged() == [
        *[("create", {"id": n, "body": "x"}) for n in (1, 2, 3)],
        *[("update", {"id": n, "body": "y"}) for n in (2, 3)],
        ("delete", {"id": 1, "body": "x"}),
        ("delete", {"id": 2, "body": "y"}),
    ]


def test_statement_that_hits_no_row_logs_nothing(owner: Owner, make_table: MakeTable, logged: Logged) -> None:
    make_table("notes", "id int primary key, body text")
    owner.execute("update notes set body = 'y'")
    owner.execute("delete from notes")
    assert logged() == []


def test_copy_is_logged(owner: Owner, make_table: MakeTable, logged: Logged) -> None:
    make_table("notes", "id int primary key, body text")
    with owner.cursor() as cursor, cursor.copy("copy notes from stdin") as copy:
        for n in range(100):
            copy.write_row((n, 'tab \t quote " newline \n'))
    assert logged() == [("create", {"id": n, "body": 'tab \t quote " newline \n'}) for n in range(100)]


def test_cascade_is_logged_for_each_table(owner: Owner, make_table: MakeTable, logged: Logged) -> None:
    make_table("threads", "id int primary key")
    make_table("replies", "id int primary key, thread int references threads on delete cascade on update cascade")
    owner.execute("insert into threads values (1)")
    owner.execute("insert into replies values (10, 1), (11, 1)")
    logged()
    owner.execute("delete from threads")
    assert logged() == [
        ("delete", {"id": 1}),
        ("delete", {"id": 10, "thread": 1}),
        ("delete", {"id": 11, "thread": 1}),
    ]


def test_upsert_logs_what_it_did(owner: Owner, make_table: MakeTable, logged: Logged) -> None:
    make_table("notes", "id int primary key, body text")
    upsert = "insert into notes values (1, %s) on conflict (id) do update set body = excluded.body"
    owner.execute(upsert, ["first"])
    owner.execute(upsert, ["second"])
    owner.execute("insert into notes values (1, 'third') on conflict do nothing")
    assert logged() == [("create", {"id": 1, "body": "first"}), ("update", {"id": 1, "body": "second"})]


def test_merge_logs_what_it_did(owner: Owner, make_table: MakeTable, logged: Logged) -> None:
    make_table("notes", "id int primary key, body text")
    owner.execute("insert into notes values (1, 'old'), (2, 'gone')")
    logged()
    owner.execute(
        "merge into notes using (values (1), (2), (3)) as v (id) on notes.id = v.id"
        " when matched and v.id = 2 then delete when matched then update set body = 'new'"
        " when not matched then insert values (v.id, 'made')"
    )
    assert logged() == [
        ("update", {"id": 1, "body": "new"}),
        ("delete", {"id": 2, "body": "gone"}),
        ("create", {"id": 3, "body": "made"}),
    ]


def test_rollback_leaves_nothing(owner: Owner, make_table: MakeTable, logged: Logged) -> None:
    make_table("notes", "id int primary key, body text")
    with owner.transaction():
        owner.execute("insert into notes values (1, 'never')")
        raise psycopg.Rollback
    assert logged() == []
    owner.execute("insert into notes values (1, 'after')")
    assert logged() == [("create", {"id": 1, "body": "after"})]


def test_rolled_back_savepoint_leaves_what_is_around_it(owner: Owner, make_table: MakeTable, logged: Logged) -> None:
    make_table("notes", "id int primary key, body text")
    with owner.transaction():
        owner.execute("insert into notes values (1, 'before')")
        with owner.transaction():
            owner.execute("insert into notes values (2, 'never')")
            owner.execute("update notes set body = 'never'")
            raise psycopg.Rollback
        with owner.transaction():
            owner.execute("insert into notes values (3, 'kept')")
    assert logged() == [("create", {"id": 1, "body": "before"}), ("create", {"id": 3, "body": "kept"})]


def test_savepoints_are_logged_under_their_transaction(owner: Owner, make_table: MakeTable) -> None:
    make_table("notes", "id int primary key")
    last_id = newest_id(owner)
    with owner.transaction():
        for n in range(3):
            with owner.transaction():
                owner.execute("insert into notes values (%s)", [n])
        row = owner.execute("select pg_current_xact_id()::text").fetchone()
    logged = owner.execute("select xid::text from ayb_realtime.change where id > %s", [last_id]).fetchall()
    assert logged == [row] * 3


def test_truncate_is_logged_once_for_each_table(owner: Owner, make_table: MakeTable) -> None:
    make_table("threads", "id int primary key")
    make_table("replies", "id int primary key, thread int references threads")
    owner.execute("insert into threads select generate_series(1, 10)")
    last_id = newest_id(owner)
    owner.execute("truncate threads cascade")
    assert sorted(log_after(owner, last_id)) == [("replies", "truncate", None), ("threads", "truncate", None)]


def test_new_primary_key_is_a_new_row(owner: Owner, make_table: MakeTable, logged: Logged) -> None:
    make_table("notes", "id int primary key, body text")
    owner.execute("insert into notes values (1, 'old')")
    logged()
    owner.execute("update notes set id = 2, body = 'new'")
    assert logged() == [("delete", {"id": 1, "body": "old"}), ("create", {"id": 2, "body": "new"})]


@pytest.mark.parametrize("changed", [{"number": 2}, {"hall": "b"}, {"number": 2, "hall": "b"}])
def test_change_of_any_part_of_a_composite_key_is_a_new_row(
    owner: Owner, make_table: MakeTable, logged: Logged, changed: dict[str, Any]
) -> None:
    make_table("seats", "body text, hall text, number int, primary key (number, hall)")
    owner.execute("insert into seats values ('x', 'a', 1)")
    owner.execute("update seats set body = 'y'")
    first, second = {"body": "x", "hall": "a", "number": 1}, {"body": "y", "hall": "a", "number": 1}
    third = {**second, **changed}
    owner.execute("update seats set hall = %(hall)s, number = %(number)s", third)
    assert logged() == [("create", first), ("update", second), ("delete", second), ("create", third)]


@pytest.mark.parametrize(
    ("table", "key"),
    [
        ('"Mixed Case"', '"The Key"'),
        ('"quote "" and \'"', '"a ""b"" \'c\'"'),
        ('"ünï 🦆 % %s"', '"%(x)s \\ ,"'),
        ('"select"', '"old"'),
        ('"new"', '"tg_op"'),
    ],
)
def test_names_that_need_quotes_are_logged(
    owner: Owner, make_table: MakeTable, logged: Logged, table: str, key: str
) -> None:
    make_table(table, f"{key} int primary key, body text")
    name = key[1:-1].replace('""', '"')
    owner.execute(f"insert into {table} values (1, 'x')".encode())
    owner.execute(f"update {table} set body = 'y'".encode())
    owner.execute(f"update {table} set {key} = 2".encode())
    assert logged() == [
        ("create", {name: 1, "body": "x"}),
        ("update", {name: 1, "body": "y"}),
        ("delete", {name: 1, "body": "y"}),
        ("create", {name: 2, "body": "y"}),
    ]


def test_renamed_key_column_is_still_the_key(owner: Owner, make_table: MakeTable, logged: Logged) -> None:
    make_table("notes", "id int primary key, body text")
    owner.execute("insert into notes values (1, 'x')")
    owner.execute("alter table notes rename id to number")
    logged()
    owner.execute("update notes set body = 'y'")
    owner.execute("update notes set number = 2")
    assert logged() == [
        ("update", {"number": 1, "body": "y"}),
        ("delete", {"number": 1, "body": "y"}),
        ("create", {"number": 2, "body": "y"}),
    ]


def test_renamed_part_of_a_key_does_not_hide_that_the_other_part_changed(
    owner: Owner, make_table: MakeTable, logged: Logged
) -> None:
    make_table("seats", "hall text, number int, primary key (hall, number)")
    owner.execute("insert into seats values ('a', 1)")
    owner.execute("alter table seats rename number to seat")
    logged()
    owner.execute("update seats set hall = 'b'")
    assert logged() == [("delete", {"hall": "a", "seat": 1}), ("create", {"hall": "b", "seat": 1})]


def test_column_that_is_no_longer_of_the_key_may_change(owner: Owner, make_table: MakeTable, logged: Logged) -> None:
    make_table("seats", "hall text, number int, id int, primary key (hall, number)")
    owner.execute("insert into seats values ('a', 1, 7)")
    owner.execute("alter table seats drop column number, add primary key (id)")
    logged()
    owner.execute("update seats set hall = 'b'")
    assert logged() == [("update", {"hall": "b", "id": 7})]


def test_table_that_has_lost_its_key_can_still_be_written(owner: Owner, make_table: MakeTable, logged: Logged) -> None:
    make_table("notes", "id int primary key, body text")
    owner.execute("insert into notes values (1, 'x')")
    owner.execute("alter table notes drop constraint notes_pkey, alter id drop not null")
    owner.execute("update notes set id = null")
    assert logged() == [("create", {"id": 1, "body": "x"}), ("update", {"id": None, "body": "x"})]


@pytest.fixture
def visits(owner: Owner, make_table: MakeTable) -> Logged:
    """A table in partitions of two levels, ``visits``, ``visits_eu`` and ``visits_us`` → ``visits_us_late``."""
    make_table("visits", "region text, id int, primary key (region, id)", suffix="partition by list (region)")
    owner.execute("create table visits_eu partition of visits for values in ('eu')")
    owner.execute("create table visits_us partition of visits for values in ('us') partition by range (id)")
    owner.execute("create table visits_us_late partition of visits_us for values from (0) to (100)")
    last_id = newest_id(owner)

    def read() -> list[tuple[str, Any]]:
        rows = log_after(owner, last_id)
        assert {table for table, _, _ in rows} == {"visits"}
        return [(action, record and json.loads(record)) for _, action, record in rows]

    return read


@pytest.mark.parametrize(
    ("table", "region"), [("visits", "eu"), ("visits_eu", "eu"), ("visits", "us"), ("visits_us_late", "us")]
)
def test_writes_to_a_partition_are_those_of_the_whole_table(
    owner: Owner, visits: Logged, table: str, region: str
) -> None:
    owner.execute(f"insert into {table} values (%s, 1)".encode(), [region])
    owner.execute(f"update {table} set id = 2".encode())
    owner.execute(f"delete from {table}".encode())
    first, second = {"region": region, "id": 1}, {"region": region, "id": 2}
    assert visits() == [("create", first), ("delete", first), ("create", second), ("delete", second)]


def test_row_that_moves_to_another_partition_is_a_new_row(owner: Owner, visits: Logged) -> None:
    owner.execute("insert into visits values ('eu', 1)")
    owner.execute("update visits set region = 'us'")
    first, second = {"region": "eu", "id": 1}, {"region": "us", "id": 1}
    assert visits() == [("create", first), ("delete", first), ("create", second)]


def test_partition_attached_later_is_logged(owner: Owner, visits: Logged) -> None:
    owner.execute("create table visits_asia (id int not null, region text not null)")
    owner.execute("alter table visits attach partition visits_asia for values in ('asia')")
    owner.execute("insert into visits_asia values (1, 'asia')")
    assert visits() == [("create", {"id": 1, "region": "asia"})]


def test_truncated_whole_table_is_logged(owner: Owner, visits: Logged) -> None:
    owner.execute("truncate visits")
    assert visits() == [("truncate", None)]


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


@pytest.mark.parametrize("characters", [8_000, 100_000, 5_000_000])
def test_row_of_any_size_is_logged_whole(owner: Owner, make_table: MakeTable, logged: Logged, characters: int) -> None:
    make_table("notes", "id int primary key, body text")
    body = "ä" * characters
    owner.execute("insert into notes values (1, %s)", [body])
    owner.execute("update notes set body = body")
    assert logged() == [("create", {"id": 1, "body": body}), ("update", {"id": 1, "body": body})]


def test_table_of_another_schema_is_logged(owner: Owner, make_table: MakeTable) -> None:
    owner.execute("create schema sales")
    try:
        make_table("sales.orders", "id int primary key")
        last_id = newest_id(owner)
        owner.execute("insert into sales.orders values (1)")
        assert log_after(owner, last_id) == [("sales.orders", "create", '{"id":1}')]
    finally:
        owner.execute("drop schema sales cascade")


def test_renamed_table_is_the_same_table(owner: Owner, make_table: MakeTable) -> None:
    make_table("notes", "id int primary key")
    last_id = newest_id(owner)
    owner.execute("insert into notes values (1)")
    owner.execute("alter table notes rename to memos")
    owner.execute("insert into memos values (2)")
    owner.execute("alter table memos rename to notes")
    assert log_after(owner, last_id) == [("notes", "create", '{"id":1}'), ("notes", "create", '{"id":2}')]


def test_generated_column_is_logged_with_its_value(owner: Owner, make_table: MakeTable, logged: Logged) -> None:
    make_table("lines", "id int primary key, price int, total int generated always as (price * 2) stored")
    owner.execute("insert into lines (id, price) values (1, 10)")
    owner.execute("update lines set price = 20")
    assert logged() == [
        ("create", {"id": 1, "price": 10, "total": 20}),
        ("update", {"id": 1, "price": 20, "total": 40}),
    ]


def test_columns_dropped_and_added_later_are_followed(owner: Owner, make_table: MakeTable, logged: Logged) -> None:
    make_table("notes", "gone text, id int primary key, body text")
    owner.execute("insert into notes values ('x', 1, 'a')")
    owner.execute("alter table notes drop column gone, add column rank int default 7")
    owner.execute("update notes set body = 'b'")
    owner.execute("update notes set id = 2")
    assert logged() == [
        ("create", {"gone": "x", "id": 1, "body": "a"}),
        ("update", {"id": 1, "body": "b", "rank": 7}),
        ("delete", {"id": 1, "body": "b", "rank": 7}),
        ("create", {"id": 2, "body": "b", "rank": 7}),
    ]


def test_committed_changes_wake_the_relay_once_and_rolled_back_ones_never(
    owner: Owner, database_url: str, make_table: MakeTable
) -> None:
    make_table("notes", "id int primary key")
    owner.execute("select setval('ayb_realtime.asleep_at', ayb_realtime.milliseconds_v1() + 1000)")  # the relay sleeps
    with psycopg.connect(database_url, autocommit=True) as listener:
        listener.execute("listen ayb_realtime")
        listener.execute("listen marker")
        with owner.transaction():
            owner.execute("insert into notes values (0)")
            raise psycopg.Rollback
        owner.execute("notify marker, 'after the rollback'")
        owner.execute("insert into notes select generate_series(1, 100)")
        owner.execute("notify marker, 'after the commit'")
        heard = list(listener.notifies(timeout=30, stop_after=3))
    assert [(notify.channel, notify.payload) for notify in heard] == [
        ("marker", "after the rollback"),
        ("ayb_realtime", ""),
        ("marker", "after the commit"),
    ]


SEEN_ASLEEP = "select setval('ayb_realtime.asleep_at', ayb_realtime.milliseconds_v1() + {milliseconds})"


@pytest.mark.parametrize(
    ("relay", "is_told"),
    [
        ("alter sequence ayb_realtime.asleep_at restart", False),  # as it is before the first relay
        ("select setval('ayb_realtime.asleep_at', 0)", False),  # awake
        (SEEN_ASLEEP.format(milliseconds=+1500), True),
        (SEEN_ASLEEP.format(milliseconds=-3000), False),  # gone
        (SEEN_ASLEEP.format(milliseconds=+1800_000), False),  # gone, and the clock went back
    ],
)
def test_writers_notify_a_relay_that_sleeps_and_no_other(
    owner: Owner, database_url: str, make_table: MakeTable, relay: str, is_told: bool
) -> None:
    make_table("notes", "id int primary key")
    with psycopg.connect(database_url, autocommit=True) as listener:
        listener.execute("listen ayb_realtime")
        listener.execute("listen marker")
        owner.execute(relay.encode())
        owner.execute("insert into notes values (1)")
        owner.execute("notify marker")
        # What one commit has sent, and the next one, arrives in that order.
        first = next(listener.notifies(timeout=30, stop_after=1)).channel
    assert first == ("ayb_realtime" if is_told else "marker")


def test_change_that_cannot_be_logged_is_not_made(owner: Owner, make_table: MakeTable, logged: Logged) -> None:
    make_table("notes", "id int primary key")
    refuse = sql.SQL("alter table ayb_realtime.change add constraint refuse check (action <> 'create') not valid")
    with owner.transaction(force_rollback=True):
        owner.execute(refuse)
        with pytest.raises(psycopg.errors.CheckViolation), owner.transaction():
            owner.execute("insert into notes values (1)")
        assert owner.execute("select count(*) from notes").fetchone() == (0,)
    assert logged() == []


def test_disabled_table_is_no_longer_logged(owner: Owner, make_table: MakeTable, logged: Logged) -> None:
    make_table("notes", "id int primary key")
    owner.execute("select ayb_realtime.disable_v1('notes')")
    owner.execute("insert into notes values (1)")
    owner.execute("truncate notes")
    assert logged() == []
