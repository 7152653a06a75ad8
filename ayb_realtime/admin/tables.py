"""What the page says about the streamed tables: what ``realtime_tables`` prints, less the rates."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import connections

from ayb_realtime.checks.tables import read_states
from ayb_realtime.conf import conf
from ayb_realtime.diagnostics.step import Step
from ayb_realtime.management.commands.realtime_tables import described


@dataclass(frozen=True, slots=True)
class ListedTable:
    """A streamed table.

    name: with its schema, as clients write it.
    size: such as "16 kB". steps: what decides who sees its rows, or stops its changes.
    """

    name: str
    size: str
    key_columns: Sequence[str]
    steps: Sequence[Step]

    @property
    def is_broken(self) -> bool:
        """Whether something stops its changes, or its rows from being seen."""
        return any(step.holds is False for step in self.steps)


def listed(role: str) -> list[ListedTable]:
    """Return the streamed tables, as the subscribers of a role find them. Raises django.db.Error."""
    states = read_states([conf.database], role=role)
    with connections[conf.database].cursor() as cursor:
        return [
            ListedTable(f"{state.schema}.{state.name}", size, state.key_columns, steps)
            for state, size, steps in described(cursor, states, role)
        ]
