"""What identities may see of some rows, as Postgres answered. Pure.

Identities that see the same rows are in one view. It is made where the database's answer is read, and carried to the
delivery, which encodes it once for all of them.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain

from ayb_realtime.identity import Identity
from ayb_realtime.wire.records import Row

# Some rows by the positions of their changes, and the identities to ask about each of them.
Shortlist = tuple[Mapping[int, Row], Sequence[Identity]]
# Position of a change → the row as an identity may see it; None: as it was logged.
VisibleRows = Mapping[int, str | None]


@dataclass(frozen=True, slots=True)
class SharedView:
    """Some rows, and all identities that see these and no others."""

    rows: VisibleRows
    identities: Collection[Identity]


@dataclass(frozen=True)
class Answers:
    """Postgres' answers to the question which identities may see which rows.

    views: each identity is in at most one. An identity in no view sees no row about which Postgres answered.
    unanswered: identity → the positions of the rows about which Postgres did not answer.
    locked_out: identities that were not asked, since the table is locked. Their streams of it end.
    policy_errors: identity → the SQLSTATE with which a policy failed, and the message if it only names an object:
        ``42501: permission denied for table teams``. The rows on which the policy failed are not visible.
    """

    views: Sequence[SharedView] = ()
    unanswered: Mapping[Identity, Collection[int]] = field(default_factory=dict)
    locked_out: Set[Identity] = frozenset()
    policy_errors: Mapping[Identity, str] = field(default_factory=dict)

    @cached_property
    def by_identity(self) -> Mapping[Identity, VisibleRows]:
        """The visible rows of each identity that sees any."""
        return {identity: view.rows for view in self.views for identity in view.identities}

    def visible_to(self, identity: Identity) -> VisibleRows:
        """Return the rows that an identity sees."""
        return self.by_identity.get(identity, {})

    def hidden_from(self, identity: Identity, positions: Set[int]) -> Set[int]:
        """Return those of these positions whose rows an identity does not see: Postgres answered, and said so."""
        if identity in self.locked_out:
            return frozenset()
        return positions - self.visible_to(identity).keys() - set(self.unanswered.get(identity, ()))

    def tally(self, rows: int) -> tuple[int, int]:
        """Return of how many pairs of one of so many rows and an identity it shows the row, and does not know it."""
        shown = sum(len(view.rows) * len(view.identities) for view in self.views)
        return shown, sum(map(len, self.unanswered.values())) + rows * len(self.locked_out)

    def for_all(self, identities: Collection[Identity]) -> "Answers":
        """Return the answers of these identities, of which one was asked in place of all."""
        return Answers(
            [SharedView(view.rows, identities) for view in self.views],
            {identity: positions for positions in self.unanswered.values() for identity in identities},
            frozenset(identities if self.locked_out else ()),
            {identity: sqlstate for sqlstate in self.policy_errors.values() for identity in identities},
        )

    def with_view(self, view: SharedView) -> "Answers":
        """Return these answers with another view: its identities see its rows, too."""
        return Answers(merged([*self.views, view]), self.unanswered, self.locked_out, self.policy_errors)


def united(answers: Collection[Answers]) -> Answers:
    """Return one ``Answers`` for several about different identities."""
    return Answers(
        [view for each in answers for view in each.views],
        {identity: positions for each in answers for identity, positions in each.unanswered.items()},
        frozenset[Identity]().union(*(each.locked_out for each in answers)),
        {identity: sqlstate for each in answers for identity, sqlstate in each.policy_errors.items()},
    )


def grouped(
    shown: Iterable[tuple[Iterable[Identity], Sequence[int] | None]],
) -> Mapping[tuple[int, ...], list[Identity]]:
    """Return which identities are shown the same ordinals of rows."""
    groups: dict[tuple[int, ...], list[Identity]] = {}
    for identities, ordinals in shown:
        groups.setdefault(tuple(ordinals or ()), []).extend(identities)
    return groups


def merged(views: Sequence[SharedView]) -> list[SharedView]:
    """Return views in which each identity is once, with the rows of all views that it is in.

    No two have the same rows, and none has no rows.
    """
    indexes: dict[Identity, tuple[int, ...]] = {}
    for index, view in enumerate(views):
        for identity in view.identities if view.rows else ():
            indexes[identity] = (*indexes.get(identity, ()), index)
    groups: dict[tuple[int, ...], list[Identity]] = {}
    for identity, own in indexes.items():
        groups.setdefault(own, []).append(identity)
    by_content: dict[frozenset[tuple[int, str | None]], list[Identity]] = {}
    for own, identities in groups.items():
        rows = dict(chain.from_iterable(views[index].rows.items() for index in own))
        by_content.setdefault(frozenset(rows.items()), []).extend(identities)
    return [SharedView(dict(sorted(content)), identities) for content, identities in by_content.items()]
