"""Faults of what the database holds: a crash that loses commits, a restored dump, a copy, a failover, a standby."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg

from embedded import Postgres, ServerError, postgres
from embedded.account import account_for
from tests.chaos.layout import SETTINGS, WEB
from tests.chaos.world import World
from tests.example import MANAGE

# Postgres writes what it has not waited for at least three times in this time. Source: wal_writer_delay.
FORGOTTEN_SECONDS = 2.0
LASTS_SECONDS = 4.0
WAIT_SECONDS = 30.0

CLOSE = "select pg_terminate_backend(pid) from pg_stat_activity where datname = 'postgres' and pid <> pg_backend_pid()"
# Enough changes to overtake the original.
INSERT = (
    "insert into posts (author_id, title, body, published, created_at, updated_at)"
    " select author_id, 'never ' || n || ' 1', '', true, now(), now() from generate_series(1, 100) n,"
    " (select author_id from posts limit 1) author"
)
DELETE = "delete from posts where id in (select id from posts where title not like 'never %' order by random() limit 5)"
EMPTY_THE_LOG = """
do $$ begin
    execute (select 'truncate ' || string_agg(oid::regclass::text, ', ') from pg_class
              where relnamespace = 'ayb_realtime'::regnamespace and relkind in ('r', 'p'));
end $$"""


def crash_without_waiting(world: World) -> None:
    """Let no COMMIT wait for the disk, then crash: Postgres may lose what it has just confirmed."""
    with world.connect() as connection:
        connection.execute("alter database postgres set synchronous_commit = off")
        connection.execute(CLOSE)
    time.sleep(LASTS_SECONDS)
    crashed = time.monotonic()
    world.stop_postgres(immediate=True)
    world.forgotten.append((crashed - FORGOTTEN_SECONDS, time.monotonic()))
    world.start_postgres()
    with world.connect() as connection:
        connection.execute("alter database postgres reset synchronous_commit")
        connection.execute(CLOSE)


def restore_dump(world: World) -> None:
    """Dump the database and restore the dump in its place: the log begins another life. No write falls in between.

    Then restore again, with the log's own tables as in the first dump, as if one system were restored into another
    every night: each life then begins with the same log.
    """
    first = _restore(world, "first.dump")
    time.sleep(LASTS_SECONDS)
    _restore(world, "second.dump", log=first)


def _restore(world: World, name: str, log: Path | None = None) -> Path:
    dump = world.folder / "postgres" / name
    server = world.database_url().removesuffix("/postgres")
    with world.connect("template1") as connection:
        connection.execute("alter database postgres allow_connections false")
        connection.execute(CLOSE)
        connection.execute("alter database postgres rename to dumped")
        connection.execute("alter database dumped allow_connections true")
        _run(world, "pg_dump", "--format=custom", f"--file={dump}", f"{server}/dumped")
        connection.execute("create database restored")
        _run(world, "pg_restore", "--exit-on-error", f"--dbname={server}/restored", dump)
        if log:
            with world.connect("restored") as restored:
                restored.execute(EMPTY_THE_LOG)
            _run(world, "pg_restore", "--data-only", "--schema=ayb_realtime", f"--dbname={server}/restored", log)
        connection.execute("drop database dumped with (force)")
        connection.execute("alter database restored rename to postgres")
        world.lives += 1
    return dump


def run_copy(world: World) -> None:
    """Run a copy of the data at the same time, with its own relay and writes, on the same Redis."""
    with _copied(world, "copy") as server, psycopg.connect(server.url(), autocommit=True) as connection:
        environment = {**world.environment("manage"), "DATABASE_URL": server.url(), "PGAPPNAME": "copy"}
        relay = world.start_python("copy", str(MANAGE), "runrealtime", env=environment)
        relay.wait_until(lambda: "relay leads" in world.log("copy"))
        until = time.monotonic() + LASTS_SECONDS
        while time.monotonic() < until:
            connection.execute(INSERT)
            connection.execute(DELETE)
            time.sleep(0.1)
        relay.stop()


def fail_over(world: World) -> None:
    """Crash while a transaction is open, and continue on a standby that has everything confirmed."""
    with _copied(world, "standby", "--write-recovery-conf") as standby:
        with world.connect() as connection:
            connection.execute("alter system set synchronous_standby_names = '*'")
            connection.execute("select pg_reload_conf()")
            _wait(connection, "select 1 from pg_stat_replication where sync_state = 'sync'")
        opened = psycopg.connect(world.database_url())
        opened.execute(INSERT)
        time.sleep(1)
        world.stop_postgres(immediate=True)
        with suppress(psycopg.Error):
            opened.close()
        with psycopg.connect(standby.url(), autocommit=True) as connection:
            connection.execute("select pg_promote()")
            _wait(connection, "select 1 where not pg_is_in_recovery()")
    shutil.rmtree(world.folder / "postgres" / "data")
    (world.folder / "standby" / "data").rename(world.folder / "postgres" / "data")
    world.start_postgres()
    world.lives += 1


def read_standby(world: World) -> None:
    """Let a web process read a standby, which stops replaying for a while, and which is promoted by mistake."""
    name = WEB[0]
    with _copied(world, "standby", "--write-recovery-conf") as standby:
        world.children[name].stop(seconds=20)
        world.start_web(name, HUB_DATABASE_URL=standby.url())
        with psycopg.connect(standby.url(), autocommit=True) as connection:
            for statement in ("pg_wal_replay_pause()", "pg_wal_replay_resume()", "pg_promote()"):
                time.sleep(LASTS_SECONDS)
                connection.execute(f"select {statement}".encode())
        time.sleep(LASTS_SECONDS)
        world.children[name].stop(seconds=20)
    world.start_web(name)


@contextmanager
def _copied(world: World, name: str, *options: str) -> Iterator[Postgres]:
    """Copy the running server's data, and run another server on the copy until the block ends. The copy stays."""
    folder = world.folder / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    account_for(folder, world.binaries / "postgres")
    shutil.copy(world.folder / "postgres" / "password", folder)
    data = folder / "data"
    _run(world, "pg_basebackup", f"--dbname={world.database_url()}", f"--pgdata={data}", "--checkpoint=fast", *options)
    with postgres(folder, binaries=world.options.binaries, settings=SETTINGS) as server:
        yield server


def _run(world: World, program: str, *arguments: str | Path) -> None:
    """Run one of Postgres' programs as its server's user. Raises ServerError if it fails."""
    account = account_for(world.folder / "postgres", world.binaries / "postgres")
    ran: subprocess.CompletedProcess[str] = account.run(world.binaries / program, *arguments)
    if ran.returncode != 0:
        raise ServerError(f"{program} failed: {ran.stdout.strip()}")


def _wait(connection: psycopg.Connection[tuple[object, ...]], query: str) -> None:
    until = time.monotonic() + WAIT_SECONDS
    while connection.execute(query.encode()).fetchone() is None:
        if time.monotonic() > until:
            raise ServerError(f"the standby was not ready within {WAIT_SECONDS:.0f} s: {query}")
        time.sleep(0.05)
