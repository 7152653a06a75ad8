"""Acting as a subscriber: for which roles that is possible and safe, and a block whose queries do it.

Called by ``visibility`` for the stream, and by whoever reads rows for a page. Nobody reads under a role that row-level
security does not hold.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from django.db import connections, transaction
from django.db.backends.utils import CursorWrapper

from ayb_realtime.conf import conf
from ayb_realtime.exceptions import RoleRefused
from ayb_realtime.identity import Identity
from ayb_realtime.postgres import sessions
from ayb_realtime.postgres.tables import Table
from ayb_realtime.visibility import transactions

FAULTS = {
    "missing": "There is no role {role}. Run this as a superuser: "
    "CREATE ROLE {role} NOLOGIN; GRANT {role} TO {user}{options};",
    "ungranted": "The database user {user} may not act as {role}, so that no row could be checked for anybody. "
    "Run this as a superuser, or as the user that migrated: GRANT {role} TO {user}{options};",
    "superuser": "{holder} is a superuser, whom row-level security does not hold.",
    "bypassrls": "{holder} has BYPASSRLS, so that row-level security does not hold it.",
    "owner": "{holder} owns the streamed table {table}, so that row-level security does not hold it.",
}
REMEDIES = {
    "superuser": "Let IDENTITY name another role, or run this: ALTER ROLE {role} NOSUPERUSER NOBYPASSRLS;",
    "bypassrls": "Let IDENTITY name another role, or run this: ALTER ROLE {role} NOBYPASSRLS;",
    "owner": "Let IDENTITY name another role.",
    "member": "Let IDENTITY name another role than {role}, its member, or run this: REVOKE {holder} FROM {role};",
}
ROLE_STATES = "select * from ayb_realtime.role_states_v1(%s::text[], %s::oid, %s::text[])"


@dataclass(frozen=True, slots=True)
class RoleState:
    """What there is to say of a role; the columns of ``role_states_v1``."""

    role: str
    may_select: bool
    fault: str | None
    quoted_role: str
    quoted_user: str
    grant_options: str
    quoted_holder: str | None
    quoted_table: str | None

    @property
    def refusal(self) -> str:
        """Why nobody may read rows under the role, and what to do about it; empty where somebody may."""
        if self.fault is None:
            return ""
        told = FAULTS[self.fault]
        if self.quoted_holder:
            told = f"{told} {REMEDIES[self.fault if self.quoted_holder == self.quoted_role else 'member']}"
        return told.format(
            role=self.quoted_role,
            user=self.quoted_user,
            options=self.grant_options,
            holder=self.quoted_holder,
            table=self.quoted_table,
        )


async def check_role(connection: psycopg.AsyncConnection[Any], role: str) -> None:
    """See whether subscribers may have this role, whichever tables they stream. Raises RoleRefused with what to run."""
    (state,) = await states(connection, [role])
    if state.refusal:
        raise RoleRefused(state.refusal)


async def states(
    connection: psycopg.AsyncConnection[Any], roles: Iterable[str], table: Table | None = None
) -> list[RoleState]:
    """Return what there is to say of each role, and of the key of a table."""
    roles = set(roles)
    if table:
        known = transactions.known(connection).states.get(table.relation, {})
        if roles <= known.keys():
            return [RoleState(*known[role][:-2]) for role in roles]
    return [RoleState(*columns) for columns in await sessions.fetch(connection, ROLE_STATES, _question(roles, table))]


@contextmanager
def as_identity(identity: Identity) -> Iterator[None]:
    """Run a block's queries, the ORM's too, as a subscriber: they find the rows that the stream would show.

    On the database of the streamed tables, in a transaction of its own, or in a savepoint of the one that is open.
    A queryset that is evaluated only after the block finds all rows: make a list of it in the block. What the block
    writes, it writes under the identity's privileges and policies. Asynchronous code calls a function with such a block
    by ``sync_to_async``.
    Raises RoleRefused for a role that subscribers may not have, and at the end, with everything rolled back, if
    something in the block has changed the role.
    """
    # Where row-level security is off for a session, Postgres refuses what a policy would hold.
    names = ["role", "row_security", *(name for name, _ in identity.settings)]
    connection = connections[conf.database]
    with transaction.atomic(conf.database), connection.cursor() as cursor:
        before = _current(cursor, names)
        _check_role(cursor, identity.role)
        _set_local(cursor, names, [identity.role, "on", *(value for _, value in identity.settings)])
        yield
        if connection.needs_rollback:
            return  # That takes the role and the settings back.
        if _current(cursor, ["role"]) != [identity.role]:
            raise RoleRefused(f"A policy, or the block itself, has changed the role, which was {identity.role}.")
        # The end of a transaction does this too, but not that of a savepoint.
        _set_local(cursor, names, before)


def _check_role(cursor: CursorWrapper, role: str) -> None:
    # In a block within another, the role is a subscriber's, which has no use of our schema.
    _set_local(cursor, ["role"], ["none"])
    cursor.execute(ROLE_STATES, _question([role], None))
    if refusal := RoleState(*cursor.fetchall()[0]).refusal:
        raise RoleRefused(refusal)


def _current(cursor: CursorWrapper, names: Sequence[str]) -> list[str | None]:
    cursor.execute(f"select {', '.join(['pg_catalog.current_setting(%s, true)'] * len(names))}", names)
    return list(cursor.fetchall()[0])


def _set_local(cursor: CursorWrapper, names: Sequence[str], values: Sequence[str | None]) -> None:
    calls = ", ".join(["pg_catalog.set_config(%s, %s, true)"] * len(names))
    cursor.execute(f"select {calls}", [part for setting in zip(names, values, strict=True) for part in setting])


def _question(roles: Iterable[str], table: Table | None) -> tuple[list[str], int | None, list[str]]:
    return sorted(set(roles)), table.relation if table else None, list(table.key_columns) if table else []
