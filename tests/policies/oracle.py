"""The rows that an ordinary SELECT returns under a role and settings, to compare with what the hub sends."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg

from ayb_realtime.identity import Identity
from tests.policies.tables import IDENTITIES, UTC_COLUMNS
from tests.policies.world import Record, World, parse

Connection = psycopg.Connection[Any]

# As in the log.
SETTINGS = ("timezone", "UTC"), ("intervalstyle", "postgres"), ("bytea_output", "hex"), ("datestyle", "ISO")


@dataclass(frozen=True, slots=True)
class Shown:
    """The rows that an identity selects. is_certain: whether each of them must be sent."""

    rows: list[Record]
    is_certain: bool = True


def shown(connection: Connection, world: World, identity: Identity) -> Shown:
    """Return the rows that an identity selects, of the columns that it may select.

    If the SELECT fails, each row is selected by itself, and rows on which that fails are not visible.
    """
    columns = ", ".join(world.columns_of(identity.role))
    if not columns:
        return Shown([])
    query = f"select row_to_json(r)::text from (select {columns} from {world.table.name}"
    try:
        with acting(connection, identity):
            return Shown(_rows(connection, f"{query}) r"))
    except psycopg.Error:
        return _row_by_row(connection, world, identity, f"{query} where tableoid = $1 and ctid = $2) r")


def _row_by_row(connection: Connection, world: World, identity: Identity, query: str) -> Shown:
    """Select each row by its place, where no policy is asked about another row.

    Whether ``shown or id = current_setting('ayb.user_id')::int`` fails for a user without a number depends on whether
    the plan was made for them: to estimate, Postgres evaluates the setting. So rows that are shown by a plan that was
    made for another user may be sent, and may be withheld. So may those of a table with a numeric key: where that is
    compared, the policy comes first, for every row.
    """
    is_exact = "numeric" not in [kind for name, kind in world.table.columns if name in world.table.keys]
    places = connection.execute(f"select tableoid, ctid from {world.table.name}".encode()).fetchall()
    for planner in (identity, *(other for other in IDENTITIES if other.role == identity.role)):
        if _is_plannable(connection, planner, query):
            found = [row for place in places for row in _at(connection, identity, *place)]
            connection.execute("deallocate proof")
            return Shown(found, is_certain=is_exact and planner == identity)
    return Shown([])


def _is_plannable(connection: Connection, planner: Identity, query: str) -> bool:
    """Prepare the query with a plan that is made for one identity; return whether it can be made."""
    try:
        with acting(connection, planner):
            # Small tables would be searched.
            connection.execute("set local enable_seqscan = off")
            connection.execute("set local plan_cache_mode = force_generic_plan")
            connection.execute(f"prepare proof (oid, tid) as {query}".encode())
            connection.execute("explain execute proof (0, '(0,0)')")
    except psycopg.Error:
        connection.execute("deallocate all")
        return False
    return True


def _at(connection: Connection, identity: Identity, part: int, place: str) -> list[Record]:
    try:
        with acting(connection, identity):
            connection.execute("set local plan_cache_mode = force_generic_plan")
            return _rows(connection, f"execute proof ({part}, '{place}')")
    except psycopg.Error:
        return []


def _rows(connection: Connection, query: str) -> list[Record]:
    return [in_utc(parse(record)) for (record,) in connection.execute(query.encode()).fetchall()]


@contextmanager
def acting(connection: Connection, identity: Identity) -> Iterator[None]:
    """Act as an identity, for a transaction."""
    with connection.transaction(force_rollback=True):
        settings = (*SETTINGS, *identity.settings, ("role", identity.role))
        calls = ", ".join(["set_config(%s, %s, true)"] * len(settings))
        connection.execute(f"select {calls}".encode(), [part for setting in settings for part in setting])
        yield


def in_utc(record: Record) -> Record:
    """Write timestamps as in the protocol."""
    return tuple((name, _in_utc(value) if name in UTC_COLUMNS else value) for name, value in record)


def _in_utc(value: Any) -> Any:
    if isinstance(value, list):
        return [_in_utc(each) for each in value]
    return value.replace("+00:00", "Z") if isinstance(value, str) else value
