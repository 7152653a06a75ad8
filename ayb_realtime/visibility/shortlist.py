"""Finds out which identities to ask about which rows. Called by ``checking``.

Where each policy requires a column to equal an expression of the identity's settings, only the identities for which it
does are asked. Postgres decides what they see, so a wrong shortlist never shows a row to an identity that may not see
it. Where a policy is not understood, or a row cannot be looked up, all identities are asked.
"""

import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg

from ayb_realtime.identity import Identity
from ayb_realtime.postgres.tables import Table
from ayb_realtime.visibility import setting_index, transactions
from ayb_realtime.visibility.answers import Shortlist
from ayb_realtime.visibility.policy_predicates import Equality, derive_equality
from ayb_realtime.visibility.setting_index import Index
from ayb_realtime.visibility.transactions import Connection
from ayb_realtime.wire import records
from ayb_realtime.wire.records import Row

logger = logging.getLogger(__package__)

# It returns the ordinals of the rows that are there, from 1, and these columns of each.
CURRENT_VALUES = (
    "select n, texts"
    "  from ayb_realtime.current_values_v1(%s::pg_catalog.oid, %s::pg_catalog.text[], %s::pg_catalog.json)"
)
# To ask so few identities takes less time than to find out which to ask.
FEW = 16
# How many pairs of row and identity a shortlist may have where its rows are for different identities.
SHORTLIST_PAIRS = 1024


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
    known = transactions.state(connection).equalities.setdefault(table.relation, {})
    if role not in known:
        known[role] = await derive_equalities(connection, table, role)
    equalities = known[role]
    if equalities is None:
        return everyone
    try:
        async with connection.transaction(force_rollback=True):
            columns = [equality.column for equality in equalities]
            current = await _current_values(connection, table, columns, rows) if equalities else {}
            indexes = [await setting_index.complete(connection, role, equality, identities) for equality in equalities]
    except psycopg.Error as error:
        if connection.closed:
            raise
        logger.debug(
            "%s: all identities are asked about each row (SQLSTATE %s)",
            table.name,
            error.sqlstate,
            extra={"event_name": "shortlist_fails"},
        )
        return everyone
    read = {at: values for at, values in current.items() if values is not None}
    values = read if len(read) == len(current) else _logged(columns, rows)
    return everyone if values is None else _listed(indexes, values, rows, identities)


def _listed(
    indexes: Sequence[Index],
    values: Mapping[int, Sequence[str | None]],
    rows: Mapping[int, Row],
    identities: Mapping[Identity, None],
) -> list[Shortlist]:
    """Return whom to ask about which rows. values: by position, those of the indexes' columns, as text."""
    undetermined = {identity for index in indexes for identity in index.undetermined if identity in identities}
    candidates = {position: _candidates(indexes, each, identities) for position, each in values.items()}
    return [*([(rows, list(undetermined))] if undetermined else []), *_group(rows, candidates)]


@dataclass(frozen=True, slots=True)
class Guess:
    """Whom to ask, if these columns of the rows hold what was logged.

    values: position → the values of the columns, as text.
    """

    shortlists: Sequence[Shortlist]
    columns: Sequence[str] = ()
    values: Mapping[int, Sequence[str | None]] = field(default_factory=dict)


def guess(
    equalities: Sequence[Equality] | None, role: str, rows: Mapping[int, Row], identities: Mapping[Identity, None]
) -> Guess | None:
    """Return what ``whom_to_ask`` would if the rows are still as they were logged; None if Postgres has to be asked.

    equalities: what ``derive_equalities`` has returned.
    """
    if len(identities) < FEW or equalities is None:
        return Guess([(rows, list(identities))])
    indexes = [index for each in equalities if (index := setting_index.known(role, each, identities))]
    columns = [each.column for each in equalities]
    values = _logged(columns, rows) if columns else {}
    if len(indexes) < len(equalities) or values is None:
        return None
    return Guess(_listed(indexes, values, rows, identities), columns, values)


def _logged(columns: Sequence[str], rows: Mapping[int, Row]) -> dict[int, list[str | None]] | None:
    """Return what these columns of each row held when it was logged, as text; None if one was not logged.

    It tells whom to ask, too: if a row has another value now, a later change says so.
    """
    if any(column not in row.columns for row in rows.values() for column in columns):
        return None
    return {at: [_as_text(row.columns[column]) for column in columns] for at, row in rows.items()}


def _as_text(value: str) -> str | None:
    """Write a JSON value as Postgres writes a column of a type that equalities are derived for."""
    if value.startswith('"'):
        return str(json.loads(value))
    return None if value == "null" else value


async def derive_equalities(connection: Connection, table: Table, role: str) -> list[Equality] | None:
    """Return equalities of which at least one holds for each row that is shown; None if the policies imply none."""
    cursor = await connection.execute(
        "select conditions, columns from ayb_realtime.policy_conditions_v1(%s::pg_catalog.oid, %s)",
        [table.relation, role],
    )
    conditions, columns = await cursor.fetchone() or ([""], [])
    equalities = [derive_equality(condition, frozenset(columns)) for condition in conditions]
    return None if None in equalities else [equality for equality in equalities if equality]


async def _current_values(
    connection: Connection, table: Table, columns: Sequence[str], rows: Mapping[int, Row]
) -> dict[int, list[str | None] | None]:
    """Return what these columns of each row hold now, as text: subscribers are sent rows as they are, not as logged.

    A row that is gone is not in the result. None if the hub's login may not read the table.
    """
    cursor = await connection.execute(CURRENT_VALUES, current_values_of(table, columns, rows))
    positions = list(rows)
    return {positions[n - 1]: values for n, values in await cursor.fetchall()}


def current_values_of(table: Table, columns: Sequence[str], rows: Mapping[int, Row]) -> list[Any]:
    """Return the parameters of CURRENT_VALUES."""
    keys = [
        records.join({"n": str(n), **table.key_members(row.columns)}) for n, row in enumerate(rows.values(), start=1)
    ]
    return [table.relation, columns, f"[{','.join(keys)}]"]


def _candidates(
    indexes: Sequence[Index], values: Sequence[str | None], identities: Mapping[Identity, None]
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
