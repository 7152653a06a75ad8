"""Faults that users cause: a row whose policy does not end, a migration that redacts rows and then shows them."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import psycopg

from embedded import ServerError
from example_project.blog.demo import ACCOUNTS
from tests.chaos import statements
from tests.chaos.history import ALL, HISTORY, MAYBE
from tests.chaos.statements import post_writes
from tests.chaos.world import World
from tests.chaos.writers import History, Session

VICTIM = ACCOUNTS[2].id
# Of the streams that exist from the beginning: they reconnect within seconds wherever they are.
WATCHED = range(10)
ARRIVAL_SECONDS = 60.0
LATER_SECONDS = 1.0

BAD_POLICY = f"""
create or replace function chaos_never_ends() returns boolean language plpgsql
    as 'begin loop perform pg_sleep(1); end loop; end';
create policy chaos_bad on posts as restrictive for select using (
    case when body = 'bad' and nullif(current_setting('ayb.user_id', true), '')::uuid = '{VICTIM}'
         then chaos_never_ends() else true end)"""
DROP_BAD_POLICY = "drop policy if exists chaos_bad on posts"

MIGRATIONS = 5
SEALED = 10
UPDATES = 3
# Long enough for a check to take its snapshot and then wait for the table.
MIGRATION_SECONDS = 0.2
INSERT_SEALED = statements.INSERT_POSTS.replace("''", "'sealed'")
UPDATE_SEALED = (
    "update posts set title = %s || '.' || id || ' ' || split_part(title, ' ', 2)::int + 1 where body = 'sealed'"
    " returning id, title, published, author_id"
)
DELETE_SEALED = "delete from posts where body = 'sealed' returning id, title, published, author_id"
OPEN = "create policy chaos_open on posts for select using (body = 'sealed')"
CLOSE = "drop policy chaos_open on posts"


def write_bad_row(world: World) -> None:
    """Write a row whose policy does not end for one user. Everything after it must still arrive.

    Raises ServerError if something does not.
    """
    with _session(world, "bad") as session:
        _commit(session, lambda: session.connection.execute(BAD_POLICY.encode()))
        made = post_writes(session.connection, "create", statements.INSERT_POST, VICTIM, session.token(), "bad", False)
        session.writes += [replace(write, audience=f"{MAYBE}{VICTIM}") for write in made]
        session.commit()
        try:
            _await_later(world, session)
        finally:
            _commit(session, lambda: session.connection.execute(DROP_BAD_POLICY))
            session.writes += post_writes(session.connection, "delete", statements.DELETE_POST, made[0].pk)
            session.commit()


def _await_later(world: World, session: Session) -> None:
    """Write posts until each stream has one: a stream that is reset, as after a failover, is not sent those before."""
    until = time.monotonic() + ARRIVAL_SECONDS
    tokens: list[str] = []
    waiting = set(WATCHED)
    while waiting:
        if time.monotonic() > until:
            raise ServerError(f"behind a row whose policy does not end, these streams got nothing more: {waiting}")
        tokens.append(session.token())
        session.writes += post_writes(
            session.connection, "create", statements.INSERT_POST, ACCOUNTS[0].id, tokens[-1], "", True
        )
        session.commit()
        time.sleep(LATER_SECONDS)
        waiting = {n for n in waiting if not _has_one(world.folder / f"stream-{n}.jsonl", tokens)}


def _has_one(history: Path, tokens: list[str]) -> bool:
    text = history.read_text()
    return any(f'"{token}"' in text for token in tokens)


def migrate(world: World) -> None:
    """Change secret rows; then overwrite what is secret and open them to all, in one transaction."""
    with _session(world, "migration") as session:
        for _ in range(MIGRATIONS):
            session.writes += post_writes(
                session.connection, "create", INSERT_SEALED, VICTIM, session.token(), False, SEALED
            )
            session.commit()
            for _ in range(UPDATES):
                session.writes += post_writes(session.connection, "update", UPDATE_SEALED, session.token())
                session.commit()
            _commit(session, lambda: _redact_and_open(session))
            _commit(session, lambda: _delete_and_close(session))


def _redact_and_open(session: Session) -> None:
    redacted = post_writes(session.connection, "update", UPDATE_SEALED, session.token())
    session.writes += [replace(write, audience=ALL) for write in redacted]
    session.connection.execute(OPEN)
    time.sleep(MIGRATION_SECONDS)


def _delete_and_close(session: Session) -> None:
    session.writes += post_writes(session.connection, "delete", DELETE_SEALED)
    session.connection.execute(CLOSE)


def _commit(session: Session, work: Callable[[], object]) -> None:
    """Run this in a transaction; repeat it while a writer's lock prevents it."""
    while True:
        try:
            work()
            session.commit()
            return
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
            session.roll_back()


@contextmanager
def _session(world: World, name: str) -> Iterator[Session]:
    """Write and record the transaction, as the writers do."""
    number = next(world.numbers)
    with (
        closing(History(world.folder / HISTORY)) as history,
        closing(Session(world.database_url(), history, f"{name}{number}")) as session,
    ):
        yield session
