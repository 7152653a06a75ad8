"""The change log: number what has committed, read what was numbered. Only this module knows the log's SQL."""

from typing import Any

import psycopg

from ayb_realtime.changes import Change
from ayb_realtime.database import sql
from ayb_realtime.exceptions import PositionUnavailable

Connection = psycopg.AsyncConnection[Any]


async def group(connection: Connection) -> str:
    """Return the name of the Channels layer's group that hears of this log, and of no other."""
    row = await (await connection.execute(sql("group"))).fetchone()
    return str(row[0]) if row else ""


async def next_batch(connection: Connection) -> list[Change]:
    """Number what has committed since the last batch, and return it, in position order; nothing new: an empty list.

    connection: in autocommit mode.
    Raises psycopg.errors.UniqueViolation if another relay has just numbered: it is fenced, and must stop.
    """
    rows = await (await connection.execute(sql("next_batch"))).fetchall()
    return [Change(*row) for row in rows]


async def read(connection: Connection, *, after: int, upto: int) -> list[Change]:
    """Return the changes at the positions after ``after`` up to ``upto``, all of them.

    Raises PositionUnavailable if the log does not hold every one.
    """
    rows = await (await connection.execute(sql("read"), {"after": after, "upto": upto})).fetchall()
    if len(rows) != upto - after:
        raise PositionUnavailable(f"the log does not hold the changes after {after} up to {upto}")
    return [Change(*row) for row in rows]


async def head(connection: Connection) -> int:
    """Return the newest position, 0 while there is none."""
    row = await (await connection.execute(sql("head"))).fetchone()
    return int(row[0]) if row else 0
