"""Helpers of the tests of the migration operations: run one forwards and backwards, and see what it created."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

from ayb_realtime.operations import EnableRealtime
from tests.integration.scenario import Owner

# What an owner of tables has to be let call, beside the migrator (docs/deployment.md).
TO_ENABLE = (
    "enable_v1",
    "disable_v1",
    "capture_v1",
    "create_roles_v1",
    "grant_v1",
    "grant_schemas_v1",
    "key_columns_v1",
    "log_enabled_v1",
    "unusable_schemas_v1",
)


def forwards(
    operation: Operation, connection: BaseDatabaseWrapper | None = None, state: ProjectState | None = None
) -> None:
    """Run an operation as ``migrate`` does. state: the models; by default those of the project."""
    state = state or ProjectState.from_apps(apps)
    with (connection or connections["default"]).schema_editor() as editor:
        operation.database_forwards("blog", editor, state, state)


def backwards(operation: Operation, state: ProjectState | None = None) -> None:
    """Run an operation's reverse as ``migrate`` does."""
    state = state or ProjectState.from_apps(apps)
    with connections["default"].schema_editor() as editor:
        operation.database_backwards("blog", editor, state, state)


def triggers(owner: Owner, table: str) -> list[str]:
    """Return the names of a table's triggers, except those of foreign keys."""
    query = "select tgname from pg_trigger where tgrelid = %s::regclass and not tgisinternal order by 1"
    return [name for (name,) in owner.execute(query, [table])]


def may_select(owner: Owner, table: str) -> bool:
    """Tell whether subscribers have the privilege to read a table."""
    row = owner.execute("select has_table_privilege('ayb_authenticated', %s::regclass, 'select')", [table]).fetchone()
    return row == (True,)


def sqlmigrate(*arguments: str, **options: bool) -> str:
    """Return what ``manage.py sqlmigrate`` prints."""
    output = io.StringIO()
    call_command("sqlmigrate", *arguments, stdout=output, no_color=True, **options)
    return output.getvalue()


def policies(owner: Owner, table: str) -> list[tuple[Any, ...]]:
    """Return a table's policies: name, whether permissive, command, roles, and both conditions."""
    query = """
        select p.polname, p.polpermissive, p.polcmd::text,
               array(select coalesce(r.rolname::text, 'public')
                       from unnest(p.polroles) as role left join pg_roles r on r.oid = role order by 1),
               pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid)
          from pg_policy p where p.polrelid = %s::regclass order by 1"""
    return owner.execute(query, [table]).fetchall()


OURS = ["!ayb_realtime", "!ayb_realtime_truncate"]


def refusal(table: str) -> str:
    """Return the message of a refusal, with its hint."""
    with pytest.raises(CommandError) as error:
        forwards(EnableRealtime(table=table))
    return str(error.value).removeprefix(f"Enable realtime for {table}: ")


@pytest.fixture
def plain_role(owner: Owner) -> Iterator[str]:
    """A role without CREATEROLE that may call the package's functions. The test is rolled back."""
    name = f"plain_{uuid4().hex}"
    with owner.transaction(force_rollback=True):
        owner.execute(f"create role {name}".encode())
        owner.execute(f"grant {name} to current_user".encode())
        owner.execute(f"grant usage on schema ayb_realtime to {name}".encode())
        functions = ", ".join(f"ayb_realtime.{function}" for function in TO_ENABLE)
        owner.execute(f"grant execute on function {functions} to {name}".encode())
        yield name


@contextmanager
def acting_as(owner: Owner, role: str) -> Iterator[None]:
    """Run a block as a role."""
    owner.execute(f"set local role {role}".encode())
    yield
    owner.execute("reset role")
