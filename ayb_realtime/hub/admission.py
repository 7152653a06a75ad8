"""What a request needs to know before it can stream: the tables, the right of its role, how far back the log goes.

Thousands of clients that come back at once share the answers. The hub calls it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from psycopg_pool import AsyncConnectionPool

from ayb_realtime import precedence
from ayb_realtime.exceptions import InvalidParameter, PositionUnavailable, RoleRefused
from ayb_realtime.filters import Filter
from ayb_realtime.hub.single_flight import SingleFlight
from ayb_realtime.log import queries
from ayb_realtime.postgres import sessions, tables
from ayb_realtime.postgres.tables import Table
from ayb_realtime.reset_reasons import ResetReason
from ayb_realtime.visibility import filter_admission, transactions
from ayb_realtime.visibility.role_states import RoleState
from ayb_realtime.wire.form import NAMED, WHOLE, Form, TableName, sent_columns

# In one statement: each costs a request more than what it finds out.
TABLES_AND_ROLES = """
select array(select pg_catalog.to_json(t)::pg_catalog.text from ayb_realtime.streamed_tables_v1() t),
       array(select pg_catalog.to_json(s)::pg_catalog.text
               from ayb_realtime.role_states_v1(%s::pg_catalog.text[], null, null) s)
"""


READABLE_COLUMNS = """
select a.attrelid::pg_catalog.int8, w.role, pg_catalog.array_agg(a.attname::pg_catalog.text)
  from rows from (
       pg_catalog.unnest(%s::pg_catalog.oid[]), pg_catalog.unnest(%s::pg_catalog.text[])) as w (relation, role)
  join pg_catalog.pg_attribute a on a.attrelid operator(pg_catalog.=) w.relation
 where a.attnum operator(pg_catalog.>) 0 and not a.attisdropped
   and pg_catalog.has_column_privilege(w.role, a.attrelid, a.attnum, 'select')
 group by 1, 2
"""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a request wants besides tables.

    fields: the columns that it names; (): all.
    is_named: whether it wants the events of changes to have names.
    filters: by the name of the table in the request.
    """

    fields: tuple[str, ...] = ()
    is_named: bool = False
    filters: Mapping[str, Filter] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """What Postgres says to the requests that wait for it.

    streamed: the streamed tables, those of the schema ``public`` first.
    roles: the state of each role for which they ask.
    """

    streamed: Sequence[Table]
    roles: Mapping[str, RoleState]

    def tables(self, names: Sequence[str], role: str) -> list[Table]:
        """Return the streamed tables with these names. Raises UnknownTable; RoleRefused if the role may not stream."""
        found = tables.named(self.streamed, names)
        if refusal := self.roles[role].refusal:
            raise RoleRefused(refusal)
        return found


def listed(parameter: str) -> list[str]:
    """Return the names in a parameter, which commas separate, each once."""
    stripped = (name.strip() for name in parameter.split(","))
    return list(dict.fromkeys(name for name in stripped if name))


class Admission:
    """Asks the database. Every method raises psycopg.Error or PoolTimeout if the database does not answer."""

    def __init__(self, pool: AsyncConnectionPool[Any], primary: AsyncConnectionPool[Any]) -> None:
        self._pool = pool
        self._primary = primary
        self._answer = SingleFlight(self._ask)
        self._bounds = SingleFlight(self._read_bounds)
        self._primary_head = SingleFlight(self._read_primary_head)
        self._columns = SingleFlight(self._read_columns)
        self._refusals = SingleFlight(self._read_refusals)
        # Those of the requests that wait for the next question.
        self._roles: set[str] = set()
        self._readers: set[tuple[int, str]] = set()
        self._filters: dict[tuple[Table, str], set[Filter]] = {}

    async def ask(self, role: str) -> Answer:
        """Return the streamed tables, and the state of this role."""
        self._roles.add(role)
        return await self._answer.get()

    async def form(self, wanted: Wanted, tables: Sequence[Table], role: str) -> Form:
        """Return the form of a stream of these tables. Raises InvalidParameter for an unknown or unreadable column."""
        if not wanted.fields:
            return NAMED if wanted.is_named else WHOLE  # Thousands of streams share it.
        self._readers |= {(table.relation, role) for table in tables}
        columns = await self._columns.get()
        readable = {table.relation: columns.get((table.relation, role), ()) for table in tables}
        return Form(sent_columns(wanted.fields, tables, readable), wanted.is_named)

    async def filters(self, wanted: Wanted, answer: Answer, role: str) -> Mapping[TableName, Filter]:
        """Return the filters of a stream. Raises InvalidParameter if Postgres cannot evaluate one for this role."""
        if not wanted.filters:
            return {}
        filters: dict[Table, Filter] = {}
        for name, each in wanted.filters.items():
            (table,) = answer.tables([name], role)
            filters[table] = filters.get(table, frozenset()) | each
        for table, each in filters.items():
            self._filters.setdefault((table, role), set()).add(each)
        refusals = await self._refusals.get()
        for table, each in filters.items():
            if refusal := refusals.get((table, role, each)):
                raise InvalidParameter(f"filter: {refusal}")
        return {(table.schema, table.name): each for table, each in filters.items()}

    async def check_resumable(self, after: int) -> None:
        """Raise PositionUnavailable if the log ends before this position, or begins after it; or NotMigrated."""
        oldest, head = await self._bounds.get()
        if after > head and self._primary is not self._pool:
            # Another hub's standby may be ahead of this one's. Then the stream waits for it.
            head = await self._primary_head.get()
        if after > head:
            raise PositionUnavailable(ResetReason.BEYOND_THE_END)
        if after < oldest:
            raise PositionUnavailable(ResetReason.NO_LONGER_HELD)
        await precedence.turn()  # Last: requests that ask together share the answers.

    async def _ask(self) -> Answer:
        roles, self._roles = self._roles, set()
        async with self._pool.connection() as connection:
            ((found, states),) = await sessions.fetch(connection, TABLES_AND_ROLES, [sorted(roles)])
        by_name = {state.role: state for state in (RoleState(**json.loads(each)) for each in states)}
        return Answer([Table.of(json.loads(table)) for table in found], by_name)

    async def _read_columns(self) -> Mapping[tuple[int, str], Sequence[str]]:
        readers, self._readers = sorted(self._readers), set()
        parameters = [relation for relation, _ in readers], [role for _, role in readers]
        async with self._pool.connection() as connection:
            rows = await sessions.fetch(connection, READABLE_COLUMNS, parameters)
        return {(relation, role): columns for relation, role, columns in rows}

    async def _read_refusals(self) -> dict[tuple[Table, str, Filter], str]:
        """Return what is wrong with filters of tables, for roles."""
        asked, self._filters = self._filters, {}
        found: dict[tuple[Table, str, Filter], str] = {}
        async with self._pool.connection() as connection, transactions.snapshot(connection):
            for (table, role), filters in asked.items():
                refused = await filter_admission.refusals(connection, table, role, filters)
                found |= {(table, role, each): problem for each, problem in refused.items()}
        return found

    async def _read_bounds(self) -> tuple[int, int]:
        async with self._pool.connection() as connection:
            return await queries.bounds(connection)

    async def _read_primary_head(self) -> int:
        async with self._primary.connection() as connection:
            return await queries.head(connection)
