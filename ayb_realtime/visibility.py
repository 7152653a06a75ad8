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
from ayb_realtime.identity import Identity
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
# After so many timeouts spent on halving, who is left is left without an answer: it resumes, and is asked again.
PATIENCE = 5


async def prepare(connection: Connection) -> None:
    """Give the current transaction the settings under which rows are read and checked."""
    milliseconds = round(conf.check_timeout_seconds * 1000)
    await _set_local(connection, {**JSON_SETTINGS, "statement_timeout": str(milliseconds)})


async def check(
    connection: Connection, table: Table, rows: Mapping[int, Row], identities: Sequence[Identity]
) -> dict[Identity, Seen]:
    """Ask Postgres which of these rows each identity may see.

    connection: in a prepared, read-only transaction with one snapshot.
    rows: position of a create or update → the row as it was logged.
    Returns for each identity the positions that it may see, with the row where it has changed since it was logged: an
    older one was perhaps never for that identity to see. An identity that is missing got no answer in time: its
    streams have to end, so that they resume.
    Raises psycopg.OperationalError if the connection is lost.
    """
    if table.row_security:
        asked = {identity: identity for identity in identities}
    else:
        # Without policies the role alone decides, so one identity of each role stands for all.
        by_role = {identity.role: identity for identity in identities}
        asked = {identity: by_role[identity.role] for identity in identities}
    deadline = asyncio.get_running_loop().time() + PATIENCE * conf.check_timeout_seconds
    seen = await _halving(connection, table, rows, list(dict.fromkeys(asked.values())), deadline)
    return {identity: seen[stand_in] for identity, stand_in in asked.items() if stand_in in seen}


async def _halving(
    connection: Connection,
    table: Table,
    rows: Mapping[int, Row],
    identities: Sequence[Identity],
    deadline: float,
) -> dict[Identity, Seen]:
    """Ask for all at once; where that gives no answer, for each half, until whoever is to blame stands alone."""
    try:
        async with connection.transaction():
            return await _ask(connection, table, rows, identities)
    except psycopg.Error as error:
        if connection.closed:
            raise
        out_of_time = asyncio.get_running_loop().time() > deadline
        if len(identities) == 1 or out_of_time:
            logger.warning(
                "%s: Postgres did not say what %d identities may see (%s); their streams end and resume",
                table.name, len(identities), type(error).__name__,
            )  # fmt: skip
            return {}
        half = len(identities) // 2
        return {
            **await _halving(connection, table, rows, identities[:half], deadline),
            **await _halving(connection, table, rows, identities[half:], deadline),
        }


async def _ask(
    connection: Connection, table: Table, rows: Mapping[int, Row], identities: Sequence[Identity]
) -> dict[Identity, Seen]:
    names = sorted({name for identity in identities for name, _ in identity.settings})
    values = [dict(identity.settings).get(name, "") for identity in identities for name in names]
    cursor = await connection.execute(
        "select identity, shown, records, error"
        "  from ayb_realtime.visible_v1(%s::oid::regclass, %s::json, %s::text[], %s::text[], %s::text[])",
        [table.relation, _keys(table, rows), [identity.role for identity in identities], names, values],
    )
    positions = list(rows)
    seen: dict[Identity, Seen] = {}
    errors: list[str] = []
    for ordinal, shown, records, error in await cursor.fetchall():
        seen[identities[ordinal - 1]] = {
            positions[n]: record for n, record in zip(shown or (), records or (), strict=True)
        }
        errors += [error] if error else []
    if errors:
        logger.warning(
            "%s: the policies failed for %d of %d identities, which are sent nothing; the first with SQLSTATE %s",
            table.name, len(errors), len(identities), errors[0],
        )  # fmt: skip
    return seen


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
