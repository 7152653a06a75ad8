"""The settings of our Postgres sessions. Nothing depends on what a role, a database or postgresql.conf sets.

The relay, and a hub that listens, set everything once per connection, with ``settle``. Other sessions of a web process
may be shared, through a pooler in transaction mode, so it sets everything in each transaction: ``fetch`` does so for a
single statement, ``visibility.transactions`` for a check.

Every statement is given to psycopg as str: what instruments it, such as OpenTelemetry, appends comments to that.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus

Connection = psycopg.AsyncConnection[Any]

# What each of our transactions relies on, in Postgres' own units.
RELIED_ON = {
    "client_encoding": "UTF8",
    "default_transaction_deferrable": "off",
    "default_transaction_isolation": "read committed",
    "default_transaction_read_only": "off",
    # A position must be on disk before any client is sent it.
    "synchronous_commit": "on",
    "statement_timeout": "0",
    "lock_timeout": "0",
    "transaction_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
    "exit_on_error": "off",
    "row_security": "on",
    # A renamed table is noticed by its name in text, and check functions are compared as text.
    "quote_all_identifiers": "off",
    "jit": "off",
    # Without sequential scans, PostgreSQL before 18 rates plans so costly that small queries would start workers.
    "max_parallel_workers_per_gather": "0",
}
# How the text of our own statements is read. Policies, which run in check transactions, keep the site's settings.
OWN_TEXT = {
    "search_path": "pg_catalog, pg_temp",
    "array_nulls": "on",
    "backslash_quote": "safe_encoding",
    "standard_conforming_strings": "on",
    "transform_null_equals": "off",
}
# All planner settings have to be Postgres' defaults, too. Nothing is set yet when this runs: every name is qualified.
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
# A single statement of ours. The log shows nothing in transactions of the other kind, in which policies run.
READ_ONCE = "begin isolation level read committed, read only"
WRITE = "begin isolation level read committed, read write"
# As the role that logs in: an assumed one may not end its sessions.
TERMINATE = "select pg_catalog.pg_terminate_backend(%s) from pg_catalog.set_config('role', 'none', true)"
CANCEL = "select pg_catalog.pg_cancel_backend(%s) from pg_catalog.set_config('role', 'none', true)"


@dataclass(frozen=True, slots=True)
class Session:
    """What a new session had set.

    wanted: every setting that we rely on and that this server knows.
    differing: the part of RELIED_ON and of the planner's settings that has to be set.
    own_text: the part of OWN_TEXT that has to be set.
    search_path: the site's search path, under which policies run.

    The role that the site assumes is among what was wanted and differs. pg_settings does not list it.
    """

    wanted: Mapping[str, str]
    differing: Mapping[str, str]
    own_text: Mapping[str, str]
    search_path: str


_sessions: WeakKeyDictionary[Connection, Session] = WeakKeyDictionary()
# Of each connection whose site assumes a role.
_assumed: WeakKeyDictionary[Connection, str] = WeakKeyDictionary()
# What ``setting`` returned: to quote each value takes longer than Postgres takes to set it.
_texts: WeakKeyDictionary[Connection, dict[tuple[object, ...], str]] = WeakKeyDictionary()
_settled: WeakSet[Connection] = WeakSet()


def assume(connection: Connection, role: str | None) -> None:
    """Act as a role in all that the connection does from here on; None: as the one that logs in."""
    if role:
        _assumed[connection] = role


def begin(connection: Connection) -> str:
    """Return statements that begin a transaction under the assumed role, and take no snapshot. Each ends in ``;``."""
    role = _assumed.get(connection)
    assume_role = sql.SQL("set local role {}; ").format(sql.Identifier(role)).as_string(connection) if role else ""
    return f"{READ}; {assume_role}"


def own_role(connection: Connection) -> str:
    """Return a statement that acts as the assumed role again, or else as the one that logs in."""
    role = _assumed.get(connection)
    return sql.SQL("set local role {}").format(sql.Identifier(role) if role else sql.SQL("none")).as_string(connection)


async def of(connection: Connection) -> Session:
    """Return what the connection's session had set when it was first used. Raises psycopg.Error."""
    if connection not in _sessions:
        _sessions[connection] = await _look(connection)
    return _sessions[connection]


async def _look(connection: Connection) -> Session:
    known = {**RELIED_ON, **OWN_TEXT}
    rows = await (await connection.execute(PRESENT, [[*known], [*known.values()]])).fetchall()
    wrong = {name: wanted for name, wanted, present in rows if wanted != present}
    role = {"role": _assumed[connection]} if connection in _assumed else {}
    return Session(
        wanted={name: wanted for name, wanted, _ in rows} | role,
        differing={name: wanted for name, wanted in wrong.items() if name not in OWN_TEXT} | role,
        own_text={name: wanted for name, wanted in wrong.items() if name in OWN_TEXT},
        search_path=next(present for name, _, present in rows if name == "search_path"),
    )


async def settle(connection: Connection) -> None:
    """Set everything that we rely on for the whole session. It must be ours alone: a relay's, or one that listens."""
    await connection.execute(setting(connection, (await of(connection)).wanted, lasts=True))
    _settled.add(connection)


async def rely(connection: Connection) -> None:
    """Set everything that our own statements rely on, until the current transaction ends."""
    await connection.execute(await _setting_for_ours(connection))


async def fetch(
    connection: Connection,
    query: str,
    parameters: Sequence[object] | Mapping[str, object] = (),
    *,
    begin: str = READ_ONCE,
) -> list[Any]:
    """Run one statement and return its rows. Unless a transaction is open, it gets its own, in a single message.

    A settled connection, whose plans may be kept, runs the statement as it is.
    begin: the statement that begins the transaction. Raises psycopg.Error.
    """
    settings = await _setting_for_ours(connection)
    if connection in _settled or connection.info.transaction_status != TransactionStatus.IDLE:
        return await (await connection.execute(query, parameters or None)).fetchall()
    cursor = psycopg.AsyncClientCursor(connection)
    statement = cursor.mogrify(query, parameters or None)
    try:
        await cursor.execute(f"{begin}; {settings}; {statement}; commit")
    except psycopg.Error:
        with suppress(psycopg.Error):  # The first error says what happened.
            await connection.rollback()
        raise
    cursor.nextset()
    cursor.nextset()
    return await cursor.fetchall()


def setting(connection: Connection, settings: Mapping[str, str], *, lasts: bool = False) -> str:
    """Return a statement that sets these until the transaction ends, or until the session does."""
    texts = _texts.setdefault(connection, {})
    key = lasts, *settings.items()
    if key not in texts:
        is_local = sql.Literal(not lasts)
        calls = [sql.SQL("pg_catalog.set_config({}, {}, {})").format(*each, is_local) for each in settings.items()]
        texts[key] = sql.SQL("select {}").format(sql.SQL(", ").join(calls)).as_string(connection)
    return texts[key]


async def _setting_for_ours(connection: Connection) -> str:
    session = await of(connection)
    return setting(connection, {**session.differing, **session.own_text})
