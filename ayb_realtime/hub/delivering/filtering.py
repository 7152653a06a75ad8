"""What the filters of streams change in the answers about a table's rows. Called by ``planning``."""

from collections.abc import Iterable, Mapping
from typing import Protocol

from ayb_realtime.conf import conf
from ayb_realtime.log.changes import Change
from ayb_realtime.postgres.tables import Table
from ayb_realtime.visibility import Answers, FilterIndex, Matches, with_filtered
from ayb_realtime.visibility.identities import IdentitiesByRole
from ayb_realtime.wire import records
from ayb_realtime.wire.records import Row


class Asking(Protocol):
    """Asks Postgres."""

    async def matches(self, table: Table, role: str, rows: Mapping[int, Row], index: FilterIndex) -> Matches:
        """Return which of these rows, as those with a role are sent them, match which filters."""


def asks_about_old_rows(table: Table, readers: IdentitiesByRole) -> bool:
    """Tell whether it matters who saw rows before their changes."""
    return conf.delete_visibility != "everyone" and (table.row_security or bool(readers.filters))


async def with_filters(
    asking: Asking, table: Table, rows: Mapping[int, Row], answers: Answers, readers: IdentitiesByRole
) -> Answers:
    """Return answers about rows as they are now that also say what filtered identities see.

    rows: position → the row as it was logged.
    """
    if not readers.filters:
        return answers
    matches = {
        role: await asking.matches(table, role, _as_sent(rows, answers, role), index)
        for role, index in readers.filters.items()
    }
    return with_filtered(answers, readers.filters, matches)


async def old_matches(
    asking: Asking, table: Table, changes: Iterable[Change], readers: IdentitiesByRole
) -> dict[str, Matches]:
    """Return which rows of updates and deletes, as they were before, match which filters, by role.

    What a virtual column held is unknown. Then a row is said to match: only those who saw it are told that it is gone.
    """
    rows = {change.position: _as_logged(table, change.before) for change in changes if change.before}
    unlogged = {change.position for change in changes if not change.before}
    matches = {role: await asking.matches(table, role, rows, index) for role, index in readers.filters.items()}
    for found in matches.values() if table.virtual_columns else ():
        for wanted in [*found.failed]:
            if any(clause.column in table.virtual_columns for clause in wanted):
                found.matched.setdefault(wanted, set()).update(found.failed.pop(wanted))
    if unlogged and conf.inexact_deletes == "everyone":
        for role, index in readers.filters.items():
            for each in index.filters:
                matches[role].matched.setdefault(each, set()).update(unlogged)
    return matches


def left(
    updates: Iterable[Change], now: Answers, readers: IdentitiesByRole, before: Mapping[str, Matches]
) -> list[Change]:
    """Return those of these updates whose row matched a filter before, and is not sent to all its streams now."""
    by_position = {change.position: change for change in updates}
    found: set[int] = set()
    for role, index in readers.filters.items():
        for wanted, positions in (*before[role].matched.items(), *before[role].failed.items()):
            for reader in index.filters[wanted].values():
                found |= now.hidden_from(reader, positions & by_position.keys())
    return [by_position[position] for position in sorted(found)]


def _as_logged(table: Table, text: str) -> Row:
    """Return a row as it was logged, without the columns that were not."""
    row = Row(text)
    if not table.virtual_columns:
        return row
    return Row(records.join({name: each for name, each in row.columns.items() if name not in table.virtual_columns}))


def _as_sent(rows: Mapping[int, Row], answers: Answers, role: str) -> dict[int, Row]:
    """Return the rows as those with a role are sent them, which have one snapshot and see the same columns."""
    records = {
        at: record
        for view in answers.views
        if any(identity.role == role for identity in view.identities)
        for at, record in view.rows.items()
    }
    return {at: rows[at] if record is None else Row(record) for at, record in records.items()}
