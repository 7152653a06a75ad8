"""Who sees what: Postgres is asked, under each identity's own role and settings. Nothing else sets a role.

Anything but a clear yes is a no. What is not an answer, such as a timeout, is never taken for one.
"""

import asyncio
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from django.db import connections, transaction

from ayb_realtime.conf import conf
from ayb_realtime.exceptions import RealtimeError, RoleNotGranted
from ayb_realtime.identity import ANONYMOUS_ROLE, AUTHENTICATED_ROLE, Identity
from ayb_realtime.records import Row
from ayb_realtime.tables import Table

logger = logging.getLogger(__name__)

Connection = psycopg.AsyncConnection[Any]
# Position of a change that the identity may see → the row as it may see it, or None for the row as it was logged.
Seen = Mapping[int, str | None]

# How a row reads as JSON: the settings of capture_v1(), since visible_v1() compares the text.
JSON_SETTINGS = {
    "timezone": "UTC",
    "datestyle": "ISO",
    "intervalstyle": "postgres",
    "bytea_output": "hex",
    "extra_float_digits": "1",
}
# A key is looked up by its index, so that a policy is not run on rows that nobody asked about, and may fail on.
PLAN_SETTINGS = {"enable_seqscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off"}
# After so many timeouts spent on finding the culprit, who is left gets no answer: it resumes, and is asked again.
PATIENCE = 5
# A name that the query uses is gone: a migration has renamed it since this snapshot, or a policy is broken.
UNDEFINED = {"42P01", "42703", "42704", "42883"}


class CatalogChanged(RealtimeError):
    """A table or column was renamed since the transaction's snapshot. Ask again in another one."""


async def prepare(connection: Connection) -> None:
    """Give the current transaction the settings under which rows are read and checked."""
    milliseconds = conf.check_timeout_seconds * 1000
    # A lock that a migration holds is told from a policy that is slow.
    timeouts = {"statement_timeout": f"{milliseconds:.0f}", "lock_timeout": f"{milliseconds / 2:.0f}"}
    await _set_local(connection, {**JSON_SETTINGS, **PLAN_SETTINGS, **timeouts})


async def check_roles(connection: Connection) -> None:
    """See whether this database user may act as the subscribers. Raises RoleNotGranted with what to run."""
    wanted = [AUTHENTICATED_ROLE, *([ANONYMOUS_ROLE] if conf.anonymous else [])]
    kind = "set" if connection.info.server_version >= 160000 else "member"
    cursor = await connection.execute(
        "select role, current_user from pg_catalog.unnest(%s::text[]) as role"
        " where pg_catalog.to_regrole(role) is null"
        " or not pg_catalog.pg_has_role(current_user::text, pg_catalog.to_regrole(role), %s)",
        [wanted, kind],
    )
    if missing := await cursor.fetchall():
        roles = ", ".join(role for role, _ in missing)
        user = missing[0][1]
        raise RoleNotGranted(
            f'The database user "{user}" may not act as {roles}, so that no row could be checked for anybody. Run this '
            f'as a superuser, or as the user that migrated: GRANT {roles} TO "{user}"'
            f"{' WITH SET TRUE, INHERIT FALSE' if kind == 'set' else ''};"
        )


async def may_select(connection: Connection, table: Table, identities: Sequence[Identity]) -> list[Identity]:
    """Return those identities whose role may read the key of a table, as far as row-level security lets it."""
    cursor = await connection.execute(
        "select r.rolname from pg_catalog.pg_roles r"
        " where r.rolname = any(%(roles)s) and not exists ("
        "   select from pg_catalog.unnest(%(keys)s::text[]) as key"
        "    where not pg_catalog.has_column_privilege(r.oid, %(relation)s::oid, key, 'select'))",
        {"roles": [i.role for i in identities], "keys": list(table.key_columns), "relation": table.relation},
    )
    roles = {role for (role,) in await cursor.fetchall()}
    return [identity for identity in identities if identity.role in roles]


async def check(
    connection: Connection,
    table: Table,
    rows: Mapping[int, Row],
    identities: Sequence[Identity],
    *,
    insist: bool = False,
) -> dict[Identity, Seen]:
    """Ask Postgres which of these rows each identity may see.

    connection: in a prepared, read-only transaction with one snapshot.
    rows: position of a create or update → the row as it was logged.
    insist: whether a name that is gone is the policy's fault.
    Returns for each identity the positions that it may see, with the row where it has changed since it was logged: an
    older one was perhaps never for that identity to see. An identity that is missing got no answer in time: its
    streams have to end, so that they resume.
    Raises CatalogChanged, if it does not insist, and psycopg.OperationalError if the connection is lost.
    """
    if table.row_security:
        asked = {identity: identity for identity in identities}
    else:
        # Without policies the role alone decides, so one identity of each role stands for all.
        by_role = {identity.role: identity for identity in identities}
        asked = {identity: by_role[identity.role] for identity in identities}
    question = Question(connection, table, insist)
    await question.ask(rows, list(dict.fromkeys(asked.values())))
    question.report()
    return {
        identity: question.seen.get(stand_in, {})
        for identity, stand_in in asked.items()
        if stand_in not in question.unanswered
    }


class Question:
    """One check, in parts where it fails as a whole: who or what is to blame is found by halving.

    seen: what each identity sees; one that is not in it sees nothing.
    unanswered: identities that got no answer in time.
    """

    def __init__(self, connection: Connection, table: Table, insist: bool) -> None:
        self.seen: dict[Identity, dict[int, str | None]] = {}
        self.unanswered: dict[Identity, str] = {}
        self._refused: dict[Identity, str] = {}
        self._connection = connection
        self._table = table
        self._insist = insist
        self._deadline = asyncio.get_running_loop().time() + PATIENCE * conf.check_timeout_seconds

    async def ask(self, rows: Mapping[int, Row], identities: Sequence[Identity]) -> None:
        """Ask for all at once, then for each half of what failed."""
        identities = [identity for identity in identities if identity not in self.unanswered]
        if not identities:
            return
        if asyncio.get_running_loop().time() > self._deadline:
            self.unanswered |= dict.fromkeys(identities, "out of time")
            return
        try:
            async with self._connection.transaction():
                failed = await self._ask(rows, identities)
        except psycopg.Error as error:
            if self._connection.closed:
                raise
            # To halve identities is of no use against a lock: that is on the table.
            if len(identities) == 1 == len(rows) or isinstance(error, psycopg.errors.LockNotAvailable):
                self.unanswered |= dict.fromkeys(identities, type(error).__name__)
            elif len(identities) > 1:
                await self.ask(rows, identities[: len(identities) // 2])
                await self.ask(rows, identities[len(identities) // 2 :])
            else:
                await self._ask_halves(rows, identities)
            return
        if failed and len(rows) > 1:
            # A policy that fails on one row says nothing of the others.
            await self._ask_halves(rows, failed)

    async def _ask_halves(self, rows: Mapping[int, Row], identities: Sequence[Identity]) -> None:
        positions = list(rows)
        for half in (positions[: len(positions) // 2], positions[len(positions) // 2 :]):
            await self.ask({position: rows[position] for position in half}, identities)

    async def _ask(self, rows: Mapping[int, Row], identities: Sequence[Identity]) -> list[Identity]:
        """Ask, take down what is seen, and return the identities for which the policies failed."""
        names = sorted({name for identity in identities for name, _ in identity.settings})
        values = [dict(identity.settings).get(name, "") for identity in identities for name in names]
        cursor = await self._connection.execute(
            "select identity, shown, records, error"
            "  from ayb_realtime.visible_v1(%s::oid::regclass, %s::json, %s::text[], %s::text[], %s::text[])",
            [self._table.relation, _keys(self._table, rows), [identity.role for identity in identities], names, values],
        )
        positions = list(rows)
        failed = []
        for ordinal, shown, records, error in await cursor.fetchall():
            identity = identities[ordinal - 1]
            if error in UNDEFINED and not self._insist:
                raise CatalogChanged
            if error:
                self._refused[identity] = error
                failed.append(identity)
            found = self.seen.setdefault(identity, {})
            found.update((positions[n], record) for n, record in zip(shown or (), records or (), strict=True))
        return failed

    def report(self) -> None:
        """Log who saw nothing of something for a failure, and who got no answer: how many, and the first reason."""
        if self._refused:
            logger.warning(
                "%s: the policies failed for %d identities, which are not sent those rows; the first with SQLSTATE %s",
                self._table.name, len(self._refused), next(iter(self._refused.values())),
            )  # fmt: skip
        if self.unanswered:
            logger.warning(
                "%s: Postgres did not say what %d identities may see (%s); their streams end and resume",
                self._table.name, len(self.unanswered), next(iter(self.unanswered.values())),
            )  # fmt: skip


def _keys(table: Table, rows: Mapping[int, Row]) -> str:
    """Write the JSON array that visible_v1 takes. The key's values are JSON text already, and are not to be parsed."""
    members = []
    for n, row in enumerate(rows.values()):
        key = "".join(f',"k{place}":{row.columns[name]}' for place, name in enumerate(table.key_columns, 1))
        members.append(f'{{"n":{n},"record":{json.dumps(row.text)}{key}}}')
    return f"[{','.join(members)}]"


async def _set_local(connection: Connection, settings: Mapping[str, str]) -> None:
    calls = ", ".join(["set_config(%s, %s, true)"] * len(settings))
    await connection.execute(f"select {calls}", [part for setting in settings.items() for part in setting])


@contextmanager
def as_identity(identity: Identity) -> Iterator[None]:
    """Run a block's queries, the ORM's too, as a subscriber: they find the rows that the stream would show.

    A transaction of its own, on the database of the streamed tables. What the block writes, it writes under the
    identity's privileges and policies. Raises RuntimeError inside another ``atomic`` block, where the role would
    outlast this one.
    """
    settings = {**dict(identity.settings), "role": identity.role}
    with transaction.atomic(conf.database, durable=True), connections[conf.database].cursor() as cursor:
        for name, value in settings.items():
            cursor.execute("select set_config(%s, %s, true)", [name, value])
        yield
        # The end of the transaction does this too, but in a Django TestCase the transaction is not the outermost.
        cursor.execute("select set_config('role', 'none', true)")
