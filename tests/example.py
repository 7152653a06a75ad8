"""The example project as a user runs it: its own database, and a server to start, stop, kill and restart."""

import os
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx
import psycopg
from psycopg import sql

import example_project
from embedded import Child, free_port
from example_project.blog.demo import ACCOUNTS, PASSWORD, Account
from tests.services import IS_LEAST, LOGINS

MANAGE = Path(example_project.__file__).parent.parent / "manage.py"
AUTHOR, COLLEAGUE, STRANGER = ACCOUNTS  # the first two are in the team


class Example:
    """The example project on its own database, served by one process at ``address`` while that runs."""

    def __init__(self, database_url: str, folder: Path, **environment: str) -> None:
        """``environment``: variables besides DATABASE_URL; without REDIS_URL, there is no layer."""
        self.database_url = database_url
        self.folder = folder
        urls = {"DATABASE_URL": database_url}
        for process, login in LOGINS.items() if IS_LEAST else ():
            urls[f"{process.upper()}_DATABASE_URL"] = _as_login(database_url, login)
        self.environment = {**os.environ, "REDIS_URL": "", **environment, **urls}
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self.server: Child | None = None

    def prepare(self) -> None:
        """Migrate and seed the database, and grant the logins of the hub and the relay what they need."""
        for command in ("migrate", "seed", *(["realtime_roles"] if IS_LEAST else [])):
            child = self.run(str(MANAGE), command)
            assert child.process.wait(120) == 0, child.log_tail()

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        self.server = self.run(str(MANAGE), "runrealtime", "--serve", f"127.0.0.1:{self.port}")
        self.server.wait_until(lambda: answers(self.address))

    def stop(self) -> int:
        """Stop the server as Ctrl-C would, and return its exit code."""
        return self.server.stop() if self.server else 0

    def kill(self) -> None:
        """End the server as a power failure would."""
        if self.server:
            self.server.process.kill()
            self.server.process.wait()

    def run(self, *arguments: str) -> Child:
        """Start Python with these arguments, as a process with its own log file."""
        log = self.folder / f"{uuid.uuid4().hex}.log"
        return Child.start([sys.executable, *arguments], log=log, env=self.environment, cwd=MANAGE.parent)

    def log(self) -> str:
        """Return what every process so far has logged."""
        return "".join(path.read_text() for path in self.folder.glob("*.log"))

    def token(self, account: Account, address: str = "") -> str:
        """Log in at this server, or at another address; return the access token."""
        credentials = {"email": account.email, "password": PASSWORD}
        answer = httpx.post(f"{address or self.address}/api/auth/login", json=credentials, timeout=30)
        return str(answer.raise_for_status().json()["token"])

    def write(self, statement: str, *parameters: object) -> int:
        """Run one statement as the tables' owner, from outside Django; return the id that it returns, or 0."""
        with psycopg.connect(self.database_url) as connection:
            cursor = connection.execute(statement, parameters)
            row = cursor.fetchone() if cursor.description else None
            return int(row[0]) if row else 0

    def add_post(self, title: str, *, published: bool) -> int:
        """Insert a post by the author; return its id."""
        return self.write(
            "insert into posts (author_id, title, body, published, created_at, updated_at)"
            " values (%s, %s, '', %s, now(), now()) returning id",
            AUTHOR.id,
            title,
            published,
        )

    def add_comment(self, body: str) -> int:
        """Insert a comment by the author for the team; return its id."""
        return self.write(
            "insert into comments (author_id, team_id, body, created_at)"
            " select %s, id, %s, now() from teams returning id",
            AUTHOR.id,
            body,
        )


def _as_login(url: str, login: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{login}:{parts.password}@{parts.netloc.rpartition('@')[2]}"))


def answers(address: str) -> bool:
    """Tell whether a server answers at this address."""
    try:
        return httpx.get(address, timeout=10).is_success
    except httpx.TransportError:
        return False


@contextmanager
def database(server_url: str, template: str = "template1") -> Iterator[str]:
    """Create a database on the server, empty or as a copy of ``template``; yield its URL; drop it at the end."""
    name = f"acceptance_{uuid.uuid4().hex}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        copy = sql.SQL("create database {} template {}").format(sql.Identifier(name), sql.Identifier(template))
        connection.execute(copy)
    try:
        yield urlunsplit(urlsplit(server_url)._replace(path=f"/{name}"))
    finally:
        # Use another connection: the server may have closed the first, which was idle during the test.
        with psycopg.connect(server_url, autocommit=True) as connection:
            _drop(connection, name)


def _drop(connection: psycopg.Connection[Any], name: str) -> None:
    """Drop a database with its sessions."""
    drop = sql.SQL("drop database {}").format(sql.Identifier(name))
    try:
        connection.execute(sql.Composed([drop, sql.SQL(" with (force)")]))
    except psycopg.errors.InsufficientPrivilege:
        # An owner may not end an autovacuum worker, nor a session of another role that is about to end. Without
        # force Postgres asks the first to end, and waits for both.
        connection.execute(drop)
