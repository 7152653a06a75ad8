"""A PostgreSQL and a Valkey for one run, with the tables that are written to, users, and their tokens.

bench_open     without row-level security
bench_members  a row is for the members of its team, which all users are
bench_owners   a row is for its owner only
bench_plain    not captured
"""

import os
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import jwt
import psycopg

from benchmarks.events import BODY, Event
from benchmarks.parties import CHECKOUT, folder, postgres_binaries
from embedded import Child, ServerError
from example_project.settings import SECRET_KEY
from tests.services import start_services

USERS = 5000
TABLES = ("bench_open", "bench_members", "bench_owners", "bench_plain")
TOKEN_SECONDS = 3600

_TABLE = "create table {} (id bigint generated always as identity primary key, owner_id uuid, stamp text, body text)"
_USERS = """
insert into users (id, password, email, is_active, date_joined, updated_at)
select lpad(to_hex(n), 32, '0')::uuid, '', 'user' || n || '@example.com', true, now(), now()
  from generate_series(1, %s) n"""
_SCHEMA = """
create table bench_membership (user_id uuid primary key);
insert into bench_membership select id from users;
grant select on bench_membership to ayb_authenticated;
create policy members on bench_members for select using (exists (
    select from bench_membership m where m.user_id = current_setting('ayb.user_id')::uuid));
alter table bench_members enable row level security;
create policy owners on bench_owners for select using (owner_id = current_setting('ayb.user_id')::uuid);
alter table bench_owners enable row level security;
select ayb_realtime.enable_v1('bench_open');
select ayb_realtime.enable_v1('bench_members');
select ayb_realtime.enable_v1('bench_owners');
analyze
"""


@dataclass(frozen=True, slots=True)
class Database:
    """A migrated database, the connection that writes to it, and the environment variables that name it to servers."""

    environment: dict[str, str]
    writer: psycopg.Connection[Any]

    @property
    def url(self) -> str:
        """Return its URL."""
        return self.environment["DATABASE_URL"]

    def write(self, table: str, events: Sequence[Event], owners: int = 0) -> None:
        """Insert the events' rows in one transaction. owners: the number of users that own the rows in turn."""
        rows = [(user_id(event.n % owners) if owners else None, event.stamp, BODY) for event in events]
        with self.writer.transaction(), self.writer.cursor() as cursor:
            statement = f"insert into {table} (owner_id, stamp, body) values (%s, %s, %s)"  # noqa: S608
            cursor.executemany(statement.encode(), rows)


@contextmanager
def database(fsync: str = "off") -> Iterator[Database]:
    """Start PostgreSQL and Valkey, migrate, and create the tables and users. fsync: ``on`` or ``off``."""
    with ExitStack() as stack:
        environment = {**os.environ, "DATABASE_URL": "", "REDIS_URL": "", "DEBUG": "0"}
        environment |= {"DJANGO_SETTINGS_MODULE": "benchmarks.sites.settings", "TEST_DATABASE_ROLE": ""}
        start_services(stack, environment, postgres_binaries(), None, fsync)
        log = stack.enter_context(folder()) / "migrate.log"
        migrate = Child.start([sys.executable, "manage.py", "migrate"], log=log, env=environment, cwd=CHECKOUT)
        if migrate.process.wait(120) != 0:
            raise ServerError(f"the database could not be migrated.{migrate.log_tail()}")
        writer = stack.enter_context(psycopg.connect(environment["DATABASE_URL"], autocommit=True))
        writer.execute(_USERS.encode(), [USERS])
        for statement in [*(_TABLE.format(name) for name in TABLES), *_SCHEMA.split(";\n")]:
            writer.execute(statement.encode())
        yield Database(environment, writer)


def user_id(n: int) -> uuid.UUID:
    """Return the id of the n-th user."""
    return uuid.UUID(int=n + 1)


def token(n: int) -> str:
    """Return an access token of the n-th user, as simplejwt would issue it."""
    claims = {"token_type": "access", "jti": uuid.UUID(int=n).hex, "user_id": str(user_id(n))}
    return jwt.encode({**claims, "exp": int(time.time()) + TOKEN_SECONDS}, SECRET_KEY, algorithm="HS256")
