"""What the package's migration operations have in common: on which database they run, and what they say if not."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import psycopg
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandError
from django.db import ProgrammingError, router
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.operations.base import Operation, OperationCategory
from django.db.migrations.state import ProjectState
from django.db.models import Model

from ayb_realtime.conf import conf
from ayb_realtime.exceptions import RESTORE_LOG, NotMigrated
from ayb_realtime.postgres.sql_files import pinned, sql


class CannotMigrate(NotMigrated, CommandError):
    """A migration cannot run yet, or as it is written. ``migrate`` prints the message, without a traceback."""


class DatabaseOperation(Operation):
    """Runs SQL on the database of the streamed tables only, if the site's database routers let it.

    hints: what a router is told beside the app's label, such as the model.
    """

    category = OperationCategory.SQL
    hints: Mapping[str, str] = {}
    # What to do where Postgres refuses a statement and does not say.
    remedy = "Migrate as the table's owner."

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        """Leave Django's state of the models unchanged."""

    def runs(self, schema_editor: BaseDatabaseSchemaEditor, app_label: str) -> bool:
        """Tell whether to run on this database."""
        alias = schema_editor.connection.alias
        return alias == conf.database and router.allow_migrate(alias, app_label, **self.hints)

    def execute(self, schema_editor: BaseDatabaseSchemaEditor, statement: str) -> None:
        """Run a statement. Raises CannotMigrate if Postgres refuses it, ImproperlyConfigured on another database."""
        connection = schema_editor.connection
        if connection.vendor != "postgresql":
            raise ImproperlyConfigured(
                f"ayb_realtime streams tables of PostgreSQL, but the database {connection.alias!r} is "
                f'{connection.vendor}. Name the alias of a PostgreSQL database in AYB_REALTIME["DATABASE"].'
            )
        try:
            schema_editor.execute(statement, params=None)
        except ProgrammingError as error:
            raise CannotMigrate(f"{self.describe()}: {self._reason(error.__cause__)}") from error

    def _reason(self, error: BaseException | None) -> str:
        """Say why Postgres has refused a statement, and what to do."""
        if isinstance(error, psycopg.errors.DuplicateSchema):
            return (
                "the schema ayb_realtime is there already, and one is for all tenants. With django-tenants, have "
                '"ayb_realtime" in SHARED_APPS alone. If it is a failed restore\'s, drop it.'
            )
        if isinstance(error, psycopg.errors.InvalidSchemaName) and "ayb_realtime" in str(error.diag.message_primary):
            return (
                'ayb_realtime\'s own migration has not run yet. Add ("ayb_realtime", "0001_initial") to the'
                f" dependencies of this migration. Where `showmigrations ayb_realtime` says that it has: {RESTORE_LOG}"
            )
        if isinstance(error, psycopg.errors.InsufficientPrivilege):
            return f"{error.diag.message_primary}. {error.diag.message_hint or self.remedy}"
        return str(error)


class RunSQLFile(DatabaseOperation):
    """Run one of the package's SQL files."""

    remedy = "Run this as the database's owner or a superuser, then migrate again: GRANT CREATE ON DATABASE … TO …;"

    def __init__(self, name: str, reverse_sql: str = "") -> None:
        self.name = name
        self.reverse_sql = reverse_sql

    def database_forwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: Any, to_state: Any
    ) -> None:
        """Run the file."""
        if self.runs(schema_editor, app_label):
            self.execute(schema_editor, pinned(sql(self.name)))

    def database_backwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: Any, to_state: Any
    ) -> None:
        """Run the reverse statement, if there is one."""
        if self.reverse_sql and self.runs(schema_editor, app_label):
            self.execute(schema_editor, self.reverse_sql)

    def describe(self) -> str:
        """Say what the operation does."""
        return f"Run ayb_realtime's {self.name}.sql"


class TableOperation(DatabaseOperation):
    """Concerns the table of a model of the migration's app, ``("Post")``, or another: ``(table="legacy_orders")``.

    table: the table's name, with its schema if it is not on the search path: ``"sales.orders"``. A name with other
        characters than lower-case letters, digits and underscores is quoted as in SQL.
    description, fragment: what the operation does, and a part for the name of a migration, each before the table.
    """

    description = ""
    fragment = ""

    def __init__(self, model_name: str, table: str) -> None:
        name = type(self).__name__
        if bool(model_name) == bool(table):
            raise TypeError(f'{name} takes either a model, {name}("Post"), or table="legacy_orders"')
        if "." in model_name:
            raise CannotMigrate(
                f'{name}("{model_name}"): name a model of the migration\'s own app, as in "Post",'
                f' and another app\'s by its table: {name}(table="auth_user"), depending on its migration.'
            )
        self.model_name = model_name
        self.hints = {"model_name": model_name.lower()} if model_name else {}
        self.table = table

    def forwards(self, table: str) -> Iterator[str]:
        """Yield the statements. table: its name as SQL has it."""
        raise NotImplementedError

    def backwards(self, table: str) -> Iterator[str]:
        """Yield the statements that undo those."""
        raise NotImplementedError

    def database_forwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: Any, to_state: Any
    ) -> None:
        """Run the statements. Raises CannotMigrate."""
        self._run(schema_editor, app_label, to_state, self.forwards)

    def database_backwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: Any, to_state: Any
    ) -> None:
        """Undo them. Raises CannotMigrate."""
        self._run(schema_editor, app_label, from_state, self.backwards)

    def describe(self) -> str:
        """Say what the operation does."""
        return f"{self.description} {self.model_name or self.table}"

    @property
    def migration_name_fragment(self) -> str:
        """Return a part for the name of a migration."""
        return re.sub(r"[\W_]+", "_", f"{self.fragment}_{self.model_name or self.table}".lower()).strip("_")

    def _run(
        self,
        schema_editor: BaseDatabaseSchemaEditor,
        app_label: str,
        state: ProjectState,
        statements: Callable[[str], Iterator[str]],
    ) -> None:
        if self.runs(schema_editor, app_label):
            table = self.table or schema_editor.quote_name(self._model(app_label, state)._meta.db_table)
            for statement in statements(table):
                self.execute(schema_editor, statement)

    def _model(self, app_label: str, state: ProjectState) -> type[Model]:
        try:
            return state.apps.get_model(app_label, self.model_name)
        except LookupError as error:
            raise CannotMigrate(f"{self.describe()}: {error} No migration before this one has made it.") from error
