"""Reads the rows of tables as a subscriber's own SELECT would find them, page by page. Called by ``hub.snapshots``."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import psycopg
from psycopg import sql

from ayb_realtime.conf import conf
from ayb_realtime.exceptions import CatalogChanged, RoleRefused
from ayb_realtime.filters import Filter
from ayb_realtime.identity import Identity
from ayb_realtime.postgres import database, sessions
from ayb_realtime.postgres.tables import Table
from ayb_realtime.visibility import catalog_cache, transaction_settings, transactions
from ayb_realtime.visibility.catalog_cache import TableFacts
from ayb_realtime.visibility.catalog_guard import check_transaction
from ayb_realtime.visibility.check_functions import MAKE
from ayb_realtime.visibility.comparisons import condition
from ayb_realtime.visibility.filtering import comparisons
from ayb_realtime.visibility.transactions import Connection

# The SQL that writes a row as JSON, as capture_v1() writes it, in the columns that the role may read.
EXPRESSION = (
    "select ayb_realtime.json_expression_v1("
    "%(relation)s::pg_catalog.oid, 't', ayb_realtime.readable_columns_v1(%(relation)s::pg_catalog.oid, %(role)s))"
)
DECLARE = sql.SQL("declare page no scroll cursor for select {}::pg_catalog.text from {} as t where {} order by {}")
# By the role that may use our schema. What the page leaves behind is the subscriber's role.
FETCH = sql.SQL("{}; select * from ayb_realtime.page_v1({}, {}, {}); select pg_catalog.current_setting('role')")
# A check looks rows up by their keys. A SELECT is planned as everywhere else, to be read to its end.
PLANNER = {
    "enable_seqscan": "on",
    "enable_hashjoin": "on",
    "enable_mergejoin": "on",
    "plan_cache_mode": "auto",
    "cursor_tuple_fraction": "1",
}
# When a page is full: by how many characters, but for its last row, and by how many rows.
PAGE_CHARACTERS = 128 * 1024
PAGE_ROWS = 2000


@dataclass(frozen=True, slots=True)
class Selection:
    """What an identity may select from some tables, in a transaction that sees one snapshot.

    connection: of that transaction, which has the identity's role and settings.
    expressions: table (oid) → the SQL of a row. The role may not read the tables that are missing.
    conditions: table (oid) → that of the rows to select.
    """

    connection: Connection
    role: str
    expressions: Mapping[int, str]
    conditions: Mapping[int, sql.Composable]
    facts: Sequence[TableFacts]

    @property
    def backend_pid(self) -> int:
        """The pid of the server process that runs the transaction."""
        return transactions.state(self.connection).backend_pid

    async def pages(self, table: Table) -> AsyncIterator[list[str]]:
        """Yield the rows of a table as JSON, in pages, in the order of its key: at least one page, which may be empty.

        Send none before ``confirm``. Raises RoleRefused if a policy has taken another role; psycopg.Error, as the
        subscriber's own SELECT would.
        """
        expression = self.expressions.get(table.relation)
        if expression is None:
            yield []
            return
        name = sql.Identifier(table.schema, table.name)
        key = sql.SQL(", ").join(sql.Identifier("t", column) for column in table.key_columns)
        declare = DECLARE.format(sql.SQL(expression), name, self.conditions[table.relation], key)
        await self.connection.execute(declare.as_string(self.connection))
        yield (page := await self._fetch())
        while _is_full(page):
            if page := await self._fetch():
                yield page
        await self.connection.execute("close page")

    async def _fetch(self) -> list[str]:
        own_role = sql.SQL(sessions.own_role(self.connection))
        fetch = FETCH.format(own_role, self.role, PAGE_CHARACTERS, PAGE_ROWS).as_string(self.connection)
        rows, ((role,),) = await transactions.results(self.connection, fetch)
        if role != self.role:
            raise RoleRefused(f"A policy has changed the role, which was {self.role}.")
        return [row for (row,) in rows]

    async def confirm(self, another: Connection) -> None:
        """Raise CatalogChanged if something that decides who sees the rows has changed since the snapshot.

        another: a connection that is in no transaction.
        """
        deciders = [each.deciders for each in self.facts]
        query = catalog_cache.fingerprints(len(deciders))
        ((fingerprints,),) = await sessions.fetch(another, query, deciders)
        if fingerprints != [each.fingerprint for each in self.facts]:
            raise CatalogChanged


def _is_full(page: Sequence[str]) -> bool:
    return len(page) == PAGE_ROWS or sum(map(len, page)) >= PAGE_CHARACTERS


@asynccontextmanager
async def selection(
    connection: Connection, filters: Mapping[int, Filter], identity: Identity
) -> AsyncIterator[Selection]:
    """Run a block in a transaction that sees one snapshot; enter it as the login role.

    filters: of each table (oid); without a condition, all rows are selected.
    connection: in no transaction, and of no other use: what a policy sets for its session remains.
    Raises RoleRefused for a role that no subscriber may have; LockNotAvailable if another session has locked one of
    the tables; CatalogChanged, also at the end: then what was read holds no longer. Raises psycopg.Error.
    """
    role, relations = identity.role, filters.keys()
    facts = list((await catalog_cache.facts(connection, [(each, frozenset([role])) for each in relations])).values())
    expressions = {each.table.relation: await _expression(connection, each, role) for each in facts}
    # A reader that waited for locks would keep others waiting for it.
    async with check_transaction(connection, relations, [role], wait=False):
        conditions = {each: await _condition(connection, each, role, filters[each]) for each in relations}
        readable = {relation: expression for relation, expression in expressions.items() if expression is not None}
        yield Selection(connection, role, readable, conditions, facts)


async def act(selected: Selection, identity: Identity, seconds: float) -> None:
    """Take the identity's role and settings until the transaction ends. seconds: how long each statement may take."""
    timeouts = transaction_settings.timeouts(seconds)
    await transactions.set_local(
        selected.connection, {**PLANNER, **timeouts, **dict(identity.settings), "role": identity.role}
    )


async def _condition(connection: Connection, relation: int, role: str, wanted: Filter) -> sql.Composable:
    """Return the SQL condition that a row ``t`` matches a filter. Raises UndefinedColumn if Postgres cannot tell."""
    if not wanted:
        return sql.SQL("true")
    known = await comparisons(connection, relation, role, [(clause.column, clause.operator) for clause in wanted])
    compared = {clause: known[clause.column, clause.operator] for clause in wanted}
    if unknown := [clause.column for clause, comparison in compared.items() if not comparison.operator]:
        raise psycopg.errors.UndefinedColumn(f"the filter's column {unknown[0]} is gone, or of another type")
    return condition(compared)


async def _expression(connection: Connection, facts: TableFacts, role: str) -> str | None:
    """Return the SQL of a row of a table; None if the role may not read the table. Raises RoleRefused."""
    state = facts.roles[role].state
    if state.refusal:
        raise RoleRefused(state.refusal)
    if not state.may_select:
        return None
    parameters = {"relation": facts.table.relation, "role": role}
    ((expression,),) = await sessions.fetch(connection, EXPRESSION, parameters)
    if expression is None:
        # No row of this layout was captured yet, so the type as which such rows are written has still to be made.
        async with await database.connect(conf.hub_primary()) as maker:
            await sessions.fetch(maker, MAKE, [facts.table.relation, role], begin=sessions.WRITE)
        ((expression,),) = await sessions.fetch(connection, EXPRESSION, parameters)
    return str(expression)
