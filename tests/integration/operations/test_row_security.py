"""EnableRowSecurity, Policy and GrantToSubscribers: forwards, backwards, as ``sqlmigrate`` prints them, and refused."""

from typing import Any

import pytest
from django.core.management import CommandError
from django.db.migrations.operations.base import Operation
from django.db.migrations.operations.models import CreateModel
from django.db.migrations.state import ProjectState
from django.db.migrations.writer import OperationWriter
from django.db.models import AutoField, TextField

from ayb_realtime.operations import EnableRealtime, EnableRowSecurity, GrantToSubscribers, Policy
from tests.integration.operations.conftest import OURS, backwards, forwards, may_select, policies, sqlmigrate, triggers
from tests.integration.scenario import MakeTable, Owner


def is_secured(owner: Owner, table: str) -> bool:
    """Tell whether row-level security is on for a table."""
    row = owner.execute("select relrowsecurity from pg_class where oid = %s::regclass", [table]).fetchone()
    return row == (True,)


def readable(owner: Owner, table: str) -> list[str]:
    """Return the columns that subscribers may read."""
    query = """
        select attname::text from pg_attribute
         where attrelid = %s::regclass and attnum > 0
           and has_column_privilege('ayb_authenticated', attrelid, attnum, 'select') order by attnum"""
    return [name for (name,) in owner.execute(query, [table])]


# Arguments of a policy, and what the catalog then has.
SHAPES: list[tuple[dict[str, Any], tuple[Any, ...]]] = [
    ({"using": "author = 'it''s {} 100%s'"}, (True, "*", ["public"], "(author = 'it''s {} 100%s'::text)", None)),
    (
        {"using": "id % 2 = 0", "for_": "select", "to": "ayb_authenticated"},
        (True, "r", ["ayb_authenticated"], "((id % 2) = 0)", None),
    ),
    ({"with_check": "id > 0", "for_": "insert", "restrictive": True}, (False, "a", ["public"], None, "(id > 0)")),
    (
        {"using": "true", "with_check": "false", "for_": "update", "to": ["ayb_authenticated", "ayb_anonymous"]},
        (True, "w", ["ayb_anonymous", "ayb_authenticated"], "true", "false"),
    ),
    ({"using": "true", "for_": "delete", "to": "public"}, (True, "d", ["public"], "true", None)),
]


@pytest.mark.parametrize(("arguments", "expected"), SHAPES)
def test_policy_is_created_as_it_says_and_then_dropped(
    owner: Owner, make_table: MakeTable, arguments: dict[str, Any], expected: tuple[Any, ...]
) -> None:
    table, name = '"Legacy 100% ""x"""', 'a "quoted" {name}, 100%s'
    make_table(table, "id int primary key, author text", enable=False)
    operation = Policy(name=name, table=table, **arguments)
    forwards(operation)
    assert policies(owner, table) == [(name, *expected)]
    backwards(operation)
    assert policies(owner, table) == []


@pytest.mark.parametrize("db_table", ["plain_cards", 'sales"."cards', '"sales"."cards"', "Quoted Cards"])
def test_model_whatever_its_table_is_called_is_secured_and_then_no_longer(owner: Owner, db_table: str) -> None:
    table = '"' + db_table.strip('"') + '"'
    state = ProjectState()
    fields: list[tuple[str, Any]] = [("id", AutoField(primary_key=True)), ("author", TextField())]
    CreateModel("Card", fields, {"db_table": db_table}).state_forwards("blog", state)
    operations = [
        EnableRowSecurity("Card"),
        Policy("Card", "card_author", using="author = current_setting('ayb.user_id')"),
        GrantToSubscribers("Card", columns=["id"]),
        EnableRealtime("Card"),
    ]
    owner.execute(f"create schema sales; create table {table} (id serial primary key, author text)".encode())
    try:
        for operation in operations[:3]:
            forwards(operation, state=state)
        assert (is_secured(owner, table), len(policies(owner, table))) == (True, 1)
        assert (readable(owner, table), may_select(owner, table)) == (["id"], False)
        forwards(operations[3], state=state)
        assert triggers(owner, table) == OURS
        for operation in reversed(operations):
            backwards(operation, state)
        assert (is_secured(owner, table), policies(owner, table), readable(owner, table)) == (False, [], [])
    finally:
        owner.execute(f"drop table {table}; drop schema sales".encode())


def test_subscribers_may_read_a_table_of_another_schema_and_then_no_longer(owner: Owner) -> None:
    owner.execute("create schema sales; create table sales.members (id int, name text)")
    usage = "select has_schema_privilege('ayb_authenticated', 'sales', 'usage')"
    try:
        assert owner.execute(usage).fetchone() == (False,)
        forwards(GrantToSubscribers(table="sales.members"))
        assert (owner.execute(usage).fetchone(), may_select(owner, "sales.members")) == ((True,), True)
        backwards(GrantToSubscribers(table="sales.members"))
        assert readable(owner, "sales.members") == []
    finally:
        owner.execute("drop schema sales cascade")


def test_grant_of_what_a_stream_needs_is_refused_since_its_reverse_would_end_the_stream(database_url: str) -> None:
    with pytest.raises(CommandError, match=r"subscribers may read public.posts already(.|\n)*leave this operation out"):
        forwards(GrantToSubscribers("Post"))


def test_sqlmigrate_prints_what_migrate_runs(database_url: str) -> None:
    printed = sqlmigrate("blog", "0002")
    policy = 'create policy "posts_published" on "posts"\n  for select\n  using (published);'
    for line in ('alter table "posts" enable row level security;', policy):
        assert line in printed
    assert "-- Create the policy posts_published on Post" in printed
    assert """select ayb_realtime.grant_v1('"memberships"');""" in printed
    printed = sqlmigrate("blog", "0002", backwards=True)
    assert 'drop policy "posts_published" on "posts";' in printed
    assert 'revoke select on "memberships" from "ayb_authenticated";' in printed


@pytest.mark.parametrize(
    "operation",
    [
        EnableRowSecurity(table="legacy"),
        Policy("Post", "p", using="true", to=["a", "b"], for_="select"),
        Policy(name="p", table="legacy", with_check="x = 'y'", restrictive=True),
        GrantToSubscribers("Membership", columns=["id"]),
    ],
)
def test_operation_can_be_written_into_a_squashed_migration(operation: Operation) -> None:
    source, imports = OperationWriter(operation, indentation=0).serialize()
    assert imports == {"import ayb_realtime.operations"}
    names: dict[str, Any] = {}
    exec("import ayb_realtime.operations\noperation = " + source.rstrip(","), names)
    written = {**vars(names["operation"]), "_constructor_args": None}
    assert written == {**vars(operation), "_constructor_args": None}


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"using": "true"}, "a policy's name has 1 to 63 bytes, and this one 0"),
    ({"name": "ü" * 32, "using": "true"}, "a policy's name has 1 to 63 bytes, and this one 64"),
    ({"name": "p"}, "it needs a condition"),
    ({"name": "p", "using": "true", "for_": "SELECT"}, "for_ is one of all, select, insert, update, delete, and not"),
    ({"name": "p", "using": "true", "for_": "insert"}, "a policy for insert has with_check"),
    ({"name": "p", "with_check": "true", "for_": "select"}, "a policy for select has using"),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG)
def test_policy_that_cannot_be_meant_is_refused_where_it_is_written(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(CommandError, match=message):
        Policy("Post", **arguments)


REFUSED: list[tuple[Operation, str]] = [
    (Policy("Post", "p", using="autor_id = 1"), 'Create the policy p on Post: column "autor_id" does not exist'),
    (Policy("Post", "p", using="published", to="nobody"), 'Create the policy p on Post: role "nobody" does not exist'),
    (Policy("Post", "posts_author", using="true"), 'policy "posts_author" for table "posts" already exists'),
    (Policy("Pots", "p", using="true"), "Create the policy p on Pots: App 'blog' doesn't have a 'Pots' model"),
    (EnableRowSecurity(table="missing"), 'for missing: relation "missing" does not exist'),
    (GrantToSubscribers("Team", columns=["nam"]), 'column "nam" of relation "teams" does not exist'),
]


@pytest.mark.parametrize(("operation", "message"), REFUSED)
def test_what_postgres_refuses_is_said_with_the_operation(
    database_url: str, operation: Operation, message: str
) -> None:
    with pytest.raises(CommandError, match=message):
        forwards(operation)
