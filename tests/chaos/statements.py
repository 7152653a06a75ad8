"""The writers' statements. Each gives the row a new token, and counts the row's version in the row itself.

So Postgres' row locks decide the order of the versions, and each row says which version it is.
"""

import random
import time
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import psycopg

from example_project.blog.demo import ACCOUNTS
from tests.chaos.history import ALL, TEAM, Membership, Write, split_text

Connection = psycopg.Connection[Any]

USERS = [account.id for account in ACCOUNTS]
# Each team with its members at the start. Those of the last team come and go.
TEAMS: dict[str, tuple[UUID, ...]] = {"chaos two": (USERS[0], USERS[1]), "chaos flips": (USERS[0],)}

INSERT_POST = (
    "insert into posts (author_id, title, body, published, created_at, updated_at)"
    " values (%s, %s || ' 1', %s, %s, now(), now()) returning id, title, published, author_id"
)
INSERT_POSTS = (
    "insert into posts (author_id, title, body, published, created_at, updated_at)"
    " select %s, %s || '.' || n || ' 1', '', %s, now(), now() from generate_series(1, %s) as n"
    " returning id, title, published, author_id"
)
UPDATE_POST = (
    "update posts set title = %s || ' ' || split_part(title, ' ', 2)::int + 1, body = %s, updated_at = now()"
    " where id = %s returning id, title, published, author_id"
)
FLIP_POST = (
    "update posts set title = %s || ' ' || split_part(title, ' ', 2)::int + 1, published = not published"
    " where id = %s returning id, title, published, author_id"
)
DELETE_POST = "delete from posts where id = %s returning id, title, published, author_id"
INSERT_COMMENT = (
    "insert into comments (author_id, team_id, body, created_at) values (%s, %s, %s || ' 1', now())"
    " returning id, body, team_id"
)
UPDATE_COMMENT = (
    "update comments set body = %s || ' ' || split_part(body, ' ', 2)::int + 1"
    " where id = %s returning id, body, team_id"
)
DELETE_COMMENT = "delete from comments where id = %s returning id, body, team_id"


def post_writes(connection: Connection, action: str, statement: str, *parameters: object) -> list[Write]:
    """Run a statement on posts; return a Write for each row."""
    at = time.monotonic()
    return [
        _write("posts", pk, action, title, ALL if published else str(author), at)
        for pk, title, published, author in connection.execute(statement.encode(), parameters).fetchall()
    ]


def comment_writes(connection: Connection, action: str, statement: str, *parameters: object) -> list[Write]:
    """Run a statement on comments; return a Write for each row."""
    at = time.monotonic()
    return [
        _write("comments", pk, action, body, f"{TEAM}{team}", at)
        for pk, body, team in connection.execute(statement.encode(), parameters).fetchall()
    ]


def _write(table: str, pk: int, action: str, text: str, audience: str, at: float) -> Write:
    token, version = split_text(text)
    if action == "delete":
        # A delete returns the last version. It counts as the next one, and carries no content.
        return Write(table, pk, version + 1, action, f"{token}/deleted", audience, at)
    return Write(table, pk, version, action, token, audience, at)


def flip_membership(connection: Connection, team: int, user: UUID) -> Membership:
    """Remove the user from the team, or add them to it."""
    taken = connection.execute("delete from memberships where team_id = %s and user_id = %s", [team, user]).rowcount
    if not taken:
        connection.execute("insert into memberships (team_id, user_id) values (%s, %s)", [team, user])
    return Membership(team, str(user), granted=not taken)


def body(chance: random.Random) -> str:
    """Return a body: mostly small, sometimes too large for a message of the Channels layer."""
    return "x" * (300_000 if chance.random() < 0.003 else chance.choice((0, 20, 2000)))


def prepare(connection: Connection) -> dict[str, int]:
    """Create the teams, and the table that records which transactions committed; return the teams' ids."""
    connection.execute("create table chaos_transaction (name text primary key)")
    made = {}
    for name, members in TEAMS.items():
        row = connection.execute("insert into teams (name) values (%s) returning id", [name]).fetchone()
        made[name] = int(row[0]) if row else 0
        for user in members:
            connection.execute("insert into memberships (team_id, user_id) values (%s, %s)", [made[name], user])
    connection.commit()
    return made


def initial_members(teams: dict[str, int]) -> Iterator[tuple[int, str]]:
    """Yield who is in which team at the start."""
    for name, members in TEAMS.items():
        for user in members:
            yield teams[name], str(user)
