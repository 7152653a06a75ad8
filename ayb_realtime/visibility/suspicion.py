"""What is remembered of failures from check to check: who is asked about by themselves, or not for a while.

Called by ``question``.
"""

from collections.abc import Container, Iterable, Mapping, Sequence

from ayb_realtime.identity import Identity
from ayb_realtime.postgres.tables import Table
from ayb_realtime.visibility.narrowing import Part, Plan
from ayb_realtime.visibility.quarantine import TABLE, Key, Pair, suspects
from ayb_realtime.wire.records import Row

A_MOMENT_AGO = "no answer a moment ago"


class Suspicion:
    """The suspects of a table, and whom of them one check asks about."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._known = set(suspects.pairs(table.relation))
        self._keys = {pair.key for pair in self._known}
        self._asked: list[Identity] = []
        self._asked_pairs: list[tuple[Identity, int]] = []
        (barred, *_) = suspects.sort(table.relation, [TABLE])
        self._is_barred = bool(barred)

    def plan(self, plan: Plan[Identity], rows: Mapping[int, Row], identities: Sequence[Identity], share: float) -> None:
        """Plan to ask these; not, for a while, about what has failed again and again. share: as a part has it."""
        if self._is_barred:
            plan.give_up(Part(tuple(rows), tuple(identities), share), A_MOMENT_AGO)
            return
        barred, suspected, others = suspects.sort(self._table.relation, identities)
        plan.give_up(Part(tuple(rows), tuple(barred), share), A_MOMENT_AGO)
        bad = {position for position, row in rows.items() if self._keys and self._key(row) in self._keys}
        plan.suspect(suspected, bad)
        self._asked += suspected
        asked = [*others, *suspected]
        plan.add([position for position in rows if position not in bad], asked, share)
        for position in bad:
            self._plan_pairs(plan, position, self._key(rows[position]), asked, share)

    def _plan_pairs(
        self, plan: Plan[Identity], position: int, key: Key, identities: Sequence[Identity], share: float
    ) -> None:
        pairs = [Pair(identity, key) for identity in identities]
        barred, suspected, others = suspects.sort(self._table.relation, pairs)
        plan.give_up(Part((position,), tuple(pair.identity for pair in barred), share), A_MOMENT_AGO)
        self._asked_pairs += [(pair.identity, position) for pair in suspected]
        plan.add([position], [pair.identity for pair in (*others, *suspected)], share)

    def settle(self, plan: Plan[Identity], rows: Mapping[int, Row], postponed: Container[Identity]) -> None:
        """Take down who and what has failed, and forget what there was an answer about."""
        relation = self._table.relation

        def pairs(of: Iterable[tuple[Identity, int]]) -> set[Pair[Identity]]:
            return {Pair(identity, self._key(rows[position])) for identity, position in of}

        blamed = pairs(plan.blamed)
        # Who fails on a row that is known for it alone is not to blame.
        excused = {pair.identity for pair in blamed & self._known} - {pair.identity for pair in blamed - self._known}
        suspects.add(relation, [*blamed, *(plan.culprits - excused), *([TABLE] if plan.has_run_out else [])])
        if not self._is_barred and not plan.has_run_out:
            suspects.clear(relation, [TABLE])
        suspects.clear(
            relation, [each for each in self._asked if each not in plan.unanswered and each not in postponed]
        )
        answered = [
            (identity, position)
            for identity, position in self._asked_pairs
            if position not in plan.unanswered.get(identity, ()) and identity not in postponed
        ]
        suspects.clear(relation, pairs(answered))

    def _key(self, row: Row) -> Key:
        return tuple(row.columns.get(name) for name in self._table.key_columns)
