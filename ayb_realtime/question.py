"""One check, put to Postgres in parts where it fails as a whole. Called by ``visibility`` alone."""

import asyncio
import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import psycopg

from ayb_realtime.conf import conf
from ayb_realtime.exceptions import RealtimeError
from ayb_realtime.identity import Identity
from ayb_realtime.records import Row
from ayb_realtime.tables import Table

logger = logging.getLogger(__name__)

Connection = psycopg.AsyncConnection[Any]
# Position of a change that the identity may see → the row as it may see it, or None for the row as it was logged.
Seen = Mapping[int, str | None]

# After so many timeouts spent on finding the culprit, who is left gets no answer: it resumes, and is asked again.
PATIENCE = 5
# A name that the query uses is gone: a migration has renamed it since this snapshot, or a policy is broken.
UNDEFINED = {"42P01", "42703", "42704", "42883"}


class CatalogChanged(RealtimeError):
    """A table or column was renamed since the transaction's snapshot. Ask again in another one."""


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
        positions = list(rows)
        failed = []
        for ordinal, shown, records, error in await self._answers(rows, identities):
            identity = identities[ordinal - 1]
            if error in UNDEFINED and not self._insist:
                raise CatalogChanged
            if error:
                self._refused[identity] = error
                failed.append(identity)
            found = self.seen.setdefault(identity, {})
            found.update((positions[n], record) for n, record in zip(shown or (), records or (), strict=True))
        return failed

    async def _answers(self, rows: Mapping[int, Row], identities: Sequence[Identity]) -> list[Any]:
        cursor = await self._connection.execute(
            "select identity, shown, records, error"
            "  from ayb_realtime.visible_v1(%s::oid::regclass, %s::json, %s::text[], %s::text[], %s::text[])",
            [self._table.relation, _keys(self._table, rows), *roles_and_settings(identities)],
        )
        return await cursor.fetchall()

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


def roles_and_settings(identities: Sequence[Identity]) -> tuple[list[str], list[str], list[str]]:
    """Return the roles, the names of the settings, and for each identity a value for each of the names."""
    names = sorted({name for identity in identities for name, _ in identity.settings})
    values = [dict(identity.settings).get(name, "") for identity in identities for name in names]
    return [identity.role for identity in identities], names, values


def _keys(table: Table, rows: Mapping[int, Row]) -> str:
    """Write the JSON array that visible_v1 takes. The key's values are JSON text already, and are not to be parsed."""
    members = []
    for n, row in enumerate(rows.values()):
        key = "".join(f',"k{place}":{row.columns[name]}' for place, name in enumerate(table.key_columns, 1))
        members.append(f'{{"n":{n},"record":{json.dumps(row.text)}{key}}}')
    return f"[{','.join(members)}]"
