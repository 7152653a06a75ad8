"""A value of any type is written as Postgres writes it, unless a user-defined cast to json would be used."""

import psycopg
import pytest

from tests.integration.scenario import MakeTable, Owner
from tests.integration.written.conftest import LOGGED, NEWEST, SHADOW, Logged

VALUES = {
    "xml": "'<?xml version=\"1.0\"?><a/>'",
    "money": "'-1234.5'",
    "char(5)": "'a'",
    '"char"': "'a'",
    "name": "'a'",
    "varchar(3)": "'a b'",
    "regclass": "'pg_class'",
    "regproc": "'now'",
    "regtype": "'numeric(3,1)'",
    "oid": "4294967295",
    "numeric": "1.500",
    "numeric(9, 4)": "'NaN'",
    "float4": "0.1",
    "float8": "'-Infinity'",
    "bool": "true",
    "date": "'0044-03-15 BC'",
    "time": "'24:00'",
    "timetz": "'01:02:03.5+05:30'",
    "timestamp": "'infinity'",
    "timestamptz": "'20000-01-01 00:00+05'",
    "interval": "'-1 year 2 days'",
    "bytea": r"'\x00ff'",
    "bit(3)": "'101'",
    "inet": "'10.0.0.1/8'",
    "uuid": "gen_random_uuid()",
    "json": """'{ "b":1,  "b": 1.10, "c": "\\u00e9\\\\" }'""",
    "jsonb": """'{"b": 1.10, "\\"": [null]}'""",
    "jsonpath": "'$.a'",
    "tsvector": "'a:1 b:2'",
    "point": "'(1,2)'",
    "box[]": "'{(1,1),(0,0);(2,2),(1,1)}'",
    "int2vector": "'1 2'",
    "oidvector": "'1 2'",
    "int8range": "'[1,5)'",
    "int8multirange": "'{[1,5),[7,8)}'",
    "text": r"""E'"\\ \n,()é'""",
    "text[]": r"""array[[E'"\\',null],['NULL','']]""",
    "xml[]": "array['<a/>'::xml]",
    "money[]": "array[1::money]",
    "char(3)[]": "'{a,b}'",
    "json[]": """array['{"a":  1}'::json, null]""",
    "timestamptz[]": "array['20000-01-01 00:00+05'::timestamptz]",
    "float8[]": "'[0:1]={0.1,NaN}'",
    "regclass[]": "'{pg_class}'",
    "place": "'in'",
    "placed[]": "'{in,null}'",
    "counted": "7",
    "counted[]": "'{7}'",
    "counts": "'{7,8}'",
    "held": "row(null, 'in')",
    "held_twice[]": "array[row(row(1, 'in'), E'\"\\\\')::held_twice, null, row(null, null)::held_twice]",
    "span": "'[0.1,2)'",
}


def has_xml(owner: Owner) -> bool:
    """Return whether this server was built with xml."""
    try:
        owner.execute("select '<a/>'::xml")
    except psycopg.errors.FeatureNotSupported:
        return False
    return True


@pytest.mark.usefixtures("types")
def test_value_of_any_type_is_written_as_row_to_json_writes_it(
    owner: Owner, database_url: str, make_table: MakeTable
) -> None:
    owner.execute("create domain counted as int; create domain counts as int[]")
    values = {kind: value for kind, value in VALUES.items() if "xml" not in kind or has_xml(owner)}
    columns = [f"c{n} {kind}" for n, kind in enumerate(values)]
    columns.append("total int generated always as (7) stored")
    make_table("notes", f"id int primary key, gone place, {', '.join(columns)}")
    owner.execute("alter table notes drop column gone")
    last = owner.execute(NEWEST).fetchone() or [0]
    try:
        with psycopg.connect(database_url, autocommit=True) as odd:
            for setting in ("xmloption = document", "datestyle = 'German, DMY'", "bytea_output = escape"):
                odd.execute(f"set {setting}".encode())
            odd.execute(f"insert into notes values (1, {', '.join(values.values())})".encode())
            odd.execute("insert into notes values (2)")
        for setting in ("timezone = 'UTC'", "datestyle = ISO", "intervalstyle = postgres", "search_path = pg_catalog"):
            owner.execute(f"set {setting}".encode())
        expected = owner.execute("select row_to_json(n)::text from public.notes n order by id").fetchall()
        owner.execute("reset search_path")
        assert owner.execute(LOGGED, last).fetchall() == [("create", record) for (record,) in expected]
        ((shadow,),) = owner.execute(SHADOW).fetchall()
        assert shadow is not None
    finally:
        owner.execute("reset all")
        owner.execute("drop table notes; drop domain counted, counts")


@pytest.mark.usefixtures("types")
def test_first_writers_of_a_table_do_not_wait_for_each_other(
    owner: Owner, database_url: str, make_table: MakeTable, logged: Logged
) -> None:
    make_table("notes", "id int primary key, a place, b held")
    with psycopg.connect(database_url) as first, psycopg.connect(database_url) as second:
        for n, writer in enumerate([first, second]):
            writer.execute("set local lock_timeout = '1ms'")
            writer.execute("insert into notes values (%s, 'in', row(1, 'in'))", [n])
        first.rollback()
    owner.execute("insert into notes values (2, 'in', row(1, 'in'))")
    assert [(action, record["id"]) for action, record in logged()] == [("create", 1), ("create", 2)]


def test_column_that_got_a_type_of_an_extension_without_a_new_file_is_seen_by_the_next_look(
    owner: Owner, make_table: MakeTable, logged: Logged
) -> None:
    owner.execute("create extension citext")
    try:
        make_table("notes", "id int primary key, a text")
        owner.execute("insert into notes values (1, 'x')")
        assert owner.execute(SHADOW).fetchall() == [(None,)]
        owner.execute("alter table notes alter a type citext")
        owner.execute("select ayb_realtime.announce_altered_v1()")
        owner.execute("insert into notes values (2, 'y')")
        assert [record for _, record in logged() if record] == [{"id": 1, "a": "x"}, {"id": 2, "a": "y"}]
        ((shadow,),) = owner.execute(SHADOW).fetchall()
        assert shadow is not None
    finally:
        owner.execute("drop extension citext cascade")


def test_hstore_is_an_object_of_json(owner: Owner, make_table: MakeTable, logged: Logged) -> None:
    owner.execute("create extension hstore")
    try:
        make_table("notes", "id int primary key, a hstore, b hstore[]")
        for isolation in ("read committed", "repeatable read"):
            with owner.transaction():
                owner.execute(f"set transaction isolation level {isolation}".encode())
                owner.execute("insert into notes values (1, 'a=>1,b=>null', array['c=>d'::hstore])")
            owner.execute("delete from notes")
        assert [record for _, record in logged()] == [{"id": 1, "a": {"a": "1", "b": None}, "b": [{"c": "d"}]}] * 4
    finally:
        owner.execute("drop extension hstore cascade")


@pytest.mark.usefixtures("types")
@pytest.mark.parametrize("column", ["a place", "of_this_test held"])
def test_shadow_that_is_gone_is_created_again(owner: Owner, make_table: MakeTable, logged: Logged, column: str) -> None:
    make_table("notes", f"id int primary key, {column}")
    for id_ in (1, 2):
        owner.execute("insert into notes values (%s)", [id_])
    ((shadow,),) = owner.execute(SHADOW).fetchall()
    owner.execute(f"drop type {shadow} cascade".encode())
    owner.execute("insert into notes values (3)")
    owner.execute("insert into notes values (4)")
    assert [(action, record["id"]) for action, record in logged()] == [("create", id_) for id_ in (1, 2, 3, 4)]


@pytest.mark.usefixtures("types")
def test_shadow_is_dropped_by_the_next_migrate_once_nothing_uses_it(owner: Owner, make_table: MakeTable) -> None:
    make = "select ayb_realtime.make_check_functions_v1('{ayb_authenticated}')"
    make_table("notes", "id int primary key, a place, of_this_test held")
    owner.execute("insert into notes values (1, 'in', null)")
    ((shadow,),) = owner.execute(SHADOW).fetchall()
    for change, is_there in [("select", True), ("alter table notes drop of_this_test", False)]:
        owner.execute(change.encode())
        owner.execute("select ayb_realtime.announce_altered_v1()")
        owner.execute(make)
        row = owner.execute("select to_regtype(%s) is not null", [shadow]).fetchone()
        assert row == (is_there,)
