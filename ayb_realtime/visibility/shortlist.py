"""Finds out which identities to ask about which rows. Called by ``checking``.

Where each policy requires a column to equal an expression of the identity's settings, only the identities for which it
does are asked. Postgres decides what they see, so a wrong shortlist never shows a row to an identity that may not see
it. Where a policy is not understood, or a row cannot be looked up, all identities are asked.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import psycopg

from ayb_realtime.identity import Identity
from ayb_realtime.postgres.tables import Table
from ayb_realtime.visibility.answers import Shortlist
from ayb_realtime.visibility.identities import settings_of
from ayb_realtime.visibility.policy_predicates import Equality, derive_equality
from ayb_realtime.visibility.transactions import Connection
from ayb_realtime.wire import records
from ayb_realtime.wire.records import Row

logger = logging.getLogger(__package__)

# To ask so few identities takes less time than to find out which to ask.
FEW = 16
# How many pairs of row and identity a shortlist may have where its rows are for different identities.
SHORTLIST_PAIRS = 1024
# How many identities' settings are evaluated in one statement.
EVALUATED_TOGETHER = 1000
# How many expressions are remembered, and how many identities beside those that are asked.
INDEXES = 100
REMEMBERED = 50_000


@dataclass(slots=True)
class _Index:
    """The values of an expression for identities of one role. They depend on the settings alone, and never change.

    undetermined: the identities for which the value cannot be told.
    complete_for: a mapping of identities that are all in the index. The hub passes the same one again and again.
    """

    values: dict[Identity, str | None] = field(default_factory=dict)
    by_value: dict[str, list[Identity]] = field(default_factory=dict)
    undetermined: list[Identity] = field(default_factory=list)
    complete_for: Mapping[Identity, None] | None = None

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
_indexes: dict[tuple[str, str], _Index] = {}


async def whom_to_ask(
    connection: Connection, table: Table, role: str, rows: Mapping[int, Row], identities: Mapping[Identity, None]
) -> list[Shortlist]:
    """Return which of these identities, the keys, to ask about which rows. The others do not see those rows.

    connection: as for ``visibility.check``.
    identities: all have this role.
    Raises psycopg.Error if the connection is lost.
    """
    everyone: list[Shortlist] = [(rows, list(identities))]
    if len(identities) < FEW or not rows:
        return everyone
    equalities = await derive_equalities(connection, table, role)
    if equalities is None:
        return everyone
    try:
        async with connection.transaction(force_rollback=True):
            columns = [equality.column for equality in equalities]
            current = await _current_values(connection, table, columns, rows) if equalities else {}
            indexes = [await _index(connection, role, equality, identities) for equality in equalities]
    except psycopg.Error as error:
        if connection.closed:
            raise
        logger.debug("%s: all identities are asked about each row (SQLSTATE %s)", table.name, error.sqlstate)
        return everyone
    undetermined = {identity for index in indexes for identity in index.undetermined if identity in identities}
    candidates = {position: _candidates(indexes, values, identities) for position, values in current.items()}
    return [*([(rows, list(undetermined))] if undetermined else []), *_group(rows, candidates)]


async def derive_equalities(connection: Connection, table: Table, role: str) -> list[Equality] | None:
    """Return equalities of which at least one holds for each row that is shown; None if the policies imply none."""
    cursor = await connection.execute(
        "select conditions, columns from ayb_realtime.policy_conditions_v1(%s::oid, %s)", [table.relation, role]
    )
    conditions, columns = await cursor.fetchone() or ([""], [])
    equalities = [derive_equality(condition, frozenset(columns)) for condition in conditions]
    return None if None in equalities else [equality for equality in equalities if equality]


async def _current_values(
    connection: Connection, table: Table, columns: Sequence[str], rows: Mapping[int, Row]
) -> dict[int, list[str | None]]:
    """Return what these columns of each row hold now, as text: subscribers are sent rows as they are, not as logged.

    A row that is gone is not in the result.
    """
    keys = [
        records.join({"n": str(n), **table.key_members(row.columns)}) for n, row in enumerate(rows.values(), start=1)
    ]
    cursor = await connection.execute(
        "select n, texts from ayb_realtime.current_values_v1(%s::oid, %s::text[], %s::json)",
        [table.relation, columns, f"[{','.join(keys)}]"],
    )
    positions = list(rows)
    return {positions[n - 1]: values for n, values in await cursor.fetchall()}


async def _index(connection: Connection, role: str, equality: Equality, identities: Mapping[Identity, None]) -> _Index:
    """Return an index of an equality's expression that has all of these identities, and perhaps others."""
    index = _indexes.get((role, equality.expression))
    if index is None or len(index.values) > len(identities) + REMEMBERED:
        if len(_indexes) >= INDEXES:
            _indexes.clear()
        index = _indexes[role, equality.expression] = _Index()
    if index.complete_for is identities:
        return index
    new = [identity for identity in identities if identity not in index.values]
    for n in range(0, len(new), EVALUATED_TOGETHER):
        await _evaluate(connection, role, equality, new[n : n + EVALUATED_TOGETHER], index)
    index.complete_for = identities
    return index


async def _evaluate(
    connection: Connection, role: str, equality: Equality, identities: Sequence[Identity], index: _Index
) -> None:
    cursor = await connection.execute(
        "select value, failed from ayb_realtime.evaluate_v1(%s, %s, %s::int, %s::text[], %s::text[])",
        [equality.expression, role, len(identities), *settings_of(identities)],
    )
    for identity, (value, failed) in zip(identities, await cursor.fetchall(), strict=True):
        # A setting that the identity lacks has the value of the session, or of another identity in the same check.
        has_all = equality.settings <= {name for name, _ in identity.settings}
        index.add(identity, value, is_undetermined=failed or not has_all)


def _candidates(
    indexes: Sequence[_Index], values: Sequence[str | None], identities: Mapping[Identity, None]
) -> dict[Identity, None]:
    """Return those of these identities for which at least one of the values equals its expression."""
    return {
        identity: None
        for index, value in zip(indexes, values, strict=True)
        if value is not None
        for identity in index.by_value.get(value, ())
        if identity in identities
    }


def _group(rows: Mapping[int, Row], candidates: Mapping[int, Iterable[Identity]]) -> Iterator[Shortlist]:
    """Put rows for the same identities into one shortlist, and others as long as it stays small."""
    taken: dict[int, Row] = {}
    identities: dict[Identity, None] = {}
    positions = [position for position, found in candidates.items() if found]
    for position in sorted(positions, key=lambda each: [hash(identity) for identity in candidates[each]]):
        more = {**identities, **dict.fromkeys(candidates[position])}
        if taken and len(more) > len(identities) and (len(taken) + 1) * len(more) > SHORTLIST_PAIRS:
            yield taken, list(identities)
            taken, more = {}, dict.fromkeys(candidates[position])
        taken[position] = rows[position]
        identities = more
    if taken:
        yield taken, list(identities)
