"""Why a subscriber sees a row or does not: each policy by itself, and what the stream sends. Part of ``explain``."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import psycopg
from psycopg import sql

from ayb_realtime import visibility
from ayb_realtime.conf import conf
from ayb_realtime.diagnostics import inspection
from ayb_realtime.diagnostics.explain_filter import filter_steps
from ayb_realtime.diagnostics.inspection import Policy
from ayb_realtime.diagnostics.step import Step
from ayb_realtime.exceptions import CannotExplain
from ayb_realtime.identity import Identity
from ayb_realtime.log.changes import Action, Change
from ayb_realtime.postgres import sessions
from ayb_realtime.postgres.tables import Table
from ayb_realtime.visibility import Connection
from ayb_realtime.wire.events import change_event
from ayb_realtime.wire.records import Row

NOTHING = sql.SQL("null")
ROW = "select {}::pg_catalog.text, (t.*)::pg_catalog.text from {} as t where {}"
KEY = "t.{} operator(pg_catalog.=) %s"


async def select_steps(
    connection: Connection, identity: Identity, table: Table, policies: Sequence[Policy], key: Sequence[str] | None
) -> AsyncIterator[Step]:
    """Yield the steps for one row; without a key, a step if Postgres refuses each SELECT of the subscriber.

    connection, policies, key: as for ``_row_steps``.
    """
    if key is not None:
        async for step in _row_steps(connection, identity, table, policies, key):
            yield step
        return
    try:
        async with visibility.acting_as(connection, identity):
            table_name = sql.Identifier(table.schema, table.name)
            await connection.execute(sql.SQL("select from {} limit 0").format(table_name).as_string(connection))
    except psycopg.Error as error:
        yield Step(False, f"Postgres refuses each SELECT of the subscriber: {_message(error)}.", "GRANT what it names.")


async def _row_steps(
    connection: Connection, identity: Identity, table: Table, policies: Sequence[Policy], key: Sequence[str]
) -> AsyncIterator[Step]:
    """Yield the steps for one row: whether it exists, which policies are true for it, and whether and how it is sent.

    connection: in a read-only transaction with a single snapshot. It is configured here as the hub's are.
    policies: those that apply. key: the text of each key column.
    Raises CannotExplain if the key does not fit the table.
    """
    await visibility.configure(connection)
    written = await row_expression(connection, table)
    name = f"Row ({', '.join(key)})"
    try:
        row = await read_row(connection, table, key, written)
    except psycopg.errors.InsufficientPrivilege as error:
        yield Step(None, f"{name} can only be looked for as the subscriber: {_message(error)}.")
        row = await _read_as(connection, identity, table, key, written)
        if row is None:
            refusal = await _refusal(connection, identity, table, key)
            yield Step(False, f"It is not visible to the subscriber, or not there: {refusal}")
            return
    if row is None:
        yield Step(False, f"{name} is not there. Only its delete can be sent.")
        return
    record, composite = row
    yield Step(True, f"{name} is there.")
    for policy in policies:
        answer = await _evaluate(connection, identity, table, policy, composite)
        yield Step(None, f"{policy.title} {answer} for it.")
    async for step in _verdicts(connection, identity, table, key, record):
        yield step


async def read_row(
    connection: Connection, table: Table, key: Sequence[str], written: sql.Composable
) -> tuple[str, str] | None:
    """Return the row as JSON and as a composite value. Raises InsufficientPrivilege if policies bind this user."""
    async with connection.transaction(force_rollback=True):
        # With "off", Postgres raises an error where a policy would hide the row.
        await connection.execute("select set_config('row_security', 'off', true)")
        try:
            return await _select(connection, table, key, written)
        except psycopg.DataError as error:
            raise CannotExplain(
                f"({', '.join(key)}) is no key of {table.name}: {error.diag.message_primary}"
            ) from error


async def _read_as(
    connection: Connection, identity: Identity, table: Table, key: Sequence[str], written: sql.Composable
) -> tuple[str, str] | None:
    """Return the row as the subscriber sees it; None if it does not, or if Postgres raises an error."""
    try:
        async with visibility.acting_as(connection, identity):
            return await _select(connection, table, key, written)
    except psycopg.Error:
        return None


async def row_expression(connection: Connection, table: Table) -> sql.SQL:
    """Return the SQL that writes a row ``t`` as capture does; before the first capture, as row_to_json() does."""
    query = "select coalesce(ayb_realtime.json_expression_v1(%s::pg_catalog.oid, 't'), 'pg_catalog.row_to_json(t.*)')"
    ((expression,),) = await sessions.fetch(connection, query, [table.relation])
    return sql.SQL(expression.replace("%", "%%"))


async def _select(
    connection: Connection, table: Table, key: Sequence[str], written: sql.Composable = NOTHING
) -> tuple[str, str] | None:
    if len(key) != len(table.key_columns):
        columns = ", ".join(table.key_columns)
        raise CannotExplain(f"The primary key of {table.name} is ({columns}): give a value for each, not {len(key)}.")
    condition = sql.SQL(" and ").join(sql.SQL(KEY).format(_escaped(name)) for name in table.key_columns)
    query = sql.SQL(ROW).format(written, _escaped(table.schema, table.name), condition)
    cursor = await connection.execute(query.as_string(connection), key)
    return await cursor.fetchone()


def _escaped(*names: str) -> sql.SQL:
    """Return a qualified name for a statement that has parameters."""
    return sql.SQL(sql.Identifier(*names).as_string(None).replace("%", "%%"))


async def _evaluate(connection: Connection, identity: Identity, table: Table, policy: Policy, composite: str) -> str:
    """Say what a policy's expression yields for a subscriber, computed on the row's value alone.

    Reading the row from the table would need it to be visible. A function call takes the table's place in the query,
    under the table's name and with its columns.
    """
    try:
        async with visibility.acting_as(connection, identity):
            cursor = await connection.execute(inspection.POLICY_TEXT, [table.relation, policy.name])
            (expression,) = await cursor.fetchone() or ("true",)
            query = sql.SQL("select ({}) from pg_catalog.unnest(array[%s::{}]) as {}").format(
                sql.SQL(expression.replace("%", "%%")), _escaped(table.schema, table.name), _escaped(table.name)
            )
            cursor = await connection.execute(query.as_string(connection), [composite])
            row: Any = await cursor.fetchone()
    except (psycopg.errors.UndefinedColumn, psycopg.errors.InsufficientPrivilege) as error:
        # System columns such as ctid exist in tables only; and a policy may name schemas that its readers may not use.
        return f"cannot be evaluated by itself ({_message(error)})"
    except psycopg.Error as error:
        return f"fails ({_message(error)})"
    return {True: "is true", False: "is false", None: "is null, which is not true,"}[row[0]]


async def _verdicts(
    connection: Connection, identity: Identity, table: Table, key: Sequence[str], record: str
) -> AsyncIterator[Step]:
    """Check as the hub does, and say what Postgres answers."""
    readers, _ = await visibility.may_select(connection, table, [identity])
    answers = await visibility.check(connection, table, {1: Row(record)}, readers, undefined_is_failure=True)
    if identity in answers.unanswered or identity in answers.locked_out:
        found = f"Postgres did not say within {conf.check_timeout_seconds:g} s whether it is visible: a reset is sent."
        yield Step(False, found, "Make the policies faster, by an index perhaps; or raise CHECK_TIMEOUT_SECONDS.")
    elif 1 in (visible := answers.visible_to(identity)):
        row = Row(visible[1] or record)
        event = change_event(Change(0, table.relation, Action.UPDATE, record), table, row)
        yield Step(
            True, f"It is visible, and an update of it is sent as: {event.decode().partition('data: ')[2].strip()}"
        )
        async for step in filter_steps(connection, identity, table, row):
            yield step
    else:
        refusal = await _refusal(connection, identity, table, key, answers.policy_errors.get(identity))
        yield Step(False, f"It is not visible to the subscriber: {refusal}")


async def _refusal(
    connection: Connection, identity: Identity, table: Table, key: Sequence[str], sqlstate: str | None = None
) -> str:
    """Say what Postgres answers to the subscriber's own SELECT of a row that the check did not show.

    sqlstate: the error with which the check failed, if it did.
    """
    try:
        async with visibility.acting_as(connection, identity):
            row = await _select(connection, table, key)
            cursor = await connection.execute("select current_user::pg_catalog.text")
            (role,) = await cursor.fetchone() or (None,)
    except psycopg.Error as error:
        return f"Postgres answers {_message(error)}"
    if role != identity.role:
        return f"a policy's function leaves the role {role} behind (SQLSTATE {sqlstate})."
    found = "a SELECT of it finds nothing" if row is None else "a SELECT of it finds it"
    return f"{found}, but the check failed with SQLSTATE {sqlstate}." if sqlstate else f"{found}."


def _message(error: psycopg.Error) -> str:
    """Say what Postgres answers: the SQLSTATE, its sentence, which names the object, and where it happened."""
    places = (error.diag.context or "").splitlines()
    where = f" ({places[0]})" if places else ""
    return f"SQLSTATE {error.sqlstate}: {error.diag.message_primary or error}{where}"
