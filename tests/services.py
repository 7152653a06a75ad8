"""Run a command with a PostgreSQL and a Valkey of its own: ``python -m tests.services COMMAND ...``.

DATABASE_URL, REDIS_URL    servers to use; where one is not set, an embedded one is started and it is set for COMMAND
TEST_DATABASE_ROLE         ``superuser`` (or not set): COMMAND gets DATABASE_URL as it is; ``owner``: it gets that of an
                           ordinary role with CREATEDB and CREATEROLE, made through it
--postgres FOLDER          the binaries of another PostgreSQL, such as /usr/lib/postgresql/15/bin
--redis PROGRAM            another server's binary, such as /usr/bin/redis-server

The exit code is COMMAND's.
"""

import argparse
import os
import secrets
import signal
import subprocess
import sys
import tempfile
from collections.abc import MutableMapping
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from example_project.embedded import ServerError, postgres, valkey
from example_project.embedded.postgres import ensure_role

OWNER = "ayb_test_owner"
SUBSCRIBER_ROLES = ("ayb_authenticated", "ayb_anonymous")
SETTINGS = {"max_connections": "200", "max_prepared_transactions": "10"}


def main() -> int:
    """Start what is missing, run the command, stop what was started."""
    arguments = _arguments()
    environment = dict(os.environ)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # by way of the with blocks
    with ExitStack() as stack:
        try:
            start_services(stack, environment, arguments.postgres, arguments.redis)
        except (ServerError, ValueError, psycopg.Error) as error:
            sys.stderr.write(f"The tests' servers are not there: {error}\n")
            return 1
        return run(arguments.command, environment)


def start_services(
    stack: ExitStack,
    environment: MutableMapping[str, str],
    binaries: Path | None,
    redis: Path | None,
    fsync: str = "off",
) -> None:
    """Start each server that ``environment`` does not name, name it there, and choose the database's role."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ayb-tests-")))
    folder.chmod(0o755)  # ours; PostgreSQL may run as another user
    if not environment.get("DATABASE_URL"):
        server = stack.enter_context(
            postgres(folder / "postgres", binaries=binaries, settings={**SETTINGS, "fsync": fsync})
        )
        environment["DATABASE_URL"] = server.url()
    if not environment.get("REDIS_URL"):
        environment["REDIS_URL"] = stack.enter_context(valkey(folder / "valkey", binary=redis))
    environment["DATABASE_URL"] = url_for_role(environment["DATABASE_URL"], environment.get("TEST_DATABASE_ROLE", ""))


def url_for_role(url: str, role: str) -> str:
    """Return ``url`` for a superuser; for ``owner``, the same database as an ordinary role, made or reset first."""
    if role in ("", "superuser"):
        return url
    if role != "owner":
        raise ValueError(f"TEST_DATABASE_ROLE is {role!r}; it must be superuser or owner.")
    password = secrets.token_hex(16)
    ensure_role(url, OWNER, password, "createdb createrole")
    _grant_subscriber_roles(url)
    parts = urlsplit(url)
    address = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{OWNER}:{password}@{address}"))


def _grant_subscriber_roles(url: str) -> None:
    """Where an earlier run as superuser made the subscribers' roles, hand them over, as an administrator would."""
    with psycopg.connect(url, autocommit=True) as connection:
        known = connection.execute("select rolname from pg_roles where rolname = any(%s)", [list(SUBSCRIBER_ROLES)])
        for (name,) in known.fetchall():
            connection.execute(
                sql.SQL("grant {} to {} with admin option").format(sql.Identifier(name), sql.Identifier(OWNER))
            )


def run(command: list[str], environment: MutableMapping[str, str]) -> int:
    """Run ``command`` to its end and return its exit code; a SIGTERM to us is passed on to it."""
    with subprocess.Popen(command, env=environment) as process:
        signal.signal(signal.SIGTERM, lambda *_: process.terminate())
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:  # the terminal told the command too: let it end
                continue


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.services", description="Run COMMAND with its own servers.")
    parser.add_argument("--postgres", type=Path, metavar="FOLDER", help="binaries of another PostgreSQL")
    parser.add_argument("--redis", type=Path, metavar="PROGRAM", help="another Redis or Valkey server")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND")
    arguments = parser.parse_args()
    if not arguments.command:
        parser.error("name a COMMAND to run")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
