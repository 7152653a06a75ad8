"""What is to be done with the changes of one table, before Postgres is asked. Pure. Called by ``planning``."""

from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import dataclass, field

from ayb_realtime.identity import Identity
from ayb_realtime.log.changes import Action, Change
from ayb_realtime.log.slices import LARGEST_CHARACTERS
from ayb_realtime.postgres.tables import Table
from ayb_realtime.reset_reasons import ResetReason
from ayb_realtime.visibility import Answers
from ayb_realtime.wire.records import Row


@dataclass(frozen=True, slots=True)
class TableChanges:
    """The changes of one table in a slice, by what is to be done with them.

    enables: each says that the table is streamed from there on.
    too_large: positions of rows that are not checked, since that would keep all other streams waiting.
    last: the position of the last change that is neither an ENABLE nor too large; 0 if there is none.
    reset: why and at which position all readers have to fetch the table again; None: they need not.
    rows: position → the row that was logged, for each create, update and delete.
    current: position → the creates and updates. Postgres is asked who sees their rows now.
    deletes: their rows are gone.
    """

    enables: Sequence[Change]
    too_large: Set[int]
    last: int = 0
    reset: tuple[ResetReason, int] | None = None
    rows: Mapping[int, Row] = field(default_factory=dict)
    current: Mapping[int, Change] = field(default_factory=dict)
    deletes: Sequence[Change] = ()

    @property
    def has_only_enables(self) -> bool:
        """Whether there is nothing to ask Postgres about."""
        return not self.last and not self.too_large

    @classmethod
    def of(cls, table: Table, changes: Sequence[Change]) -> "TableChanges":
        """Sort the changes of a table into these. changes: in position order."""
        enables = [change for change in changes if change.action is Action.ENABLE]
        too_large = {change.position for change in changes if change.characters > LARGEST_CHARACTERS}
        others = [each for each in changes if each.action is not Action.ENABLE and each.position not in too_large]
        if not others:
            return cls(enables, too_large)
        last = others[-1].position
        rows = {change.position: Row(change.record) for change in others if change.record is not None}
        if not _can_be_found(table, rows):
            return cls(enables, too_large, last, (ResetReason.DEFINITION_CHANGED, last))
        of_rows = [change for change in others if change.position in rows]
        current = {change.position: change for change in of_rows if change.action is not Action.DELETE}
        deletes = [change for change in of_rows if change.action is Action.DELETE]
        return cls(enables, too_large, last, _reset(others), rows, current, deletes)


def _can_be_found(table: Table, rows: Mapping[int, Row]) -> bool:
    """Tell whether each row holds a key: the table still has one, and no column of it was renamed since."""
    return bool(table.key_columns) and all(name in row.columns for row in rows.values() for name in table.key_columns)


def _reset(changes: Sequence[Change]) -> tuple[ResetReason, int] | None:
    resets = [change for change in changes if change.record is None]
    if not resets:
        return None
    reason = ResetReason.ALTERED if resets[-1].action is Action.ALTER else ResetReason.TRUNCATED
    return reason, resets[-1].position


def hidden_updates(current: Mapping[int, Change], now: Answers, readers: Collection[Identity]) -> list[Change]:
    """Return the updates whose row at least one reader does not see now. It may have seen the row before."""
    updates = {position for position, change in current.items() if change.action is Action.UPDATE}
    if not updates:
        return []
    hidden = {position for reader in readers for position in now.hidden_from(reader, updates)}
    return [current[position] for position in sorted(hidden)]
