"""The shapes of the writers' transactions: short and long, rolled back, with savepoints, with many writes to a row."""

import random
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import psycopg

from tests.chaos import statements
from tests.chaos.history import Write
from tests.chaos.statements import USERS, comment_writes, post_writes

if TYPE_CHECKING:
    from tests.chaos.writers import Session

KEPT_ROWS = 120
BULK = 40


class Rows:
    """Rows that may still exist, which all writers use, so that they meet each other's locks."""

    def __init__(self, teams: dict[str, int]) -> None:
        self.teams = list(teams.values())
        self.flipping_team = teams["chaos flips"]
        self._lock = threading.Lock()
        self._keys: dict[str, list[int]] = {"posts": [], "comments": []}
        # Only these posts are published and withdrawn again; the others stay as they were created.
        self._flipping: set[int] = set()

    def add(self, writes: list[Write], *, flipping: bool = False) -> None:
        """Offer committed rows."""
        with self._lock:
            for write in writes:
                self._keys[write.table].append(write.pk)
                if flipping:
                    self._flipping.add(write.pk)

    def pick(self, table: str, chance: random.Random) -> int:
        """Return a row's key; 0 if there is none."""
        with self._lock:
            return chance.choice(self._keys[table]) if self._keys[table] else 0

    def pick_to_delete(self, table: str, chance: random.Random) -> int:
        """Return a row's key, and no longer offer it; 0 while there are few."""
        with self._lock:
            keys = self._keys[table]
            return keys.pop(chance.randrange(len(keys))) if len(keys) > KEPT_ROWS // 2 else 0

    def is_flipping(self, pk: int) -> bool:
        """Tell whether this post may be published and withdrawn."""
        return pk in self._flipping

    def are_many(self, table: str) -> bool:
        """Tell whether it is time for deletes rather than inserts."""
        return len(self._keys[table]) > KEPT_ROWS


Shape = Callable[["Session", Rows, random.Random, threading.Event], int]


def _one(session: "Session", rows: Rows, chance: random.Random) -> None:
    """Write one row: insert, update or delete a post or a comment."""
    table = "posts" if chance.random() < 0.7 else "comments"
    draw = chance.random()
    if draw < 0.25 and not rows.are_many(table):
        _insert(session, rows, chance, table)
    elif draw < 0.35:
        if pk := rows.pick_to_delete(table, chance):
            session.writes += _delete(session, table, pk)
    elif pk := rows.pick(table, chance):
        session.writes += _update(session, rows, chance, table, pk)
    else:
        _insert(session, rows, chance, table)


def _insert(session: "Session", rows: Rows, chance: random.Random, table: str) -> None:
    author, connection = chance.choice(USERS), session.connection
    if table == "comments":
        made = comment_writes(
            connection, "create", statements.INSERT_COMMENT, author, chance.choice(rows.teams), session.token()
        )
    else:
        text, published = statements.body(chance), chance.random() < 0.6
        made = post_writes(connection, "create", statements.INSERT_POST, author, session.token(), text, published)
    session.writes += made
    # Offered before the commit: if that fails, a writer finds no row, which does no harm.
    rows.add(made, flipping=table == "posts" and chance.random() < 0.3)


def _update(session: "Session", rows: Rows, chance: random.Random, table: str, pk: int) -> list[Write]:
    if table == "comments":
        return comment_writes(session.connection, "update", statements.UPDATE_COMMENT, session.token(), pk)
    if rows.is_flipping(pk) and chance.random() < 0.5:
        return post_writes(session.connection, "update", statements.FLIP_POST, session.token(), pk)
    text = statements.body(chance)
    return post_writes(session.connection, "update", statements.UPDATE_POST, session.token(), text, pk)


def _delete(session: "Session", table: str, pk: int) -> list[Write]:
    if table == "comments":
        return comment_writes(session.connection, "delete", statements.DELETE_COMMENT, pk)
    return post_writes(session.connection, "delete", statements.DELETE_POST, pk)


def short(session: "Session", rows: Rows, chance: random.Random, _: threading.Event) -> int:
    """Write one to three rows."""
    for _number in range(chance.choice((1, 1, 1, 2, 3))):
        _one(session, rows, chance)
    return _commit(session)


def _commit(session: "Session") -> int:
    written = len(session.writes)
    session.commit()
    return written


def same_row(session: "Session", rows: Rows, chance: random.Random, _: threading.Event) -> int:
    """Write one row several times; in the end perhaps delete it."""
    table = chance.choice(("posts", "comments"))
    if chance.random() < 0.4:
        _insert(session, rows, chance, table)
        pk = session.writes[-1].pk
    else:
        pk = rows.pick(table, chance)
    for _number in range(chance.randint(2, 4)):
        session.writes += _update(session, rows, chance, table, pk)
    if chance.random() < 0.3:
        session.writes += _delete(session, table, pk)
    return _commit(session)


def rolled_back(session: "Session", rows: Rows, chance: random.Random, _: threading.Event) -> int:
    """Write, and roll back."""
    for _number in range(2):
        _one(session, rows, chance)
    written = len(session.writes)
    session.roll_back()
    return written


def savepoints(session: "Session", rows: Rows, chance: random.Random, _: threading.Event) -> int:
    """Write before, inside and after a savepoint that is rolled back, and inside one that is kept."""
    session.connection.execute("select")  # Begins the transaction, even if there is nothing to write.
    _one(session, rows, chance)
    kept = list(session.writes)
    with session.connection.transaction() as savepoint:
        _one(session, rows, chance)
        raise psycopg.Rollback(savepoint)
    session.writes = kept
    with session.connection.transaction():
        _one(session, rows, chance)
    return _commit(session)


def long(session: "Session", rows: Rows, chance: random.Random, stop: threading.Event) -> int:
    """Stay open for seconds between two writes: transactions that began later commit first."""
    _insert(session, rows, chance, "posts")
    stop.wait(chance.uniform(1, 3))
    _one(session, rows, chance)
    return _commit(session)


def bulk(session: "Session", rows: Rows, chance: random.Random, _: threading.Event) -> int:
    """Insert many rows in one statement."""
    made = post_writes(
        session.connection, "create", statements.INSERT_POSTS, chance.choice(USERS), session.token(), True, BULK
    )
    session.writes += made
    rows.add(made)
    return _commit(session)


def membership(session: "Session", rows: Rows, chance: random.Random, _: threading.Event) -> int:
    """Add a user to the team whose members change, or remove one."""
    # One at a time, so that the order of the records is that of the commits.
    session.connection.execute("select from teams where id = %s for no key update", [rows.flipping_team])
    session.memberships.append(
        statements.flip_membership(session.connection, rows.flipping_team, chance.choice(USERS[1:]))
    )
    return _commit(session)


SHAPES: dict[Shape, int] = {
    short: 800, same_row: 80, rolled_back: 50, savepoints: 50, long: 8, bulk: 2, membership: 3,
}  # fmt: skip


def choose(chance: random.Random) -> Shape:
    """Draw a shape; frequent ones more often."""
    return chance.choices(list(SHAPES), weights=list(SHAPES.values()))[0]
