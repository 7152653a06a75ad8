"""Migration operations: ``EnableRealtime`` marks a table whose changes are streamed."""

import re
from collections.abc import Mapping
from typing import Any

import psycopg
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandError
from django.db import ProgrammingError, router
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.operations.base import Operation, OperationCategory
from django.db.migrations.state import ProjectState

from ayb_realtime.conf import conf
from ayb_realtime.exceptions import RESTORE_LOG, NotMigrated
from ayb_realtime.postgres.sql_files import sql


class CannotMigrate(NotMigrated, CommandError):
    """A migration cannot run yet, or as it is written. ``migrate`` prints the message, without a traceback."""


def _literal(text: str) -> str:
    """Return a text as an SQL literal that means the same with standard_conforming_strings off."""
    quoted = "'" + text.replace("'", "''") + "'"
    return "E" + quoted.replace("\\", "\\\\") if "\\" in text else quoted


class _DatabaseOperation(Operation):
    """Runs SQL on the database of the streamed tables only, if the site's database routers let it.

    hints: what a router is told beside the app's label, such as the model.
    """

    category = OperationCategory.SQL
    hints: Mapping[str, str] = {}
    # What to do where Postgres refuses a statement and does not say.
    remedy = "Migrate as the table's owner."

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        """Leave Django's state of the models unchanged."""

    def _runs(self, schema_editor: BaseDatabaseSchemaEditor, app_label: str) -> bool:
        alias = schema_editor.connection.alias
        return alias == conf.database and router.allow_migrate(alias, app_label, **self.hints)

    def _execute(self, schema_editor: BaseDatabaseSchemaEditor, statement: str) -> None:
        connection = schema_editor.connection
        if connection.vendor != "postgresql":
            raise ImproperlyConfigured(
                f"ayb_realtime streams tables of PostgreSQL, but the database {connection.alias!r} is "
                f'{connection.vendor}. Name the alias of a PostgreSQL database in AYB_REALTIME["DATABASE"].'
            )
        try:
            schema_editor.execute(statement, params=None)
        except ProgrammingError as error:
            if isinstance(error.__cause__, psycopg.errors.DuplicateSchema):
                raise CannotMigrate(
                    f"{self.describe()}: the schema ayb_realtime is there already, and one is for all tenants. With "
                    'django-tenants, have "ayb_realtime" in SHARED_APPS alone. If it is a failed restore\'s, drop it.'
                ) from error
            if not isinstance(error.__cause__, psycopg.errors.InsufficientPrivilege):
                raise
            refusal = error.__cause__.diag
            remedy = refusal.message_hint or self.remedy
            raise CannotMigrate(f"{self.describe()}: {refusal.message_primary}. {remedy}") from error


class RunSQLFile(_DatabaseOperation):
    """Run one of the package's SQL files."""

    remedy = "Run this as the database's owner or a superuser, then migrate again: GRANT CREATE ON DATABASE … TO …;"

    def __init__(self, name: str, reverse_sql: str = "") -> None:
        self.name = name
        self.reverse_sql = reverse_sql

    def database_forwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: Any, to_state: Any
    ) -> None:
        """Run the file."""
        if self._runs(schema_editor, app_label):
            self._execute(schema_editor, sql(self.name))

    def database_backwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: Any, to_state: Any
    ) -> None:
        """Run the reverse statement, if there is one."""
        if self.reverse_sql and self._runs(schema_editor, app_label):
            self._execute(schema_editor, self.reverse_sql)

    def describe(self) -> str:
        """Say what the operation does."""
        return f"Run ayb_realtime's {self.name}.sql"


class EnableRealtime(_DatabaseOperation):
    """Stream the changes of a model's table, ``EnableRealtime("Post")``, or of another: ``(table="legacy_orders")``.

    Clients can then subscribe to its rows. The role ``ayb_authenticated`` is granted SELECT on the table, and row-level
    security decides which rows it sees. A view, and a table without a primary key, are refused. Reversible.

    table: the table's name, with its schema if it is not on the search path: ``"sales.orders"``. A name with other
    characters than lower-case letters, digits and underscores is quoted as in SQL.
    notify: False for a table that is written in two-phase commits, in which Postgres allows no NOTIFY. The relay then
    finds its changes when it next looks, within half a second.
    """

    def __init__(self, model_name: str = "", *, table: str = "", notify: bool = True) -> None:
        if bool(model_name) == bool(table):
            raise TypeError('EnableRealtime takes either a model, EnableRealtime("Post"), or table="legacy_orders"')
        if "." in model_name:
            raise CannotMigrate(
                f'EnableRealtime("{model_name}"): name a model of the migration\'s own app, as in "Post",'
                ' and another app\'s by its table: EnableRealtime(table="auth_user"), depending on its migration.'
            )
        self.model_name = model_name
        self.hints = {"model_name": model_name.lower()} if model_name else {}
        self.table = table
        self.notify = notify

    def database_forwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: Any, to_state: Any
    ) -> None:
        """Add the triggers and the grants. Raises django.db.Error with a hint if the table cannot be streamed."""
        self._call(schema_editor, f"enable_v1(%s, {str(self.notify).lower()})", app_label, to_state)

    def database_backwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: Any, to_state: Any
    ) -> None:
        """Remove the triggers and the grants."""
        self._call(schema_editor, "disable_v1(%s)", app_label, from_state)

    def describe(self) -> str:
        """Say what the operation does."""
        return f"Enable realtime for {self.model_name or self.table}"

    @property
    def migration_name_fragment(self) -> str:
        """Return a part for the name of a migration."""
        return re.sub(r"[\W_]+", "_", f"realtime_{self.model_name or self.table}".lower()).strip("_")

    def _call(self, schema_editor: BaseDatabaseSchemaEditor, call: str, app_label: str, state: ProjectState) -> None:
        if not self._runs(schema_editor, app_label):
            return
        name = self.table
        if self.model_name:
            name = schema_editor.quote_name(state.apps.get_model(app_label, self.model_name)._meta.db_table)
        try:
            self._execute(schema_editor, f"select ayb_realtime.{call % _literal(name)}")
        except ProgrammingError as error:
            if isinstance(error.__cause__, psycopg.errors.InvalidSchemaName):
                raise CannotMigrate(
                    f"{self.describe()}: ayb_realtime's own migration has not run yet. Add "
                    f'("ayb_realtime", "0001_initial") to the dependencies of this migration of {app_label!r}. Where '
                    f"`showmigrations ayb_realtime` says that it has: {RESTORE_LOG}"
                ) from error
            raise
