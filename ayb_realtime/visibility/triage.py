"""Which identities and rows a check asks about together, apart, or not now, by how they have failed before.

Called by ``partwise_check``.
"""

from collections.abc import Container, Iterable, Mapping, Sequence

from ayb_realtime.identity import Identity
from ayb_realtime.postgres.tables import Table
from ayb_realtime.visibility.narrowing import Plan
from ayb_realtime.visibility.parts import Part
from ayb_realtime.visibility.quarantine import TABLE, Key, Pair, quarantine
from ayb_realtime.wire.records import Row

BARRED = "no answer a moment ago"


class Triage:
    """Applies the quarantine of a table to one check, and brings it up to date with what came of the check."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._known_pairs = set(quarantine.pairs(table.relation))
        self._known_keys = {pair.key for pair in self._known_pairs}
        # Members of the quarantine that the check asks about all the same.
        self._retried: list[Identity] = []
        self._retried_pairs: list[tuple[Identity, int]] = []
        self._is_table_barred = bool(quarantine.partition(table.relation, [TABLE]).barred)

    def add(self, plan: Plan[Identity], rows: Mapping[int, Row], identities: Sequence[Identity], share: float) -> None:
        """Plan to ask which of these rows these identities see, except for what is barred.

        share: of the time for a check, as for a part.
        """
        if self._is_table_barred:
            plan.give_up(Part(tuple(rows), tuple(identities), share), BARRED)
            return
        barred, suspected, trusted = quarantine.partition(self._table.relation, identities)
        plan.give_up(Part(tuple(rows), tuple(barred), share), BARRED)
        bad = {position for position, row in rows.items() if self._known_keys and self._key(row) in self._known_keys}
        plan.suspect(suspected, bad)
        self._retried += suspected
        asked = [*trusted, *suspected]
        plan.add([position for position in rows if position not in bad], asked, share)
        for position in bad:
            self._add_row(plan, position, self._key(rows[position]), asked, share)

    def _add_row(
        self, plan: Plan[Identity], position: int, key: Key, identities: Sequence[Identity], share: float
    ) -> None:
        pairs = [Pair(identity, key) for identity in identities]
        barred, suspected, trusted = quarantine.partition(self._table.relation, pairs)
        plan.give_up(Part((position,), tuple(pair.identity for pair in barred), share), BARRED)
        self._retried_pairs += [(pair.identity, position) for pair in suspected]
        plan.add([position], [pair.identity for pair in (*trusted, *suspected)], share)

    def record(self, plan: Plan[Identity], rows: Mapping[int, Row], locked_out: Container[Identity]) -> None:
        """Quarantine what has failed in a finished plan, and release what was retried and answered."""
        relation = self._table.relation
        failed = self._pairs(plan.failed_pairs, rows)
        # A known pair explains why its identity failed, unless that failed on other rows, too.
        explained = {pair.identity for pair in failed & self._known_pairs} - {
            pair.identity for pair in failed - self._known_pairs
        }
        quarantine.add(relation, [*failed, *(plan.failed_identities - explained), *([TABLE] if plan.ran_out else [])])
        if not self._is_table_barred and not plan.ran_out:
            quarantine.release(relation, [TABLE])
        answered = [each for each in self._retried if each not in plan.unanswered and each not in locked_out]
        answered_pairs = [
            (identity, position)
            for identity, position in self._retried_pairs
            if position not in plan.unanswered.get(identity, ()) and identity not in locked_out
        ]
        quarantine.release(relation, answered)
        quarantine.release(relation, self._pairs(answered_pairs, rows))

    def _pairs(self, pairs: Iterable[tuple[Identity, int]], rows: Mapping[int, Row]) -> set[Pair[Identity]]:
        return {Pair(identity, self._key(rows[position])) for identity, position in pairs}

    def _key(self, row: Row) -> Key:
        return tuple(row.columns.get(name) for name in self._table.key_columns)
