"""The example project as a user runs it: a database of its own, and a server to start, stop, kill and restart."""

import os
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import httpx
import psycopg
from psycopg import sql

import example_project
from example_project.blog.demo import ACCOUNTS
from example_project.embedded import Child, free_port

MANAGE = Path(example_project.__file__).parent.parent / "manage.py"
AUTHOR, COLLEAGUE, STRANGER = ACCOUNTS  # the first two are in the team


class Example:
    """The example project on ``database_url``, served by one process at ``address`` while it is started."""

    def __init__(self, database_url: str, folder: Path) -> None:
        self.database_url = database_url
        self.folder = folder
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self.server: Child | None = None

    def start(self) -> None:
        """Start the server, in a process and with a log file of its own, and wait until it answers."""
        log = self.folder / f"server-{uuid.uuid4().hex}.log"
        self.server = self._command("runrealtime", "--serve", f"127.0.0.1:{self.port}", log=log)
        self.server.wait_until(self._answers)

    def stop(self) -> int:
        """Stop the server as Ctrl-C would, and return its exit code."""
        return self.server.stop() if self.server else 0

    def kill(self) -> None:
        """End the server as a power failure would."""
        if self.server:
            self.server.process.kill()
            self.server.process.wait()

    def prepare(self) -> None:
        """Migrate and seed the database."""
        for command in ("migrate", "seed"):
            child = self._command(command, log=self.folder / f"{command}.log")
            assert child.process.wait(120) == 0, child.log_tail()

    def log(self) -> str:
        """Return what every server process so far has logged."""
        return "".join(path.read_text() for path in self.folder.glob("server-*.log"))

    def write(self, statement: str, *parameters: object) -> int:
        """Run one statement as the tables' owner, from outside Django; return the id it returns, or 0."""
        with psycopg.connect(self.database_url) as connection:
            cursor = connection.execute(statement, parameters)
            row = cursor.fetchone() if cursor.description else None
            return int(row[0]) if row else 0

    def add_post(self, title: str, *, published: bool) -> int:
        """Write a post of the author; return its id."""
        return self.write(
            "insert into posts (author_id, title, body, published, created_at, updated_at)"
            " values (%s, %s, '', %s, now(), now()) returning id",
            AUTHOR.id,
            title,
            published,
        )

    def add_comment(self, body: str) -> int:
        """Write a comment of the author for the team; return its id."""
        return self.write(
            "insert into comments (author_id, team_id, body, created_at)"
            " select %s, id, %s, now() from teams returning id",
            AUTHOR.id,
            body,
        )

    def _command(self, *arguments: str, log: Path) -> Child:
        environment = {**os.environ, "DATABASE_URL": self.database_url, "PYTHONUNBUFFERED": "1"}
        environment.pop("REDIS_URL", None)  # one process: the layer in memory is enough
        return Child.start([sys.executable, MANAGE, *arguments], log=log, env=environment, cwd=MANAGE.parent)

    def _answers(self) -> bool:
        try:
            return httpx.get(self.address, timeout=10).is_success
        except httpx.TransportError:
            return False


@contextmanager
def database(server_url: str) -> Iterator[str]:
    """Make an empty database on the server; yield its URL; drop it."""
    name = f"acceptance_{uuid.uuid4().hex}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        try:
            yield urlunsplit(urlsplit(server_url)._replace(path=f"/{name}"))
        finally:
            connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))
