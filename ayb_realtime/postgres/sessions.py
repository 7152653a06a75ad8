"""What our sessions in Postgres have set: nothing depends on what a role, a database or postgresql.conf says.

A relay sets what we rely on once for each of its connections, by ``settle``. A web process may share its server's
sessions with others, through a pooler in transaction mode, so there each transaction sets it: that of one statement by
``fetch``, a check's by ``visibility.transactions``.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, LiteralString
from weakref import WeakKeyDictionary

import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus

Connection = psycopg.AsyncConnection[Any]

# What each transaction of ours relies on, in Postgres' own units.
RELIED_ON = {
    "client_encoding": "UTF8",
    "default_transaction_deferrable": "off",
    "default_transaction_isolation": "read committed",
    "default_transaction_read_only": "off",
    # A position that is told has to be on disk.
    "synchronous_commit": "on",
    "statement_timeout": "0",
    "lock_timeout": "0",
    "transaction_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
    "exit_on_error": "off",
    "row_security": "on",
    # By its name in text a table is found to be renamed, and by a digest of its text the function that checks it.
    "quote_all_identifiers": "off",
    "jit": "off",
    # Before version 18, to do without sequential scans is so dear that small queries would start workers.
    "max_parallel_workers_per_gather": "0",
}
# What the text of our own statements means. Policies, which run in the transactions of checks, have the site's.
OWN_TEXT = {
    "search_path": "pg_catalog, pg_temp",
    "array_nulls": "on",
    "backslash_quote": "safe_encoding",
    "standard_conforming_strings": "on",
    "transform_null_equals": "off",
}
# Beside these, whatever the planner goes by has to be Postgres' default. Nothing is set yet, so that all is qualified.
PRESENT = """
select s.name, coalesce(w.value, s.boot_val), s.setting
  from pg_catalog.pg_settings s
  left join rows from (
       pg_catalog.unnest(%s::pg_catalog.text[]), pg_catalog.unnest(%s::pg_catalog.text[])) as w (name, value)
         on w.name operator(pg_catalog.=) s.name
 where w.name is not null
    or s.context operator(pg_catalog.=) 'user' and s.category operator(pg_catalog.~~) 'Query Tuning%%'
"""
READ = "begin isolation level repeatable read, read only"
WRITE = "begin isolation level read committed, read write"


@dataclass(frozen=True, slots=True)
class Session:
    """What was found set in a new session.

    wanted: all that we rely on and this server knows.
    differing: of RELIED_ON and the planner's settings, what has to be set.
    own_text: of OWN_TEXT, what has to be set.
    search_path: the site's, under which policies run.
    """

    wanted: Mapping[str, str]
    differing: Mapping[str, str]
    own_text: Mapping[str, str]
    search_path: str


_sessions: WeakKeyDictionary[Connection, Session] = WeakKeyDictionary()


async def of(connection: Connection) -> Session:
    """Return what the connection's session had set when it was first used. Raises psycopg.Error."""
    if connection not in _sessions:
        _sessions[connection] = await _look(connection)
    return _sessions[connection]


async def _look(connection: Connection) -> Session:
    known = {**RELIED_ON, **OWN_TEXT}
    rows = await (await connection.execute(PRESENT, [[*known], [*known.values()]])).fetchall()
    wrong = {name: wanted for name, wanted, present in rows if wanted != present}
    return Session(
        wanted={name: wanted for name, wanted, _ in rows},
        differing={name: wanted for name, wanted in wrong.items() if name not in OWN_TEXT},
        own_text={name: wanted for name, wanted in wrong.items() if name in OWN_TEXT},
        search_path=next(present for name, _, present in rows if name == "search_path"),
    )


async def settle(connection: Connection) -> None:
    """Set all that we rely on for as long as the session lasts, which has to be ours alone: a relay's."""
    await connection.execute(setting((await of(connection)).wanted, lasts=True))


async def rely(connection: Connection) -> None:
    """Set, in the current transaction, all that our own statements rely on."""
    await connection.execute(await _setting_for_ours(connection))


async def fetch(
    connection: Connection,
    query: LiteralString | bytes,
    parameters: Sequence[object] | Mapping[str, object] = (),
    *,
    begin: LiteralString = READ,
) -> list[Any]:
    """Run one statement of ours and return its rows: in a transaction of its own, in one message, unless one is open.

    begin: how that transaction begins. Raises psycopg.Error.
    """
    settings = (await _setting_for_ours(connection)).as_string(connection)
    if connection.info.transaction_status != TransactionStatus.IDLE:
        return await (await connection.execute(query, parameters or None)).fetchall()
    cursor = psycopg.AsyncClientCursor(connection)
    statement = cursor.mogrify(query, parameters or None)
    try:
        await cursor.execute(f"{begin}; {settings}; {statement}; commit".encode())
    except psycopg.Error:
        with suppress(psycopg.Error):  # What has happened is told by the first error.
            await connection.rollback()
        raise
    cursor.nextset()
    cursor.nextset()
    return await cursor.fetchall()


def setting(settings: Mapping[str, str], *, lasts: bool = False) -> sql.Composed:
    """Return a statement that sets these until the transaction ends, or for as long as the session lasts."""
    is_local = sql.Literal(not lasts)
    calls = [sql.SQL("pg_catalog.set_config({}, {}, {})").format(*each, is_local) for each in settings.items()]
    return sql.SQL("select {}").format(sql.SQL(", ").join(calls))


async def _setting_for_ours(connection: Connection) -> sql.Composed:
    session = await of(connection)
    return setting({**session.differing, **session.own_text})
