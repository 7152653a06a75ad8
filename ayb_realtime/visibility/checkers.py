"""The functions that check a table for a role: which one it is, and making it. Called by ``visibility`` alone."""

import psycopg

from ayb_realtime import database, sessions
from ayb_realtime.conf import conf
from ayb_realtime.exceptions import RealtimeError
from ayb_realtime.tables import Table
from ayb_realtime.visibility import transactions
from ayb_realtime.visibility.transactions import Connection

MAKE = "select ayb_realtime.make_checker_v1(%s::oid, %s)"

# A table's oid, and a role.
Subject = tuple[int, str]


class CheckerNotMade(RealtimeError):
    """Postgres does not make the function that checks a table for a role, and says why."""


async def checker(connection: Connection, table: Table, role: str) -> str | None:
    """Return the name of the function that checks a table for a role, and make it if need be.

    None: the role may not read the table's key. Raises CheckerNotMade, and psycopg.Error, also where there is no such
    role.
    """
    subject = table.relation, role
    states = transactions.known(connection).states
    state = states.get(table.relation, {}).get(role)
    name: str | None
    name, exists = state[-2:] if state else await _look(connection, subject)
    if name is None or exists:
        return name
    # Others of this run that are missing, too: one connection makes them all.
    missing = [
        (relation, each)
        for relation, by_role in states.items()
        for each, (*_, its_name, is_made) in by_role.items()
        if its_name is not None and not is_made
    ]
    made = await _make([subject, *(each for each in missing if each != subject)])
    for (relation, each), its_name in made.items():
        if relation in states:
            states[relation][each] = (*states[relation][each][:-2], its_name, True)
    # A session hears of what others have made when it takes a lock that it does not hold.
    async with connection.transaction(force_rollback=True):
        await connection.execute("lock table ayb_realtime.epoch in access share mode")
    return made[subject]


async def _look(connection: Connection, subject: Subject) -> tuple[str | None, bool]:
    cursor = await connection.execute(
        "select c.name, pg_catalog.to_regproc('ayb_realtime.' || c.name) is not null"
        "  from ayb_realtime.checker_v1(%s::oid, %s) as c",
        subject,
    )
    return await cursor.fetchone() or (None, False)


async def _make(subjects: list[Subject]) -> dict[Subject, str | None]:
    """Make these, and return their names; those that cannot be made are left out, but the first has to be.

    In transactions of their own, for the run's is read-only; but a function is found as it is now, whatever the
    snapshot.
    """
    made: dict[Subject, str | None] = {}
    async with await database.connect(conf.database) as maker:
        for subject in subjects:
            try:
                ((made[subject],),) = await sessions.fetch(maker, MAKE, subject, begin=sessions.WRITE)
            except psycopg.OperationalError:  # Away, or in somebody's way.
                raise
            except psycopg.Error as error:
                if not made:
                    raise CheckerNotMade(str(error)) from error
    return made
