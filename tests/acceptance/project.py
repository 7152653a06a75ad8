"""A Django project as its developer runs it, on the installed package."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from embedded import Child, free_port

# What a project must not see of this process' environment.
OURS = ("DATABASE_URL", "DJANGO_", "PYTEST_", "PYTHONPATH", "REDIS_URL")


class Project:
    """A Django project in a folder, with a database of its own, and its commands."""

    def __init__(self, folder: Path, database_url: str, **environment: str) -> None:
        """``environment``: variables besides DATABASE_URL."""
        self.folder = folder
        self.database_url = database_url
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
        self.environment.update(environment, DATABASE_URL=database_url, PYTHONUNBUFFERED="1")
        self.port = free_port()

    def run(self, *arguments: str) -> str:
        """Run Python with these arguments, and return what it prints. It must succeed."""
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    @contextmanager
    def running(self, *arguments: str, ready: str, **environment: str) -> Iterator[None]:
        """Run a server from when it logs ``ready`` until the block ends, by Ctrl-C. It must not log an exception."""
        log = self.folder / f"{free_port()}.log"
        child = Child.start(
            [sys.executable, *arguments], log=log, env={**self.environment, **environment}, cwd=self.folder
        )
        try:
            child.wait_until(lambda: ready in log.read_text())
            yield
        finally:
            os.killpg(child.process.pid, signal.SIGINT)
            child.process.wait(30)
        for word in ("Traceback", "Exception", "never awaited", "was destroyed"):
            assert word not in log.read_text(), log.read_text()

    def write(self, statement: str, *parameters: object) -> None:
        """Run a statement as the tables' owner, from outside Django."""
        with psycopg.connect(self.database_url) as connection:
            connection.execute(statement.encode(), parameters)
