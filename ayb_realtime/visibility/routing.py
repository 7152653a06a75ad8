"""Whom to ask about a row: where a policy says that a column has to be what an identity's settings say, only those for
whom it is so. Called by ``visibility`` alone.

Whoever is asked is asked as ever, so that a route that is wrong shows nothing to anybody. What is not understood, or
cannot be looked at, is no route: then all are asked.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import psycopg

from ayb_realtime.identity import Identity
from ayb_realtime.postgres.tables import Table
from ayb_realtime.visibility.attempts import settings_of
from ayb_realtime.visibility.policy_predicates import Match, derive
from ayb_realtime.visibility.transactions import Connection
from ayb_realtime.wire.records import Row

logger = logging.getLogger(__package__)

Part = tuple[Mapping[int, Row], Sequence[Identity]]

# So few are asked in the time that it takes to find out whom to ask.
FEW = 16
# Of rows and identities that are asked about together, where most of the pairs have nothing to do with each other.
PART_PAIRS = 1024
# How many identities' settings are evaluated in one statement.
EVALUATED_TOGETHER = 1000
# How much is remembered: of expressions, and of identities that are not there any more.
INDEXES = 100
REMEMBERED = 50_000


@dataclass(slots=True)
class _Index:
    """What an expression is to identities of one role. It reads nothing but their settings, so it stays the same.

    anyones: those for whom it cannot be told.
    complete_for: some whom it has, the same from run to run, so that they need not be gone through.
    """

    values: dict[Identity, str | None] = field(default_factory=dict)
    holders: dict[str, list[Identity]] = field(default_factory=dict)
    anyones: list[Identity] = field(default_factory=list)
    complete_for: Mapping[Identity, None] | None = None

    def add(self, identity: Identity, value: str | None, *, failed: bool) -> None:
        """Take down what it is to an identity; null equals nothing."""
        if identity in self.values:
            return
        self.values[identity] = value
        if failed:
            self.anyones.append(identity)
        elif value is not None:
            self.holders.setdefault(value, []).append(identity)


_indexes: dict[tuple[str, str], _Index] = {}


async def parts(
    connection: Connection, table: Table, role: str, rows: Mapping[int, Row], identities: Mapping[Identity, None]
) -> list[Part]:
    """Return which of these identities, the keys, who all have this role, are to be asked about which rows.

    connection: as for ``visibility.check``. The others do not see the rows.
    Raises psycopg.Error if the connection is lost.
    """
    if len(identities) < FEW or not rows:
        return [(rows, list(identities))]
    matches = await derived(connection, table, role)
    if matches is None:
        return [(rows, list(identities))]
    try:
        async with connection.transaction(force_rollback=True):
            held = await _held(connection, table, [match.column for match in matches], rows) if matches else {}
            indexes = [await _index(connection, role, match, identities) for match in matches]
    except psycopg.Error as error:
        if connection.closed:
            raise
        logger.debug("%s: everybody is asked about each row (SQLSTATE %s)", table.name, error.sqlstate)
        return [(rows, list(identities))]
    anyones = {identity for index in indexes for identity in index.anyones if identity in identities}
    found = {
        position: {
            identity: None
            for index, value in zip(indexes, values, strict=True)
            for identity in index.holders.get(value or "", ())
            if value is not None and identity in identities
        }
        for position, values in held.items()
    }
    return [*([(rows, list(anyones))] if anyones else []), *_cut(rows, found)]


async def derived(connection: Connection, table: Table, role: str) -> list[Match] | None:
    """Return matches of which one holds for each row that is shown; None where the policies do not tell."""
    cursor = await connection.execute(
        "select conditions, columns from ayb_realtime.conditions_v1(%s::oid, %s)", [table.relation, role]
    )
    conditions, columns = await cursor.fetchone() or ([""], [])
    matches = [derive(condition, frozenset(columns)) for condition in conditions]
    return None if None in matches else [match for match in matches if match]


async def _held(
    connection: Connection, table: Table, columns: Sequence[str], rows: Mapping[int, Row]
) -> dict[int, list[str | None]]:
    """Return what each row that is still there holds in these columns now: whatever was logged, that is shown."""
    keys = []
    for n, row in enumerate(rows.values()):
        key = "".join(f',"k{place}":{row.columns[name]}' for place, name in enumerate(table.key_columns, 1))
        keys.append(f'{{"n":{n}{key}}}')
    cursor = await connection.execute(
        "select n, held from ayb_realtime.held_v1(%s::oid, %s::text[], %s::json)",
        [table.relation, columns, f"[{','.join(keys)}]"],
    )
    positions = list(rows)
    return {positions[n]: held for n, held in await cursor.fetchall()}


async def _index(connection: Connection, role: str, match: Match, identities: Mapping[Identity, None]) -> _Index:
    """Return what the match's expression is to all of these, and perhaps to others."""
    index = _indexes.get((role, match.expression))
    if index is None or len(index.values) > len(identities) + REMEMBERED:
        if len(_indexes) >= INDEXES:
            _indexes.clear()
        index = _indexes[role, match.expression] = _Index()
    if index.complete_for is identities:
        return index
    new = [identity for identity in identities if identity not in index.values]
    for n in range(0, len(new), EVALUATED_TOGETHER):
        together = new[n : n + EVALUATED_TOGETHER]
        cursor = await connection.execute(
            "select value, failed from ayb_realtime.evaluate_v1(%s, %s, %s::int, %s::text[], %s::text[])",
            [match.expression, role, len(together), *settings_of(together)],
        )
        for identity, (value, failed) in zip(together, await cursor.fetchall(), strict=True):
            # One that it does not have is whatever the session, or its neighbours in a check, make of it.
            has_all = match.names <= {name for name, _ in identity.settings}
            index.add(identity, value, failed=failed or not has_all)
    index.complete_for = identities
    return index


def _cut(rows: Mapping[int, Row], found: Mapping[int, Iterable[Identity]]) -> Iterator[Part]:
    """Put rows together that are for the same identities, and others while they are few."""
    taken: dict[int, Row] = {}
    whom: dict[Identity, None] = {}
    for position in sorted(filter(found.get, found), key=lambda each: [hash(identity) for identity in found[each]]):
        more = {**whom, **dict.fromkeys(found[position])}
        if taken and len(more) > len(whom) and (len(taken) + 1) * len(more) > PART_PAIRS:
            yield taken, list(whom)
            taken, more = {}, dict.fromkeys(found[position])
        taken[position] = rows[position]
        whom = more
    if taken:
        yield taken, list(whom)
