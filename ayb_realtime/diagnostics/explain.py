"""Why an event does or does not reach a subscriber, step by step. Called by ``realtime_explain``.

Everything is read in one read-only transaction with a single snapshot, and visibility is checked exactly as the hub
checks it. The answers are for operators: they contain rows, and Postgres' own messages.
"""

from collections.abc import AsyncIterator, Sequence

import psycopg
from django.contrib.auth.base_user import AbstractBaseUser
from rest_framework_simplejwt.settings import api_settings

from ayb_realtime import visibility
from ayb_realtime.conf import conf
from ayb_realtime.diagnostics import inspection
from ayb_realtime.diagnostics.explain_filter import with_filters
from ayb_realtime.diagnostics.explain_row import select_steps
from ayb_realtime.diagnostics.inspection import Policy, TableState
from ayb_realtime.diagnostics.step import Step
from ayb_realtime.exceptions import CannotExplain, RoleRefused, UnknownTable
from ayb_realtime.identity import Identity
from ayb_realtime.postgres import database, sessions, tables
from ayb_realtime.relay import leadership
from ayb_realtime.visibility import Connection

__all__ = ["Step", "explain", "user_step"]

OTHERS = {"v": "a view", "m": "a materialized view", "f": "a foreign table"}


def user_step(user: AbstractBaseUser | None) -> Step:
    """Say whether a request by this user is accepted; None stands for an anonymous request."""
    if user is None:
        if conf.anonymous:
            return Step(True, "Anonymous streams are on.")
        hint = 'AYB_REALTIME = {"ANONYMOUS": True}'
        return Step(False, "Anonymous streams are off: a request without a token is answered with 401.", hint)
    if not api_settings.USER_AUTHENTICATION_RULE(user):
        return Step(False, f"{user} is not active: their token is answered with 401.", "Set is_active.")
    return Step(True, f"{user} is an active user.")


async def explain(
    identity: Identity, name: str, key: Sequence[str] | None, filters: Sequence[str] = ()
) -> AsyncIterator[Step]:
    """Yield the steps of a change, from the table's trigger to a subscriber with this identity.

    name: the table's name, as clients write it.
    key: the text of each key column, to explain one row; None to explain the table in general.
    filters: the ``filter`` parameters of the request.
    Stops after a step whose failure makes the later ones meaningless. Raises CannotExplain if there is no such table or
    key.
    """
    try:
        connection = await database.connect(conf.database)
    except psycopg.OperationalError as error:
        yield Step(False, f"The database {conf.database!r} does not answer: {error}", "Look at DATABASES.")
        return
    async with connection:
        await connection.set_read_only(True)
        await connection.set_isolation_level(psycopg.IsolationLevel.REPEATABLE_READ)
        async with connection.transaction():
            await sessions.rely(connection)
            async for step in _explain(connection, identity, name, key, filters):
                yield step


async def _explain(
    connection: Connection, identity: Identity, name: str, key: Sequence[str] | None, filters: Sequence[str]
) -> AsyncIterator[Step]:
    if await (await connection.execute(inspection.IS_MIGRATED)).fetchone() != (True,):
        yield Step(False, "The schema ayb_realtime is not there.", "manage.py migrate")
        return
    yield Step(True, f"The database {conf.database!r} answers, and is migrated.")
    state = await _find(connection, identity, name)
    if state.kind in OTHERS:
        found = f"{state.full_name} is {OTHERS[state.kind]}: it has no changes of its own."
        yield Step(False, found, "Enable realtime for the tables behind it.")
        return
    for step in (*trigger_steps(state), await _relay(connection)):
        yield step
    yield Step(None, f"The subscriber's role is {identity.role}, with {_settings(identity)}.")
    acts = await _acts(connection, identity)
    for step in (acts, *privilege_steps(state, identity.role)):
        yield step
    if not acts.holds:
        return
    policies = await _policies(connection, identity, state) if await _is_bound(connection, identity, state) else None
    for step in policy_steps(state, identity.role, policies):
        yield step
    table = next((each for each in await tables.streamed(connection) if each.relation == state.relation), None)
    if table and table.key_columns and (key is not None or not state.lacking(identity.role)):
        if filters:
            identity, step = await with_filters(connection, identity, table, name, filters)
            yield step
        async for step in select_steps(connection, identity, table, policies or [], key):
            yield step


async def _find(connection: Connection, identity: Identity, name: str) -> TableState:
    """Return the state of the table with this name: the one that clients get, or else one that is not streamed."""
    try:
        (table,) = tables.named(await tables.streamed(connection), [name])
        relations = [table.relation]
    except UnknownTable:
        relations = [oid for (oid,) in await (await connection.execute(inspection.FIND, [name])).fetchall()]
    parameters = {"role": identity.role, "relations": relations}
    rows = await (await connection.execute(inspection.TABLE_STATES, parameters)).fetchall()
    states = [TableState(*row) for row in rows]
    for state in states:
        if state.relation in relations:
            return state
    names = ", ".join(sorted({state.name for state in states if state.trigger == "enabled"})) or "none"
    raise CannotExplain(f"There is no table {name!r}. Streamed are: {names}.")


def trigger_steps(state: TableState) -> list[Step]:
    """Say whether the table's changes are logged, and whether its rows have a key."""
    hints = {
        "missing": "In a migration: EnableRealtime. If there is one: manage.py check --database default",
        "damaged": "manage.py check --database default says how to make it again.",
    }
    enable = f'ALTER TABLE {state.full_name} ENABLE ALWAYS TRIGGER "!ayb_realtime";'
    if state.trigger == "enabled":
        logged = Step(True, f"{state.full_name} is streamed: its trigger is enabled.")
    else:
        found = f"{state.full_name} is not streamed: its trigger is {state.trigger}."
        logged = Step(False, found, hints.get(state.trigger, enable))
    if state.key_columns:
        return [logged, Step(True, f"Its primary key is ({', '.join(state.key_columns)}).")]
    return [logged, Step(False, "It has no primary key.", f"ALTER TABLE {state.full_name} ADD PRIMARY KEY (…);")]


async def _relay(connection: Connection) -> Step:
    status = await leadership.status(connection)
    log = f"The log's newest position is {status.head}; {status.waiting} changes wait for theirs."
    if status.leader is None:
        return Step(False, f"No relay leads. {log}", "manage.py runrealtime")
    if not status.has_leader:
        hint = "Its process or host has stopped. A standby takes over: manage.py runrealtime"
        return Step(False, f"The relay was last seen {status.unseen_seconds:.1f} s ago. {log}", hint)
    return Step(True, f"A relay leads, seen {status.unseen_seconds:.1f} s ago. {log}")


def _settings(identity: Identity) -> str:
    return ", ".join(f"{name} = '{value}'" for name, value in identity.settings) or "no settings"


async def _acts(connection: Connection, identity: Identity) -> Step:
    try:
        async with await database.connect(conf.hub_primary()) as hub:
            await visibility.check_role(hub, identity.role)
            user = hub.info.user
        async with visibility.acting_as(connection, identity):
            pass
    except (RoleRefused, psycopg.Error) as error:
        return Step(False, str(error))
    return Step(True, f'The database user "{user}", which the hub has, may act as that role.')


def privilege_steps(state: TableState, role: str) -> list[Step]:
    """Say what the role has the privilege to read, apart from row-level security."""
    if lacking := state.lacking(role):
        return [Step(False, f"{role} may not {what}, so it is sent no rows.", grant) for what, grant in lacking]
    hidden = ", ".join(inspection.quoted(name) for name in state.hidden_columns)
    columns = f"every column but {hidden}, which it is not sent" if hidden else "every column"
    return [Step(True, f"{role} may use the schema {inspection.quoted(state.schema)}, and SELECT {columns}.")]


async def _is_bound(connection: Connection, identity: Identity, state: TableState) -> bool:
    async with visibility.acting_as(connection, identity):
        cursor = await connection.execute("select pg_catalog.row_security_active(%s::oid)", [state.relation])
        return (await cursor.fetchone()) == (True,)


async def _policies(connection: Connection, identity: Identity, state: TableState) -> list[Policy]:
    """Return the policies that apply to a subscriber, with expressions that name everything by its schema."""
    parameters = {"role": identity.role, "relations": [state.relation]}
    async with connection.transaction(force_rollback=True):
        await connection.execute("select set_config('search_path', '', true)")
        rows = await (await connection.execute(inspection.POLICIES, parameters)).fetchall()
    return [policy for policy in (Policy(*row) for row in rows) if policy.applies]


def policy_steps(state: TableState, role: str, policies: Sequence[Policy] | None) -> list[Step]:
    """Say what row-level security requires of a row. policies: those that apply; None if none binds the role."""
    if not state.row_security:
        return [Step(None, f"Row-level security is off: a role that may SELECT from {state.full_name} sees every row.")]
    if policies is None:
        found = f"Row-level security is on, but does not bind {role}: a superuser, one with BYPASSRLS, or an owner."
        return [Step(None, found, "manage.py check --database default")]
    shown = [Step(None, f"{policy.title}: USING ({' '.join(policy.using.split())})") for policy in policies]
    forced = "on and forced" if state.forced else "on"
    if not any(policy.permissive for policy in policies):
        found = (
            f"Row-level security is {forced}, and no permissive policy for SELECT applies to {role}: it sees no row."
        )
        return [Step(False, found, f"CREATE POLICY … ON {state.full_name} FOR SELECT TO {role} USING (…);"), *shown]
    found = f"Row-level security is {forced}: one permissive policy has to be true of a row, and each restrictive one."
    return [Step(True, found), *shown]
