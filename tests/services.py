"""Run a command with its own PostgreSQL and Valkey: ``python -m tests.services COMMAND ...``.

DATABASE_URL, REDIS_URL    servers to use; where one is not set, an embedded one is started and it is set for COMMAND
TEST_POSTGRES, TEST_REDIS  in place of --postgres and --redis
TEST_DATABASE_ROLE         ``superuser`` (or not set): COMMAND gets DATABASE_URL as it is; ``owner``: it gets that of an
                           ordinary role with CREATEDB and CREATEROLE, made through it; ``hostile``: of such a role
                           that has odd settings (tests/hostile.py); ``least``: of such a role, beside which the hub and
                           the relay have logins of their own, with its password (LOGINS)
--postgres FOLDER          the binaries of another PostgreSQL, such as /usr/lib/postgresql/15/bin
--redis PROGRAM            another server's binary, such as /usr/bin/redis-server
--workers NUMBER           servers for so many workers of pytest-xdist, where neither URL is set: DATABASE_URL_gw1 and
                           REDIS_URL_gw1 are the second's (tests/worker.py), and ``-n auto`` means as many workers as
                           there are servers

The exit code is COMMAND's.
"""

import argparse
import os
import secrets
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, MutableMapping
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from embedded import ServerError, postgres, valkey
from embedded.postgres import ensure_role
from tests.hostile import PROFILE

SERVERS = ("DATABASE_URL", "REDIS_URL")
OWNER = "ayb_test_owner"
# Whether the hub and the relay log in by roles of their own. manage.py realtime_roles grants them what they need.
IS_LEAST = os.environ.get("TEST_DATABASE_ROLE") == "least"
LOGINS = {"hub": "ayb_test_hub", "relay": "ayb_test_relay"}
SUBSCRIBER_ROLES = ("ayb_authenticated", "ayb_anonymous")
SETTINGS = {"max_connections": "200", "max_prepared_transactions": "10"}


def main() -> int:
    """Start the missing servers, run the command, stop what was started."""
    arguments = _arguments()
    environment = dict(os.environ)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # So that the with blocks end.
    # A shell ignores it for what it starts in the background, and so would all that is started here.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with ExitStack() as stack:
        try:
            start_workers_services(stack, environment, arguments)
        except (ServerError, ValueError, psycopg.Error) as error:
            sys.stderr.write(f"The tests' servers are not there: {error}\n")
            return 1
        return run(arguments.command, environment)


def start_workers_services(
    stack: ExitStack, environment: MutableMapping[str, str], arguments: argparse.Namespace
) -> None:
    """Start each worker's servers. Those that ``environment`` already names are for one worker."""
    given = any(environment.get(name) for name in SERVERS)
    workers = 1 if given else arguments.workers
    start_services(stack, environment, arguments.postgres, arguments.redis)
    for number in range(1, workers):
        another = {"TEST_DATABASE_ROLE": environment.get("TEST_DATABASE_ROLE", "")}
        start_services(stack, another, arguments.postgres, arguments.redis)
        environment.update({f"{name}_gw{number}": another[name] for name in SERVERS})
    environment["PYTEST_XDIST_AUTO_NUM_WORKERS"] = str(workers)


def choose_servers(environment: MutableMapping[str, str]) -> None:
    """Let ``environment`` name this worker's servers. The first worker uses those that it already names."""
    worker = environment.get("PYTEST_XDIST_WORKER", "gw0")
    if worker != "gw0":
        environment.update({name: environment[f"{name}_{worker}"] for name in SERVERS})


def start_services(
    stack: ExitStack,
    environment: MutableMapping[str, str],
    binaries: Path | None,
    redis: Path | None,
    fsync: str = "off",
) -> None:
    """Start each server that ``environment`` does not name, name it there, and choose the database's role."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ayb-tests-")))
    folder.chmod(0o755)  # PostgreSQL may run as another user
    if not environment.get("DATABASE_URL"):
        server = stack.enter_context(
            postgres(folder / "postgres", binaries=binaries, settings={**SETTINGS, "fsync": fsync})
        )
        environment["DATABASE_URL"] = server.url()
    if not environment.get("REDIS_URL"):
        environment["REDIS_URL"] = stack.enter_context(valkey(folder / "valkey", binary=redis))
    environment["DATABASE_URL"] = url_for_role(environment["DATABASE_URL"], environment.get("TEST_DATABASE_ROLE", ""))


def url_for_role(url: str, role: str) -> str:
    """Return ``url`` for a superuser; otherwise create or reset an ordinary role, and return the URL that uses it."""
    if role in ("", "superuser"):
        return url
    if role not in ("owner", "hostile", "least"):
        raise ValueError(f"TEST_DATABASE_ROLE is {role!r}; it must be superuser or owner, hostile or least.")
    password = secrets.token_hex(16)
    ensure_role(url, OWNER, password, "createdb createrole")
    if role == "least":
        for login in LOGINS.values():
            ensure_role(url, login, password, "noinherit")
            # Tests look at the sessions of these processes, and end them.
            _grant(url, login)
    _grant_subscriber_roles(url)
    _set_defaults(url, PROFILE if role == "hostile" else {})
    parts = urlsplit(url)
    address = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{OWNER}:{password}@{address}"))


def _grant(url: str, role: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL("grant {} to {}").format(sql.Identifier(role), sql.Identifier(OWNER)))


def _grant_subscriber_roles(url: str) -> None:
    """If an earlier run as superuser created the subscribers' roles, grant them, as an administrator would."""
    with psycopg.connect(url, autocommit=True) as connection:
        known = connection.execute("select rolname from pg_roles where rolname = any(%s)", [list(SUBSCRIBER_ROLES)])
        for (name,) in known.fetchall():
            connection.execute(
                sql.SQL("grant {} to {} with admin option").format(sql.Identifier(name), sql.Identifier(OWNER))
            )


def _set_defaults(url: str, settings: Mapping[str, str]) -> None:
    """Make sessions of the ordinary role begin with those of these settings that the server has."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL("alter role {} reset all").format(sql.Identifier(OWNER)))
        connection.execute("load 'plpgsql'")
        for name, value in settings.items():
            if connection.execute("select 1 from pg_settings where lower(name) = %s", [name]).fetchone():
                connection.execute("select set_config(%s, %s, false)", [name, value])
                # As the session has it: a list stays a list.
                connection.execute(
                    sql.SQL("alter role {} set {} from current").format(sql.Identifier(OWNER), sql.SQL(name))
                )


def run(command: list[str], environment: MutableMapping[str, str]) -> int:
    """Run ``command`` to its end and return its exit code. Pass a SIGTERM on to it."""
    with subprocess.Popen(command, env=environment) as process:
        signal.signal(signal.SIGTERM, lambda *_: process.terminate())
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:  # The terminal has also interrupted the command: let it end.
                continue


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.services", description="Run COMMAND with its own servers.")
    postgres, redis = (os.environ.get(name) or None for name in ("TEST_POSTGRES", "TEST_REDIS"))
    parser.add_argument(
        "--postgres", type=Path, default=postgres, metavar="FOLDER", help="binaries of another PostgreSQL"
    )
    parser.add_argument("--redis", type=Path, default=redis, metavar="PROGRAM", help="another Redis or Valkey server")
    parser.add_argument("--workers", type=int, default=1, metavar="NUMBER", help="servers for so many workers")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND")
    arguments = parser.parse_args()
    if not arguments.command:
        parser.error("name a COMMAND to run")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
