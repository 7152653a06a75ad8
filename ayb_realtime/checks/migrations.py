"""Checks that the tables that the migrations enable are streamed, and that no table of a deleted model still is."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from django.core.checks import CheckMessage, Tags, Warning  # noqa: A004 - Django's names
from django.db import connections
from django.db.backends.utils import truncate_name
from django.db.migrations import Migration
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.operations import RenameField, RenameModel, SeparateDatabaseAndState
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

from ayb_realtime.checks.registration import register
from ayb_realtime.checks.tables import Apps, Databases, is_checked, read_states
from ayb_realtime.conf import conf
from ayb_realtime.diagnostics.inspection import TableState
from ayb_realtime.operations import EnableRealtime, role_arguments

VIEWS = {"v", "m"}


@dataclass(frozen=True, slots=True)
class Marked:
    """A table for which an applied migration enables realtime.

    table: its name, quoted as in SQL.
    source: the operation and its migration, for messages.
    model_gone: whether the model has been deleted since, and no other model has its table.
    """

    table: str
    source: str
    model_gone: bool = False


def read_marked() -> list[Marked]:
    """Return the tables that the EnableRealtime operations of all applied migrations stream."""
    executor = MigrationExecutor(connections[conf.database])
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes(), clean_start=True)
    marks = _Marks(ProjectState(real_apps=executor.loader.unmigrated_apps))
    for migration, _ in plan:
        if (migration.app_label, migration.name) in executor.loader.applied_migrations:
            for operation in flat(migration.operations):
                marks.apply(operation, migration)
    return marks.marked()


class _Marks:
    """The tables that are streamed after the operations applied so far.

    A model is known by its app and its name in lower case. The model of an automatic many-to-many table is not in
    Django's state: its table is known only once the state is rendered.
    """

    def __init__(self, state: ProjectState) -> None:
        self._state = state
        self._tables: list[Marked] = []
        self._models: dict[tuple[str, str], str] = {}
        self._automatic: dict[tuple[str, str], Marked] = {}

    def apply(self, operation: Operation, migration: Migration) -> None:
        """Apply an operation of a migration."""
        app = migration.app_label
        known = {model: quoted_table(self._state, *model) for model in self._models}
        operation.state_forwards(app, self._state)
        if isinstance(operation, EnableRealtime):
            self._enable(operation, app, f'"{operation.describe()}" in the migration {app}.{migration.name}')
        elif isinstance(operation, RenameModel) and (app, operation.old_name_lower) in self._models:
            self._models[app, operation.new_name_lower] = self._models.pop((app, operation.old_name_lower))
        self._automatic = {
            (label, renamed(name, operation) if label == app else name): mark
            for (label, name), mark in self._automatic.items()
        }
        for model in self._models.keys() - self._state.models.keys():
            self._tables.append(Marked(known[model], self._models.pop(model), model_gone=True))

    def _enable(self, operation: EnableRealtime, app: str, source: str) -> None:
        model = app, operation.model_name.lower()
        if operation.table:
            self._tables.append(Marked(operation.table, source))
        elif model in self._state.models:
            self._models[model] = source
        else:
            self._automatic[model] = Marked(self._rendered(*model) or operation.model_name, source)

    def _rendered(self, app: str, name: str) -> str | None:
        try:
            model = self._state.clone().apps.get_model(app, name)
        except LookupError:
            return None
        return connections[conf.database].ops.quote_name(model._meta.db_table)

    def marked(self) -> list[Marked]:
        """Return the tables."""
        automatic = [
            Marked(table, mark.source) if (table := self._rendered(*model)) else replace(mark, model_gone=True)
            for model, mark in self._automatic.items()
        ]
        models = [Marked(quoted_table(self._state, *model), source) for model, source in self._models.items()]
        # A model that has moved to another app is not gone.
        tables = {quoted_table(self._state, *model) for model in self._state.models}
        return [*(each for each in self._tables if not (each.model_gone and each.table in tables)), *models, *automatic]


def renamed(name: str, operation: Operation) -> str:
    """Return an automatic many-to-many model's name, model_field in lower case, after an operation of its app."""
    if isinstance(operation, RenameModel) and name.startswith(f"{operation.old_name_lower}_"):
        return f"{operation.new_name_lower}{name.removeprefix(operation.old_name_lower)}"
    if isinstance(operation, RenameField) and name == f"{operation.model_name_lower}_{operation.old_name_lower}":
        return f"{operation.model_name_lower}_{operation.new_name_lower}"
    return name


def flat(operations: Iterable[Operation]) -> Iterator[Operation]:
    """Yield the operations; for a SeparateDatabaseAndState, those of both its halves."""
    for operation in operations:
        if isinstance(operation, SeparateDatabaseAndState):
            yield from (each for each in flat(operation.database_operations) if isinstance(each, EnableRealtime))
            yield from flat(operation.state_operations)
        else:
            yield operation


def quoted_table(state: ProjectState, app_label: str, model_name: str) -> str:
    """Return the name of a model's table, quoted as in SQL. Source: Django's ``Options``."""
    operations = connections[conf.database].ops
    name = state.models[app_label, model_name].options.get("db_table")
    return operations.quote_name(name or truncate_name(f"{app_label}_{model_name}", operations.max_name_length()))


@register(Tags.database)
def check_drift(app_configs: Apps, databases: Databases = None, **kwargs: Any) -> list[CheckMessage]:
    """Warn of differences between the tables that the migrations stream and those that are streamed."""
    if not is_checked(databases):
        return []
    marked = read_marked()
    with connections[conf.database].cursor() as cursor:
        cursor.execute(
            # On the site's search path, as EnableRealtime finds them.
            "select name, pg_catalog.to_regclass(name)::pg_catalog.oid::bigint"
            "  from pg_catalog.unnest(%s::pg_catalog.text[]) as name",
            [[each.table for each in marked]],
        )
        relations = {name: relation for name, relation in cursor.fetchall() if relation is not None}
    states = {state.relation: state for state in read_states(databases, relations.values())}
    found = ((each, states.get(relations.get(each.table, 0))) for each in marked)
    messages = (_left(each, state) if each.model_gone else _missing(each, state) for each, state in found)
    return [message for message in messages if message is not None]


def _left(marked: Marked, state: TableState | None) -> CheckMessage | None:
    """Warn if a table whose model is gone is streamed."""
    if state is None or state.trigger == "missing":
        return None
    return Warning(
        f"{state.full_name} is still streamed, by {marked.source}, but its model is gone.",
        hint="In a migration, RunSQL: select"
        f" ayb_realtime.disable_v1('{_literal(marked.table)}'{role_arguments('authenticated')});",
        id="ayb_realtime.W018",
    )


def _missing(marked: Marked, state: TableState | None) -> CheckMessage | None:
    """Warn if a table that should be streamed has no trigger."""
    if state is None:
        reason, hint = "there is no such table", "Restore it, or reverse that migration."
    elif state.kind in VIEWS:
        reason = "it is a view"
        hint = "A view has no changes of its own: enable realtime for the tables that it reads."
    elif state.trigger == "missing":
        roles = role_arguments()
        reason, hint = "it has no trigger", f"select ayb_realtime.enable_v1('{_literal(marked.table)}'{roles});"
    else:
        return None
    return Warning(
        f"{marked.table} should be streamed, by {marked.source}, but {reason}: no change of it is logged.",
        hint=hint,
        id="ayb_realtime.W017",
    )


def _literal(table: str) -> str:
    return table.replace("'", "''")
