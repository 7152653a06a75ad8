"""``make demo``: set up and run the whole example. Also run as ``python -m example_project.demo``.

It starts a PostgreSQL of its own in ``.demo/`` (or uses DATABASE_URL), migrates and seeds it, serves the page and the
relay in one child process, and stops all of it on Ctrl-C or SIGTERM. The data is kept for the next run.

PORT  where the page is served; 8090 by default
"""

import contextlib
import io
import os
import shutil
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import django
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connections

from ayb_realtime.exceptions import RealtimeError
from embedded import Child, Postgres, ServerError, is_free, postgres
from embedded.ports import LOOPBACK
from embedded.postgres import ensure_database, ensure_role
from example_project.blog.demo import ACCOUNTS, PASSWORD

CHECKOUT = Path(__file__).resolve().parent.parent
DATABASE_PORT = 54329
NAME = "ayb"  # The owner's name, its password and the database: readers may use them in psql.

READY = """
  {address}

  Accounts: {accounts}. The password is: {password}

  Changes by any writer arrive, not only those made on this page:
    {psql} -c "update posts set title = title || '!' where published"

  Ctrl-C stops everything{kept}.
"""


# These override the shell's: one process needs no Redis, and with DEBUG it serves its own static files.
SETTINGS = {"DJANGO_SETTINGS_MODULE": "example_project.settings", "REDIS_URL": "", "DEBUG": "1"}


def main() -> int:
    """Run the demo until it is told to stop; return the exit code."""
    os.environ.update(SETTINGS)
    signal.signal(signal.SIGINT, _stop)
    signal.signal(signal.SIGTERM, _stop)
    try:
        _run(_port())
    except (ServerError, DatabaseError, CommandError, RealtimeError) as error:
        sys.stderr.write(f"\nThe demo cannot run: {error}\n")
        return 1
    return 0


def _stop(*_: object) -> None:
    """Exit through the ``with`` blocks, which stop what they started. A second Ctrl-C must not interrupt them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(0)


def _port() -> int:
    text = os.environ.get("PORT") or "8090"
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise ServerError(f"PORT is {text!r}; it must be a number from 1 to 65535.")
    if not is_free(int(text)):
        raise ServerError(
            f"port {text} of {LOOPBACK} is taken. Stop the program that listens there, or choose another port: "
            f"make demo PORT={int(text) % 65535 + 1}"
        )
    return int(text)


def _run(port: int) -> None:
    address = f"http://{LOOPBACK}:{port}/"
    with _database() as server, _served(port, address) as child:
        _say(_ready_message(address, server))
        child.process.wait()
        raise ServerError("the server ended; the lines above say why.")


@contextlib.contextmanager
def _database() -> Iterator[Postgres | None]:
    """Make DATABASE_URL name a migrated and seeded database; start PostgreSQL if it is not set."""
    with contextlib.ExitStack() as stack:
        server = None
        if not os.environ.get("DATABASE_URL"):
            _say("Starting PostgreSQL ...")
            server = stack.enter_context(postgres(CHECKOUT / ".demo", preferred_port=DATABASE_PORT))
            os.environ["DATABASE_URL"] = _own_database(server)
        _say("Migrating and seeding the database ...")
        _fill_database()
        yield server


def _own_database(server: Postgres) -> str:
    """Create a role without special rights and its database, as in production; return the database's URL."""
    ensure_role(server.url(), NAME, NAME, "createrole")
    ensure_database(server.url(), NAME, NAME)
    return server.url(NAME, NAME, NAME)


def _fill_database() -> None:
    django.setup()
    call_command("migrate", verbosity=0)
    call_command("seed", stdout=io.StringIO())
    connections.close_all()


@contextlib.contextmanager
def _served(port: int, address: str) -> Iterator[Child]:
    """Serve the page and the relay in one child process, and wait until it answers."""
    command = [sys.executable, "manage.py", "runrealtime", "--serve", f"{LOOPBACK}:{port}"]
    child = Child.start(command, name="the server", cwd=CHECKOUT)
    try:
        child.wait_until(lambda: _serves(address))
        yield child
    finally:
        child.stop()


def _serves(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=10) as response:  # noqa: S310
            return bool(response.status == 200)
    except urllib.error.HTTPError as error:
        raise ServerError(f"{address} answers {error.code} {error.reason}; the lines above say why.") from error
    except OSError:
        return False


def _ready_message(address: str, server: Postgres | None) -> str:
    psql, kept = 'psql "$DATABASE_URL"', ""
    if server:
        psql = f"{'psql' if shutil.which('psql') else server.binaries / 'psql'} {os.environ['DATABASE_URL']}"
        kept = f"; the data stays in {CHECKOUT / '.demo'}"
    accounts = ", ".join(account.email for account in ACCOUNTS)
    return READY.format(address=address, accounts=accounts, password=PASSWORD, psql=psql, kept=kept)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
