"""Checks that the tables which the migrations stream are streamed, and that no others are by mistake."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from django.core.checks import CheckMessage, Tags, Warning, register  # noqa: A004 - Django's names
from django.db import connections
from django.db.backends.utils import truncate_name
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.operations import RenameModel, SeparateDatabaseAndState
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

from ayb_realtime.checks.tables import Apps, Databases, is_checked, read_states
from ayb_realtime.conf import conf
from ayb_realtime.diagnostics.inspection import TableState
from ayb_realtime.operations import EnableRealtime

VIEWS = {"v", "m"}


@dataclass(frozen=True, slots=True)
class Marked:
    """A table that an applied migration streams.

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
    applied = [each for each, _ in plan if (each.app_label, each.name) in executor.loader.applied_migrations]
    state = ProjectState(real_apps=executor.loader.unmigrated_apps)
    marked: list[Marked] = []
    models: dict[tuple[str, str], str] = {}
    for migration in applied:
        app = migration.app_label
        for operation in flat(migration.operations):
            known = {model: quoted_table(state, *model) for model in models}
            operation.state_forwards(app, state)
            source = f'"{operation.describe()}" in the migration {app}.{migration.name}'
            if isinstance(operation, EnableRealtime) and operation.table:
                marked.append(Marked(operation.table, source))
            elif isinstance(operation, EnableRealtime):
                models[app, operation.model_name.lower()] = source
            elif isinstance(operation, RenameModel) and (app, operation.old_name_lower) in models:
                models[app, operation.new_name_lower] = models.pop((app, operation.old_name_lower))
            gone = models.keys() - state.models.keys()
            marked += [Marked(known[model], models.pop(model), model_gone=True) for model in gone]
    marked += [Marked(quoted_table(state, *model), source) for model, source in models.items()]
    # A model that has moved to another app is not gone.
    tables = {quoted_table(state, *model) for model in state.models}
    return [each for each in marked if not (each.model_gone and each.table in tables)]


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
            "select name, pg_catalog.to_regclass(name)::oid::bigint from pg_catalog.unnest(%s::text[]) as name",
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
        hint=f"In a migration, RunSQL: select ayb_realtime.disable_v1('{_literal(marked.table)}');",
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
        reason, hint = "it has no trigger", f"select ayb_realtime.enable_v1('{_literal(marked.table)}');"
    else:
        return None
    return Warning(
        f"{marked.table} should be streamed, by {marked.source}, but {reason}: no change of it is logged.",
        hint=hint,
        id="ayb_realtime.W017",
    )


def _literal(table: str) -> str:
    return table.replace("'", "''")
