"""EnableRealtime: it streams a table, stops again, and says in a sentence what cannot be streamed."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import ProgrammingError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState
from django.db.migrations.writer import OperationWriter
from django.db.utils import ConnectionHandler

from ayb_realtime.exceptions import NotMigrated
from ayb_realtime.operations import EnableRealtime, RunSQLFile
from example_project.blog.models import Team
from tests.integration.scenario import MakeTable, Owner

ROLES = ("ayb_authenticated", "ayb_anonymous")


def forwards(operation: Operation, connection: BaseDatabaseWrapper | None = None) -> None:
    """Run an operation as ``migrate`` does."""
    state = ProjectState.from_apps(apps)
    with (connection or connections["default"]).schema_editor() as editor:
        operation.database_forwards("blog", editor, state, state)


def backwards(operation: Operation) -> None:
    """Run an operation's reverse as ``migrate`` does."""
    state = ProjectState.from_apps(apps)
    with connections["default"].schema_editor() as editor:
        operation.database_backwards("blog", editor, state, state)


def triggers(owner: Owner, table: str) -> list[str]:
    """Return the names of a table's triggers, but for those of foreign keys."""
    query = "select tgname from pg_trigger where tgrelid = %s::regclass and not tgisinternal order by 1"
    return [name for (name,) in owner.execute(query, [table])]


def may_select(owner: Owner, table: str) -> bool:
    """Tell whether subscribers may read a table, as far as row-level security lets them."""
    row = owner.execute("select has_table_privilege('ayb_authenticated', %s::regclass, 'select')", [table]).fetchone()
    return row == (True,)


OURS = ["!ayb_realtime", "!ayb_realtime_truncate"]


def test_model_is_streamed_and_then_no_longer(owner: Owner) -> None:
    operation = EnableRealtime("Team")
    assert (triggers(owner, "teams"), may_select(owner, "teams")) == ([], False)
    forwards(operation)
    try:
        assert (triggers(owner, "teams"), may_select(owner, "teams")) == (OURS, True)
        team = Team.objects.create(name="A")
        logged = owner.execute("select action, record::text from ayb_realtime.change order by id desc").fetchone()
        assert logged == ("create", f'{{"id":{team.pk},"name":"A"}}')
    finally:
        backwards(operation)
    assert (triggers(owner, "teams"), may_select(owner, "teams")) == ([], False)


@pytest.mark.parametrize("name", ["legacy_orders", '"Legacy Orders"', '"it\'s 100 %% ""legacy"""'])
def test_table_without_a_model_is_streamed_and_then_no_longer(owner: Owner, make_table: MakeTable, name: str) -> None:
    make_table(name, "id int primary key", enable=False)
    operation = EnableRealtime(table=name)
    forwards(operation)
    assert (triggers(owner, name), may_select(owner, name)) == (OURS, True)
    backwards(operation)
    assert (triggers(owner, name), may_select(owner, name)) == ([], False)


def test_table_of_another_schema_lets_subscribers_into_the_schema(owner: Owner, make_table: MakeTable) -> None:
    owner.execute("create schema sales")
    try:
        make_table("sales.orders", "id int primary key", enable=False)
        forwards(EnableRealtime(table="sales.orders"))
        assert triggers(owner, "sales.orders") == OURS
        usage = owner.execute("select has_schema_privilege('ayb_authenticated', 'sales', 'usage')").fetchone()
        assert usage == (True,)
    finally:
        owner.execute("drop schema sales cascade")


def refusal(table: str) -> str:
    """Return the message of a refusal, with its hint."""
    with pytest.raises(ProgrammingError) as error:
        forwards(EnableRealtime(table=table))
    return str(error.value)


REFUSED = [
    (
        "create view refused as select 1 as id",
        "drop view refused",
        "public.refused is a view: a view has no changes of its own to stream",
        "HINT:  Enable realtime for the tables that it reads.",
    ),
    (
        "create materialized view refused as select 1 as id",
        "drop materialized view refused",
        "public.refused is a view: a view has no changes of its own to stream",
        "HINT:  Enable realtime for the tables that it reads.",
    ),
    (
        "create table whole (id int primary key) partition by list (id);"
        "create table refused partition of whole for values in (1)",
        "drop table whole",
        "public.refused is a partition of public.whole",
        "HINT:  Enable realtime for public.whole: it then covers every partition.",
    ),
    (
        "create table refused (id int unique not null)",
        "drop table refused",
        "public.refused has no primary key: subscribers could not tell its rows apart",
        "HINT:  Add one first: ALTER TABLE public.refused ADD PRIMARY KEY (...);",
    ),
    (
        "create table refused (id int primary key); create table child () inherits (refused)",
        "drop table refused cascade",
        "other tables inherit from public.refused",
        "HINT:  Their rows are among its own, and no trigger tells of their changes",
    ),
    ("create sequence refused", "drop sequence refused", "public.refused is not a table", ""),
    (
        "create table refused (id int primary key); select ayb_realtime.enable_v1('refused')",
        "drop table refused",
        "public.refused is streamed already",
        "HINT:  Another migration has enabled realtime for it: leave this operation out.",
    ),
    ("select 1", "select 1", 'relation "refused" does not exist', ""),
]


@pytest.mark.parametrize(("make", "drop", "sentence", "hint"), REFUSED)
def test_what_cannot_be_streamed_is_refused_with_a_sentence(
    owner: Owner, make: str, drop: str, sentence: str, hint: str
) -> None:
    owner.execute(make.encode())
    try:
        message = refusal("refused")
    finally:
        owner.execute(drop.encode())
    assert message.startswith(sentence)
    assert hint in message


def test_temporary_table_is_refused(database_url: str) -> None:
    with connections["default"].cursor() as cursor:
        cursor.execute("create temp table refused (id int primary key)")
        message = refusal("refused")
        cursor.execute("drop table refused")
    assert message.startswith("refused is a temporary table: only the session that made it could read its rows")


def test_foreign_table_is_refused(owner: Owner) -> None:
    make_wrapper = "create foreign data wrapper ayb_test_wrapper"
    if owner.info.parameter_status("is_superuser") != "on":
        # Whoever is no superuser cannot have a foreign table without one's help.
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            owner.execute(make_wrapper)
        return
    owner.execute(make_wrapper)
    try:
        owner.execute("create server ayb_test_server foreign data wrapper ayb_test_wrapper")
        owner.execute("create foreign table refused (id int) server ayb_test_server")
        message = refusal("refused")
    finally:
        owner.execute("drop foreign data wrapper ayb_test_wrapper cascade")
    assert message.startswith("public.refused is a foreign table: its changes happen on another server")
    assert "HINT:  Enable realtime in the database that holds the table." in message


def test_refused_table_is_left_as_it_was(owner: Owner, make_table: MakeTable) -> None:
    make_table("refused", "id int", enable=False)
    refusal("refused")
    assert (triggers(owner, "refused"), may_select(owner, "refused")) == ([], False)


@pytest.fixture
def plain_role(owner: Owner) -> Iterator[str]:
    """A role without CREATEROLE that may call the package's functions; all that the test does is rolled back."""
    name = f"plain_{uuid4().hex}"
    with owner.transaction(force_rollback=True):
        owner.execute(f"create role {name}".encode())
        owner.execute(f"grant {name} to current_user".encode())
        owner.execute(f"grant usage on schema ayb_realtime to {name}".encode())
        owner.execute(f"grant execute on function ayb_realtime.capture_v1() to {name}".encode())
        yield name


@contextmanager
def acting_as(owner: Owner, role: str) -> Iterator[None]:
    """Run a block as a role."""
    owner.execute(f"set local role {role}".encode())
    yield
    owner.execute("reset role")


def without_roles(owner: Owner) -> None:
    """Make it look as if nobody had made the subscribers' roles, until the transaction is rolled back."""
    for role in ROLES:
        owner.execute(f"alter role {role} rename to hidden_{uuid4().hex}".encode())


def may_act_as(owner: Owner, role: str) -> bool:
    """Tell whether the current user may act as a role."""
    kind = "set" if owner.info.server_version >= 160000 else "member"
    return owner.execute("select pg_has_role(current_user, %s, %s)", [role, kind]).fetchone() == (True,)


def test_missing_roles_are_made_and_can_be_acted_as(owner: Owner, make_table: MakeTable) -> None:
    make_table("notes", "id int primary key", enable=False)
    with owner.transaction(force_rollback=True):
        without_roles(owner)
        owner.execute("select ayb_realtime.enable_v1('notes')")
        made = owner.execute(
            "select rolname, rolcanlogin, rolsuper, rolbypassrls, rolcreaterole from pg_roles"
            " where rolname = any(%s) order by 1 desc",
            [list(ROLES)],
        ).fetchall()
        assert made == [(role, False, False, False, False) for role in ROLES]
        assert all(may_act_as(owner, role) for role in ROLES)
        assert may_select(owner, "notes")


@pytest.mark.parametrize("missing", [False, True])
def test_user_who_may_not_make_the_roles_is_told_what_to_run(owner: Owner, plain_role: str, missing: bool) -> None:
    if missing:
        without_roles(owner)
    make_roles = "select ayb_realtime.create_roles_v1()"
    refusing = pytest.raises(psycopg.errors.InsufficientPrivilege)
    with acting_as(owner, plain_role), refusing as refused, owner.transaction():
        owner.execute(make_roles)
    assert refused.value.diag.message_primary == (
        f'ayb_realtime needs the roles "ayb_authenticated" and "ayb_anonymous", and "{plain_role}" may not make them '
        "or act as them."
    )
    hint = refused.value.diag.message_hint or ""
    advice, _, statements = hint.partition(": ")
    assert advice == "Run this once as a superuser, then migrate again"
    assert statements.count("CREATE ROLE") == (2 if missing else 0)
    # Just that, and it works.
    owner.execute(statements.encode())
    with acting_as(owner, plain_role):
        owner.execute(make_roles)
        assert all(may_act_as(owner, role) for role in ROLES)
        # Where Postgres can tell the two apart, it may not do by itself what subscribers may.
        inherits = owner.execute("select pg_has_role(current_user, 'ayb_authenticated', 'usage')").fetchone()
        assert inherits == (owner.info.server_version < 160000,)


@pytest.mark.parametrize(("role", "power"), [("ayb_authenticated", "superuser"), ("ayb_anonymous", "bypassrls")])
def test_role_made_beforehand_that_policies_do_not_hold_is_refused(
    owner: Owner, make_table: MakeTable, role: str, power: str
) -> None:
    make_table("notes", "id int primary key", enable=False)
    make_powerful = f"alter role {role} {power}".encode()
    with owner.transaction(force_rollback=True):
        if owner.execute("select rolsuper from pg_roles where rolname = current_user").fetchone() != (True,):
            # Then nobody can have done so but a superuser, and there the other run of these tests is one.
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                owner.execute(make_powerful)
            return
        owner.execute(make_powerful)
        refusing = pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match=f'hold .* role "{role}"')
        with refusing as refused, owner.transaction():
            owner.execute("select ayb_realtime.enable_v1('notes')")
        advice, _, statement = (refused.value.diag.message_hint or "").partition(": ")
        assert advice == "Run this as a superuser, then migrate again"
        # Just that, and it works.
        owner.execute(statement.encode())
        owner.execute("select ayb_realtime.enable_v1('notes')")


def test_schema_that_subscribers_cannot_be_let_into_is_said_to_be_so(owner: Owner, plain_role: str) -> None:
    owner.execute("create schema sales")
    owner.execute(f"grant usage, create on schema sales to {plain_role}".encode())
    owner.execute(f"grant ayb_authenticated, ayb_anonymous to {plain_role}".encode())
    with acting_as(owner, plain_role):
        owner.execute("create table sales.orders (id int primary key)")
        with pytest.raises(psycopg.errors.InsufficientPrivilege) as refused, owner.transaction():
            owner.execute("select ayb_realtime.enable_v1('sales.orders')")
    assert refused.value.diag.message_primary == "subscribers may not use the schema sales, and you may not let them"
    hint = refused.value.diag.message_hint or ""
    assert hint == "Run this as its owner, then migrate again: GRANT USAGE ON SCHEMA sales TO ayb_authenticated;"
    owner.execute(hint.partition(": ")[2].encode())
    with acting_as(owner, plain_role):
        owner.execute("select ayb_realtime.enable_v1('sales.orders')")
        assert triggers(owner, "sales.orders") == OURS


def test_database_that_is_not_the_streamed_one_is_left_alone(
    owner: Owner, make_table: MakeTable, settings: Any
) -> None:
    make_table("notes", "id int primary key", enable=False)
    settings.AYB_REALTIME = {"DATABASE": "another"}
    forwards(EnableRealtime(table="notes"))
    backwards(EnableRealtime(table="notes"))
    forwards(RunSQLFile("schema"))
    backwards(RunSQLFile("schema", reverse_sql="drop schema ayb_realtime cascade"))
    assert triggers(owner, "notes") == []
    assert owner.execute("select to_regclass('ayb_realtime.change') is not null").fetchone() == (True,)


@pytest.fixture
def sqlite(transactional_db: None, tmp_path: Path) -> Iterator[BaseDatabaseWrapper]:
    """A database that is not Postgres, with the alias ``lite``."""
    database = {"ENGINE": "django.db.backends.sqlite3", "NAME": tmp_path / "lite"}
    connections["lite"] = ConnectionHandler({"default": database, "lite": database})["lite"]
    yield connections["lite"]
    connections["lite"].close()
    del connections["lite"]


@pytest.mark.parametrize("operation", [EnableRealtime("Post"), RunSQLFile("schema")])
def test_streamed_database_that_is_not_postgres_is_refused(
    sqlite: BaseDatabaseWrapper, settings: Any, operation: Operation
) -> None:
    forwards(operation, sqlite)
    settings.AYB_REALTIME = {"DATABASE": "lite"}
    with pytest.raises(ImproperlyConfigured, match=r"'lite' is sqlite.*AYB_REALTIME\[\"DATABASE\"\]"):
        forwards(operation, sqlite)


def sqlmigrate(*arguments: str, **options: bool) -> str:
    """Return what ``manage.py sqlmigrate`` prints."""
    output = io.StringIO()
    call_command("sqlmigrate", *arguments, stdout=output, no_color=True, **options)
    return output.getvalue()


def test_sqlmigrate_prints_what_migrate_runs(database_url: str) -> None:
    printed = sqlmigrate("ayb_realtime", "0001")
    assert "create schema ayb_realtime;" in printed
    assert "create function ayb_realtime.capture_v1() returns trigger" in printed
    assert "-- Run ayb_realtime's capture.sql" in printed
    printed = sqlmigrate("blog", "0002")
    assert "-- Enable realtime for Post" in printed
    assert """select ayb_realtime.enable_v1('"posts"', true);""" in printed
    printed = sqlmigrate("blog", "0002", backwards=True)
    assert """select ayb_realtime.disable_v1('"posts"');""" in printed


def test_migrations_go_back_to_nothing_and_forth_again(owner: Owner) -> None:
    schema_exists = "select to_regnamespace('ayb_realtime') is not null"
    try:
        call_command("migrate", "ayb_realtime", "zero", verbosity=0)
        assert owner.execute(schema_exists).fetchone() == (False,)
        assert triggers(owner, "posts") == []
        owner.execute("insert into teams (name) values ('A')")
    finally:
        call_command("migrate", verbosity=0)
    assert owner.execute(schema_exists).fetchone() == (True,)
    assert triggers(owner, "posts") == OURS


def test_migration_that_does_not_depend_on_ours_is_told_to(owner: Owner, make_table: MakeTable) -> None:
    make_table("plain", "id int primary key", enable=False)
    owner.execute("alter schema ayb_realtime rename to aside")
    try:
        with pytest.raises(NotMigrated, match=r'Add \("ayb_realtime", "0001_initial"\) to the dependencies'):
            forwards(EnableRealtime(table="plain"))
    finally:
        owner.execute("alter schema aside rename to ayb_realtime")


@pytest.mark.parametrize(
    ("operation", "fragment", "description"),
    [
        (EnableRealtime("Post"), "realtime_post", "Enable realtime for Post"),
        (EnableRealtime(table="legacy_orders"), "realtime_legacy_orders", "Enable realtime for legacy_orders"),
        (EnableRealtime(table="sales.orders"), "realtime_sales_orders", "Enable realtime for sales.orders"),
        (EnableRealtime(table='"My Orders"'), "realtime_my_orders", 'Enable realtime for "My Orders"'),
    ],
)
def test_operation_gives_its_migration_a_name(operation: EnableRealtime, fragment: str, description: str) -> None:
    assert operation.migration_name_fragment == fragment
    assert re.fullmatch(r"\w+", fragment)
    assert operation.describe() == description


@pytest.mark.parametrize("operation", [EnableRealtime("Post"), EnableRealtime(table="legacy_orders")])
def test_operation_can_be_written_into_a_squashed_migration(operation: EnableRealtime) -> None:
    source, imports = OperationWriter(operation, indentation=0).serialize()
    assert imports == {"import ayb_realtime.operations"}
    names: dict[str, Any] = {}
    exec("import ayb_realtime.operations\noperation = " + source.rstrip(","), names)
    assert vars(names["operation"]).items() >= {"model_name": operation.model_name, "table": operation.table}.items()


def test_neither_or_both_of_model_and_table_are_refused() -> None:
    both: dict[str, Any] = {"model_name": "Post", "table": "posts"}
    for arguments in ({}, both):
        with pytest.raises(TypeError, match=r'either a model, EnableRealtime\("Post"\), or table='):
            EnableRealtime(**arguments)


def test_unknown_model_is_an_error_that_names_it(database_url: str) -> None:
    with pytest.raises(LookupError, match="Missing"):
        forwards(EnableRealtime("Missing"))
