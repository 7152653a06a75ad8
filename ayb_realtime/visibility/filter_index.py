"""Which streams' filters match which rows, once it is known which comparisons hold. Pure.

Of all filters of a table, the hub asks Postgres about each column and operator once, with all values together.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field

from ayb_realtime.filters import IS, Comparand, Filter, Test
from ayb_realtime.identity import Identity
from ayb_realtime.visibility.answers import Answers, SharedView, merged


@dataclass(frozen=True, slots=True)
class FilteredIdentity(Identity):
    """An identity whose streams have a filter on a table. In answers, it sees the rows that also match the filter."""

    filter: Filter

    def __post_init__(self) -> None:
        Identity.__post_init__(self)
        object.__setattr__(self, "_hash", hash((self._hash, self.filter)))

    def __hash__(self) -> int:
        return self._hash


@dataclass(frozen=True, slots=True)
class Truth:
    """What is known of one row. A test that neither holds nor has failed is false.

    holds: the tests that hold.
    failed: those without an answer.
    """

    holds: set[Test] = field(default_factory=set)
    failed: set[Test] = field(default_factory=set)

    def of(self, wanted: Filter) -> bool | None:
        """Tell whether a filter matches; None if that is not known."""
        is_known = True
        for clause in wanted:
            if self.holds.isdisjoint(clause.tests()):
                if self.failed.isdisjoint(clause.tests()):
                    return False
                is_known = False
        return True if is_known else None


@dataclass(frozen=True, slots=True)
class Matches:
    """The positions of the rows that match each filter, and of those for which it is unknown whether they do.

    refused: the filters that cannot be evaluated any more: a column is gone, or the role may not read it.
    """

    matched: dict[Filter, set[int]] = field(default_factory=dict)
    failed: dict[Filter, set[int]] = field(default_factory=dict)
    refused: set[Filter] = field(default_factory=set)


class FilterIndex:
    """The filters of the streams of one table whose identities have the same role.

    filters: for each filter, the identities and what they are with it.
    values: for each column and operator, all values that it is compared with.
    states: the tests that need no operator: for null, true or false.
    """

    def __init__(self, streams: Iterable[tuple[Identity, FilteredIdentity]]) -> None:
        self.filters: dict[Filter, dict[Identity, FilteredIdentity]] = {}
        for identity, filtered in streams:
            self.filters.setdefault(filtered.filter, {})[identity] = filtered
        self.values: dict[Comparand, list[str]] = {}
        self.states: list[Test] = []
        # One condition of each filter, by what makes it hold.
        self._by_test: dict[Test, list[Filter]] = {}
        for test in dict.fromkeys(test for each in self.filters for clause in each for test in clause.tests()):
            column, operator, value = test
            if operator == IS:
                self.states.append(test)
            else:
                self.values.setdefault((column, operator), []).append(value)
        for wanted in self.filters:
            for test in min(wanted, key=lambda clause: (clause.column, clause.operator, clause.values)).tests():
                self._by_test.setdefault(test, []).append(wanted)

    def without(self, comparands: Set[Comparand]) -> tuple["FilterIndex", set[Filter]]:
        """Return an index of the filters that do without these, and the other filters."""
        if not comparands:
            return self, set()
        refused = {each for each in self.filters if any((one.column, one.operator) in comparands for one in each)}
        kept = [streams.items() for each, streams in self.filters.items() if each not in refused]
        return FilterIndex(stream for streams in kept for stream in streams), refused

    def identities(self) -> list[Identity]:
        """Return the identities whose streams have a filter."""
        return list(dict.fromkeys(identity for streams in self.filters.values() for identity in streams))

    def weight(self, identity: Identity) -> int:
        """Return how many values the filters of an identity have."""
        return sum(
            len(clause.values) for wanted in self.filters if identity in self.filters[wanted] for clause in wanted
        )

    def only(self, identities: Iterable[Identity]) -> "FilterIndex":
        """Return an index of the filters of these identities."""
        chosen = frozenset(identities)
        if len(chosen) == len(self.identities()):
            return self
        streams = [each.items() for each in self.filters.values()]
        return FilterIndex(stream for those in streams for stream in those if stream[0] in chosen)

    def comparands(self) -> list[Comparand]:
        """Return all columns with the operators that they are compared by."""
        return [*self.values, *dict.fromkeys((column, operator) for column, operator, _ in self.states)]

    def is_same(self, columns: Mapping[str, str], others: Mapping[str, str]) -> bool:
        """Tell whether two versions of a row are the same to all filters. Both: each column's value as JSON text."""
        return all(columns.get(name) == others.get(name) for name, _ in self.comparands())

    def truth(self, columns: Mapping[str, str]) -> Truth:
        """Return what a row's JSON says. columns: the JSON text of each column's value."""
        truth = Truth()
        for test in self.states:
            column, _, state = test
            if column not in columns:
                truth.failed.add(test)
            elif (columns[column] != "null") if state == "not_null" else (columns[column] == state):
                truth.holds.add(test)
        return truth

    def matches(self, truths: Mapping[int, Truth]) -> Matches:
        """Return which rows match which filters. truths: by position."""
        matches = Matches()
        for position, truth in truths.items():
            for wanted in self._candidates(truth):
                is_match = truth.of(wanted)
                if is_match is not False:
                    found = matches.matched if is_match else matches.failed
                    found.setdefault(wanted, set()).add(position)
        return matches

    def _candidates(self, truth: Truth) -> Iterable[Filter]:
        tests = (*truth.holds, *truth.failed)
        return dict.fromkeys(wanted for test in tests for wanted in self._by_test.get(test, ()))

    def views(self, view: SharedView, positions: Mapping[Filter, Set[int]]) -> Iterator[SharedView]:
        """Yield what the filtered identities of a view see of it. positions: those of the rows of each filter."""
        identities = frozenset(view.identities)
        for wanted, matched in positions.items():
            rows = {at: record for at, record in view.rows.items() if at in matched}
            all_filtered = self.filters[wanted]
            if rows and (filtered := [all_filtered[each] for each in all_filtered.keys() & identities]):
                yield SharedView(rows, filtered)

    def filtered(self, identity: Identity) -> Sequence[FilteredIdentity]:
        """Return the filtered identities of an identity."""
        return [all_filtered[identity] for all_filtered in self.filters.values() if identity in all_filtered]


def with_filtered(
    answers: Answers, indexes: Mapping[str, FilterIndex], matches: Mapping[str, Matches], others: Answers | None = None
) -> Answers:
    """Return answers that also say what filtered identities see: of the rows that the identity sees, those that match.

    indexes, matches: by role.
    others: what the identities themselves see, if that is not ``answers``.
    """
    if not indexes:
        return answers
    views = list((others or answers).views)
    locked_out = set(answers.locked_out)
    unanswered = {identity: set(positions) for identity, positions in answers.unanswered.items()}
    for role, index in indexes.items():
        for wanted in matches[role].refused:
            locked_out.update(index.filters[wanted].values())
        for view in answers.views:
            views += index.views(view, matches[role].matched)
            for failed in index.views(view, matches[role].failed):
                for each in failed.identities:
                    unanswered.setdefault(each, set()).update(failed.rows)
        for identity, positions in answers.unanswered.items():
            for each in index.filtered(identity):
                unanswered.setdefault(each, set()).update(positions)
    return Answers(merged(views), unanswered, locked_out, answers.policy_errors)
