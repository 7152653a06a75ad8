"""What the policies' expressions of settings are for each identity, which a column has to equal.

Called by ``shortlist``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ayb_realtime.identity import Identity
from ayb_realtime.visibility.identities import settings_of
from ayb_realtime.visibility.policy_predicates import Equality
from ayb_realtime.visibility.transactions import Connection

# How many identities' settings are evaluated in one statement.
EVALUATED_TOGETHER = 1000
# How many expressions are remembered, and how many identities beside those that are asked.
INDEXES = 100
REMEMBERED = 50_000


@dataclass(slots=True)
class Index:
    """The values of an expression for identities of one role. They depend on the settings alone, and never change.

    undetermined: the identities for which the value cannot be told.
    complete_for: a mapping of identities that are all in the index. The hub passes the same one again and again.
    """

    values: dict[Identity, str | None] = field(default_factory=dict)
    by_value: dict[str, list[Identity]] = field(default_factory=dict)
    undetermined: list[Identity] = field(default_factory=list)
    complete_for: Mapping[Identity, None] | None = None

    def has(self, identities: Mapping[Identity, None]) -> bool:
        """Tell whether all of these are in the index."""
        if self.complete_for is not identities:
            if not identities.keys() <= self.values.keys():
                return False
            self.complete_for = identities
        return True

    def add(self, identity: Identity, value: str | None, *, is_undetermined: bool) -> None:
        """Add an identity. value: None for null, which equals nothing."""
        if identity in self.values:
            return
        self.values[identity] = value
        if is_undetermined:
            self.undetermined.append(identity)
        elif value is not None:
            self.by_value.setdefault(value, []).append(identity)


# By role and expression.
_indexes: dict[tuple[str, str], Index] = {}


def known(role: str, equality: Equality, identities: Mapping[Identity, None]) -> Index | None:
    """Return the index of an equality's expression if it has all of these identities."""
    index = _indexes.get((role, equality.expression))
    return index if index is not None and index.has(identities) else None


async def complete(connection: Connection, role: str, equality: Equality, identities: Mapping[Identity, None]) -> Index:
    """Return an index of an equality's expression that has all of these identities, and perhaps others."""
    index = _indexes.get((role, equality.expression))
    if index is None or len(index.values) > len(identities) + REMEMBERED:
        if len(_indexes) >= INDEXES:
            _indexes.clear()
        index = _indexes[role, equality.expression] = Index()
    if index.has(identities):
        return index
    new = [identity for identity in identities if identity not in index.values]
    for n in range(0, len(new), EVALUATED_TOGETHER):
        await _evaluate(connection, role, equality, new[n : n + EVALUATED_TOGETHER], index)
    return index


async def _evaluate(
    connection: Connection, role: str, equality: Equality, identities: Sequence[Identity], index: Index
) -> None:
    cursor = await connection.execute(
        "select value, failed"
        "  from ayb_realtime.evaluate_v1(%s, %s, %s::int, %s::pg_catalog.text[], %s::pg_catalog.text[])",
        [equality.expression, role, len(identities), *settings_of(identities)],
    )
    for identity, (value, failed) in zip(identities, await cursor.fetchall(), strict=True):
        # A setting that the identity lacks has the value of the session, or of another identity in the same check.
        has_all = equality.settings <= {name for name, _ in identity.settings}
        index.add(identity, value, is_undetermined=failed or not has_all)
