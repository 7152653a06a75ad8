"""One database in which every name is odd, and the first schema on the search path has another of all that we use."""

import asyncio
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from channels.layers import BaseChannelLayer
from django.core.checks import Tags, run_checks
from django.db import connections
from django.db.migrations.state import ProjectState
from psycopg import sql

from ayb_realtime.conf import conf
from ayb_realtime.filters import parse
from ayb_realtime.hub.admission import Wanted
from ayb_realtime.hub.registry import close_hub, get_hub
from ayb_realtime.identity import Identity
from ayb_realtime.operations import EnableRealtime
from tests.integration.diagnostics.conftest import steps
from tests.integration.postgres.conftest import SetDefault
from tests.integration.scenario import Owner, Stream, open_stream, relaying


def odd(name: str) -> str:
    """Lengthen a name to 63 bytes, the longest that Postgres takes."""
    return name + "x" * (63 - len(name.encode()))


SCHEMA = odd("Schéma \"of\" 'every' sort; -- $$ {{table}} %s \\ .")
TABLE = odd("select Ünïcode \"quoted\" 'it''s' $1 {{row_as_json}} %(x)s \\")
COLUMN = odd('author\'s "Ñame" {{matches_key}} %s $body$ \\u0041')
ROLE = odd(f"{uuid4().hex[:8]} «odd» \"readers\", 'none' $$ %s; \\")
POLICY = odd("Pölicy \"of\" 'all' $$ %s \\")
# Columns that are named as what our functions and queries name.
COLUMNS = (
    '"select" int, "record" int, k int, k1 text, t text, n int, "one" text, "order" text, "keys" text, "identity" text'
)
ME = 'O\'Hara "x" \\ $$ é, {1}'

SPRUNG = "language plpgsql as $$ begin perform pg_catalog.nextval('traps.sprung'); raise 'sprung'; end $$"
FUNCTIONS = (
    "row_to_json(record) returns json", "json_to_recordset(json) returns setof record",
    "concat(text, oid) returns text",
    "format(text, text) returns text", "format(text, name) returns text", "quote_ident(name) returns text",
    "current_setting(text) returns text", "hashtext(text) returns int",
    "unnest(text[]) returns setof text", "cardinality(int[]) returns int", "pg_notify(text, text) returns void",
    "has_schema_privilege(name, oid, text) returns boolean", "pg_has_role(oid, oid, text) returns boolean",
    "to_regclass(text) returns regclass", "nextval(regclass) returns bigint", "abs(bigint) returns bigint",
    "setval(regclass, bigint) returns bigint", "pg_current_xact_id() returns xid8", "pg_backend_pid() returns int",
    "pg_stat_get_activity(int) returns setof record", "pg_get_expr(pg_node_tree, oid) returns text",
    "pg_sequence_last_value(regclass) returns bigint", "pg_describe_object(oid, oid, int) returns text",
    "to_json(text) returns json", "pg_current_snapshot() returns pg_snapshot", "clock_timestamp() returns timestamptz",
)  # fmt: skip
OPERATORS = (
    "= (text, text)", "<> (text, text)", "= (name, text)", "= (oid, bigint)", "= (oid, oid)", "= (int, int)",
    "> (bigint, bigint)",
    "~ (text, text)", "|| (text, text)", "->> (json, text)", "<= (bigint, bigint)", "= (bigint, bigint)",
)  # fmt: skip
RELATIONS = ("batch", "change", "epoch", "leader", "pg_class", "pg_trigger", "pg_policy", "pg_roles", "pg_settings")


TABLE_NAME = sql.Identifier(SCHEMA, TABLE)


def quoted(*names: str) -> str:
    return sql.Identifier(*names).as_string(None)


def traps() -> Iterator[str]:
    """Yield statements that make a schema with other things of the names that we use. A function that runs says so."""
    yield "create schema traps; grant usage on schema traps to public; create sequence traps.sprung"
    yield "grant usage on sequence traps.sprung to public"
    yield from (f"create function traps.{function} {SPRUNG}" for function in FUNCTIONS)
    for number, operator in enumerate(OPERATORS):
        sign, _, kinds = operator.partition(" ")
        left, right = kinds.strip("()").split(", ")
        result = {"||": "text", "->>": "text"}.get(sign, "boolean")
        yield f"create function traps.f{number}({left}, {right}) returns {result} {SPRUNG}"
        yield f"create operator traps.{sign} (leftarg = {left}, rightarg = {right}, function = traps.f{number})"
    yield from (f"create table traps.{name} (id int)" for name in RELATIONS)


@pytest.fixture
def odd_table(owner: Owner, set_default: SetDefault, settings: Any) -> Iterator[str]:
    """The name of a table that is not enabled yet, where sessions that begin from now on find the traps first."""
    roles = ROLE, f"A{ROLE[1:]}"
    settings.AYB_REALTIME = {"AUTHENTICATED_ROLE": roles[0], "ANONYMOUS_ROLE": roles[1]}
    table, column = TABLE_NAME.as_string(None), quoted(COLUMN)
    owner.execute(
        f"""
        create schema {quoted(SCHEMA)};
        create function {quoted(SCHEMA)}.same(text, text) returns boolean language sql
            as $$ select $1 operator(pg_catalog.=) $2 $$;
        create operator {quoted(SCHEMA)}.=== (leftarg = text, rightarg = text, function = {quoted(SCHEMA)}.same);
        create table {table} ({column} text, {COLUMNS}, primary key ("select", {column}));
        create policy {quoted(POLICY)} on {table} using (
            {column} operator({quoted(SCHEMA)}.===) current_setting('ayb.user_id'));
        alter table {table} enable row level security;
        """.encode()
    )
    for statement in traps():
        owner.execute(statement.encode())
    set_default("search_path", "traps, pg_catalog, public")
    connections.close_all()
    yield table
    owner.execute(f"drop schema {quoted(SCHEMA)}, traps cascade".encode())
    for role in roles:
        owner.execute(f"drop role if exists {quoted(role)}".encode())


def enable(table: str) -> None:
    state = ProjectState()
    with connections["default"].schema_editor() as editor:
        EnableRealtime(table=table).database_forwards("blog", editor, state, state)
    connections.close_all()


def findings() -> list[str]:
    """Return what the checks say of the table, and which of them failed."""
    with connections["default"].cursor() as cursor:
        # Django's own statements would not work otherwise.
        cursor.execute("set search_path = traps, public")
    found = run_checks(tags=[Tags.database], databases=["default"], include_deployment_checks=True)
    connections.close_all()
    return [str(each) for each in found if each.id == "ayb_realtime.W021" or TABLE in str(each)]


async def test_nothing_moves(odd_table: str, owner: Owner, memory_layer: BaseChannelLayer) -> None:
    await asyncio.to_thread(enable, odd_table)
    if (hub_login := connections.settings[conf.hub_database]["USER"]) != owner.info.user:
        owner.execute(f"grant {quoted(ROLE)} to {quoted(hub_login)}".encode())
    me, other = (Identity(ROLE, (("ayb.user_id", who),)) for who in (ME, "1"))
    name = f"{SCHEMA}.{TABLE}"
    row = {COLUMN: ME, "select": 1, "record": 2, "k": 3, "k1": "k", "t": "t", "n": 4} | dict.fromkeys(
        ("one", "order", "keys", "identity"), "x"
    )
    # The writer's own temporary tables come before ours, too.
    for relation in RELATIONS:
        owner.execute(f"create temp table {relation} (id int)".encode())
    owner.execute("set search_path = traps, pg_catalog, public")
    escaped = odd_table.replace("%", "%%")
    insert = f"insert into {escaped} values (%s, 1, 2, 3, 'k', 't', %s, 'x', 'x', 'x', 'x')".encode()
    async with relaying(memory_layer):
        hub = await get_hub()
        try:
            mine, others = [await open_stream(hub, identity, name) for identity in (me, other)]
            conditions = ["n=gt.4,k1=like.k%", f"{COLUMN}=eq.{ME}".replace(", ", "\\, ")]
            some = Stream(await hub.subscribe(me, [name], wanted=Wanted(filters=parse(conditions, [name]))))
            assert (await some.next()).event == "connected"
            owner.execute(insert, [ME, 4])
            owner.execute(insert, ["1", 5])
            assert await mine.next_action() == ("create", row)
            assert await others.next_action() == ("create", {**row, COLUMN: "1", "n": 5})
            owner.execute(sql.SQL("update {} set n = 6").format(TABLE_NAME))
            assert await mine.next_action() == ("update", {**row, "n": 6})
            assert (await some.next_action())[1] == {**row, "n": 6}
            snapshot = Stream(await hub.subscribe(me, [name], snapshot=True))
            while (event := await snapshot.next()).event != "snapshot":
                pass
            assert event.json()["records"] == [{**row, "n": 6}]
            assert any(step.found.startswith("It is visible, ") for step in await steps(name, "1", ME, identity=me))
            owner.execute(sql.SQL("delete from {}").format(TABLE_NAME))
            assert {(await mine.next_change())["action"] for _ in range(2)} == {"delete"}
        finally:
            await close_hub()
    assert await asyncio.to_thread(findings) == []
    assert owner.execute("select is_called from traps.sprung").fetchone() == (False,)
