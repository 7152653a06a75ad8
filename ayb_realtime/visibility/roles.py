"""Finds out which roles subscribers may have, and runs a block's queries as a subscriber.

Called by ``visibility`` for streams, and by a site's own code. No rows are read under a role to which row-level
security does not apply.
"""

import json
import logging
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from typing import Any, NoReturn

import psycopg
from django.db import ProgrammingError, connections, transaction
from django.db.backends.utils import CursorWrapper

from ayb_realtime.conf import conf
from ayb_realtime.exceptions import NO_SCHEMA, NotMigrated, RoleRefused
from ayb_realtime.identity import Identity
from ayb_realtime.postgres import sessions
from ayb_realtime.postgres.database import assumed_role
from ayb_realtime.postgres.tables import Table
from ayb_realtime.visibility import transactions
from ayb_realtime.visibility.identities import IdentitiesByRole
from ayb_realtime.visibility.role_states import RoleState

logger = logging.getLogger(__package__)

ROLE_STATES = (
    "select pg_catalog.to_json(s)::pg_catalog.text from ayb_realtime.role_states_v1(%s::text[], %s::oid, %s::text[]) s"
)


async def check_role(connection: psycopg.AsyncConnection[Any], role: str) -> None:
    """Raise RoleRefused, which says what to run, if subscribers may not have this role, whatever tables they stream."""
    (state,) = await states(connection, [role])
    if state.refusal:
        raise RoleRefused(state.refusal)


async def states(
    connection: psycopg.AsyncConnection[Any], roles: Iterable[str], table: Table | None = None
) -> list[RoleState]:
    """Return the state of each of these roles. table: the one whose key they may or may not read.

    connection: if there is a table, in a configured transaction.
    """
    roles = set(roles)
    if table:
        known = transactions.state(connection).roles.get(table.relation, {})
        if roles <= known.keys():
            return [known[role].state for role in roles]
    rows = await sessions.fetch(connection, ROLE_STATES, _parameters(roles, table))
    return [RoleState(**json.loads(state)) for (state,) in rows]


@contextmanager
def as_identity(identity: Identity) -> Iterator[None]:
    """Run a block's queries, also the ORM's, as a subscriber: they find the rows that the stream would show.

    The block runs on the database of the streamed tables, in a transaction or, if one is open, in a savepoint. Evaluate
    querysets in the block: after it they find all rows. What the block writes, it writes under the identity's
    privileges and policies. In asynchronous code, call a function with such a block by ``sync_to_async``.
    Raises RoleRefused if subscribers may not have the identity's role, for a query on another database, such as a
    replica that a router chooses, and at the end, with everything rolled back, if something has changed the role.
    """
    # With row_security off, Postgres raises an error instead of applying policies.
    names = ["role", "row_security", *(name for name, _ in identity.settings)]
    connection = connections[conf.database]
    with _alone(conf.database), transaction.atomic(conf.database), connection.cursor() as cursor:
        before = _current(cursor, names)
        _check_role(cursor, identity.role)
        _set_local(cursor, names, [identity.role, "on", *(value for _, value in identity.settings)])
        yield
        if connection.needs_rollback:
            return  # The rollback restores the role and the settings.
        if _current(cursor, ["role"]) != [identity.role]:
            raise RoleRefused(f"A policy, or the block itself, has changed the role, which was {identity.role}.")
        # The end of a transaction restores them, too, but the end of a savepoint does not.
        _set_local(cursor, names, before)


@contextmanager
def _alone(alias: str) -> Iterator[None]:
    """Refuse queries on every other database: they would not run as the subscriber."""

    def refuse(execute: object, statement: str, parameters: object, many: bool, context: dict[str, Any]) -> NoReturn:
        raise RoleRefused(
            f"as_identity() reads as a subscriber on the database {alias!r} alone, and this query is for"
            f" {context['connection'].alias!r}. Use .using({alias!r}), or run it outside the block."
        )

    with ExitStack() as stack:
        for other in set(connections) - {alias}:
            stack.enter_context(connections[other].execute_wrapper(refuse))
        yield


def _check_role(cursor: CursorWrapper, role: str) -> None:
    # In a block within another, the role is a subscriber's, which may not use our schema.
    _set_local(cursor, ["role"], [assumed_role(conf.database) or "none"])
    try:
        cursor.execute(ROLE_STATES, _parameters([role], None))
    except ProgrammingError as error:
        if isinstance(error.__cause__, psycopg.errors.InvalidSchemaName):
            raise NotMigrated(NO_SCHEMA) from error
        raise
    ((state,),) = cursor.fetchall()
    if refusal := RoleState(**json.loads(state)).refusal:
        raise RoleRefused(refusal)


def _current(cursor: CursorWrapper, names: Sequence[str]) -> list[str | None]:
    cursor.execute(f"select {', '.join(['pg_catalog.current_setting(%s, true)'] * len(names))}", names)
    return list(cursor.fetchall()[0])


def _set_local(cursor: CursorWrapper, names: Sequence[str], values: Sequence[str | None]) -> None:
    calls = ", ".join(["pg_catalog.set_config(%s, %s, true)"] * len(names))
    cursor.execute(f"select {calls}", [part for setting in zip(names, values, strict=True) for part in setting])


def _parameters(roles: Iterable[str], table: Table | None) -> tuple[list[str], int | None, list[str]]:
    return sorted(set(roles)), table.relation if table else None, list(table.key_columns) if table else []


async def may_select(
    connection: transactions.Connection, table: Table, identities: Iterable[Identity]
) -> tuple[IdentitiesByRole, IdentitiesByRole]:
    """Return the identities whose role may SELECT the key of a table, and those whose role no subscriber may have.

    A role that was refused is no answer, so the streams of its identities have to end.
    """
    by_role = IdentitiesByRole.of(identities)
    return divided(table, by_role, await states(connection, by_role.by_role, table))


def divided(
    table: Table, by_role: IdentitiesByRole, found: Collection[RoleState]
) -> tuple[IdentitiesByRole, IdentitiesByRole]:
    """Return what ``may_select`` does. found: the state of each of these roles."""
    if refusals := [state.refusal for state in found if state.refusal]:
        logger.error("%s: streams end. %s", table.name, refusals[0], extra={"event_name": "role_refused"})
    refused = {state.role for state in found if state.refusal}
    readers = {state.role for state in found if state.may_select} - refused
    return by_role.only(readers), by_role.only(refused)


@asynccontextmanager
async def acting_as(connection: transactions.Connection, identity: Identity) -> AsyncIterator[None]:
    """Run a block's queries as a subscriber, in a subtransaction that is rolled back. Raises psycopg.Error."""
    async with connection.transaction(force_rollback=True):
        await transactions.set_local(connection, {**dict(identity.settings), "role": identity.role})
        yield
