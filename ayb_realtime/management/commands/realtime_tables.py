"""``manage.py realtime_tables``: which tables are streamed, how busy they are, and what decides who sees their rows."""

import time
from collections.abc import Iterator, Sequence
from typing import Any

from django.core.management import BaseCommand, CommandError, CommandParser
from django.db import Error, connections
from django.db.backends.utils import CursorWrapper

from ayb_realtime.checks.tables import is_checked, key_drift, read_states
from ayb_realtime.conf import conf
from ayb_realtime.diagnostics import inspection
from ayb_realtime.diagnostics.explain import Step, policy_steps, privilege_steps
from ayb_realtime.diagnostics.inspection import Policy, TableState

NOW = "select pg_catalog.pg_current_snapshot()::text"
# The changes of each table that have committed since a snapshot.
CHANGES_SINCE = """
select relation::bigint, pg_catalog.count(*)
  from ayb_realtime.change
 where xid >= pg_catalog.pg_snapshot_xmin(%(since)s::pg_snapshot)
   and not pg_catalog.pg_visible_in_snapshot(xid, %(since)s::pg_snapshot)
 group by relation
"""
SIZES = """
select relation, pg_catalog.pg_size_pretty(coalesce(
       (select pg_catalog.sum(pg_catalog.pg_total_relation_size(part.relid))
          from pg_catalog.pg_partition_tree(relation::oid::regclass) as part),
       pg_catalog.pg_total_relation_size(relation::oid::regclass)))
  from pg_catalog.unnest(%s::bigint[]) as relation
"""


class Command(BaseCommand):
    """List the tables, with the steps of ``realtime_explain`` about privileges and policies."""

    help = "List the streamed tables: rows that change a second, size, key, and what decides who sees their rows."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the command's own arguments."""
        parser.add_argument("--role", default=conf.authenticated_role, help="the subscribers' role (%(default)s)")
        parser.add_argument("--seconds", type=float, default=1.0, help="how long to count changes (%(default)s)")

    def handle(self, *args: Any, **options: Any) -> None:
        """Count for a while, and write what there is."""
        try:
            if not is_checked([conf.database]):
                raise CommandError(f"The database {conf.database!r} is not migrated. First run: manage.py migrate")
            states = read_states([conf.database], role=options["role"])
            with connections[conf.database].cursor() as cursor:
                rates = _rates(cursor, options["seconds"])
                found = list(described(cursor, states, options["role"]))
        except Error as error:
            raise CommandError(str(error)) from error
        for state, size, steps in found:
            key = f"key ({', '.join(map(inspection.quoted, state.key_columns))})"
            rate = f"{rates.get(state.relation, 0.0):.1f} rows/s"
            self.stdout.write(f"{self.style.MIGRATE_HEADING(state.full_name)}  {rate}  {size}  {key}")
            for step in steps:
                self._write(step)
        if not states:
            self.stdout.write("No table is streamed. EnableRealtime in a migration streams one.")

    def _write(self, step: Step) -> None:
        self.stdout.write(f"    {self.style.ERROR(step.found) if step.holds is False else step.found}")
        if step.hint:
            self.stdout.write(f"      To do: {step.hint}")


def described(
    cursor: CursorWrapper, states: Sequence[TableState], role: str
) -> Iterator[tuple[TableState, str, list[Step]]]:
    """Yield each of these tables with its size as text, and what decides who sees its rows. Raises django.db.Error."""
    sizes = _pairs(cursor, SIZES, [[state.relation for state in states]])
    policies = _policies(cursor, states, role)
    for state in states:
        own = [policy for policy in policies if policy.relation == state.relation]
        yield state, sizes[state.relation], _steps(state, role, own)


def _steps(state: TableState, role: str, policies: list[Policy]) -> list[Step]:
    broken = f"Its trigger is {state.trigger}: changes are not logged as they should be." * (state.trigger != "enabled")
    drift = f"It {key_drift(state)}." if key_drift(state) else ""
    wrong = [Step(False, found, "manage.py check --database default") for found in (broken, drift) if found]
    return [*wrong, *privilege_steps(state, role), *policy_steps(state, role, policies)]


def _rates(cursor: CursorWrapper, seconds: float) -> dict[int, float]:
    """Return how many rows of each table change a second, counted for so long."""
    cursor.execute(NOW)
    (since,) = cursor.fetchone()
    time.sleep(seconds)
    return {relation: count / seconds for relation, count in _pairs(cursor, CHANGES_SINCE, {"since": since}).items()}


def _pairs(cursor: CursorWrapper, query: str, parameters: Any) -> dict[int, Any]:
    cursor.execute(query, parameters)
    return dict(cursor.fetchall())


def _policies(cursor: CursorWrapper, states: Sequence[TableState], role: str) -> list[Policy]:
    """Return the policies that decide what a role reads of these tables."""
    cursor.execute(inspection.POLICIES, {"role": role, "relations": [state.relation for state in states]})
    return [policy for policy in (Policy(*row) for row in cursor.fetchall()) if policy.applies]
