"""A log on a PostgreSQL server that only one test uses, with a hub and a relay."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from io import StringIO
from pathlib import Path
from typing import Any

import psycopg
from channels.layers import BaseChannelLayer
from django.core.management import call_command
from psycopg import sql
from psycopg.rows import tuple_row
from psycopg_pool import AsyncConnectionPool

from ayb_realtime.hub.hub import Hub
from ayb_realtime.migrations import __name__ as migrations
from ayb_realtime.postgres import database
from ayb_realtime.postgres.operation import RunSQLFile
from ayb_realtime.postgres.sql_files import sql as text_of
from embedded.account import account_for
from embedded.postgres import Postgres, postgres
from tests.integration.scenario import relaying
from tests.services import IS_LEAST, LOGINS

TABLE = """
create table notes (id int primary key);
select ayb_realtime.enable_v1('notes');
"""


SETTINGS = {"fsync": "off"}


@contextmanager
def server(folder: Path, port: int = 0, binaries: Path | None = None) -> Iterator[Postgres]:
    """Run a server on the data in this folder."""
    with postgres(folder, preferred_port=port, settings=SETTINGS, binaries=binaries) as running:
        yield running


@contextmanager
def standby_of(primary: Postgres, folder: Path) -> Iterator[Postgres]:
    """Copy a running server into this folder, and run a hot standby of it there."""
    folder.mkdir()
    account = account_for(folder, primary.binaries / "postgres")
    (folder / "password").write_text(primary.password)
    options = (f"--pgdata={folder / 'data'}", "--checkpoint=fast", "--no-sync", "--write-recovery-conf")
    copied = account.run(primary.binaries / "pg_basebackup", f"--dbname={primary.url()}", *options)
    assert copied.returncode == 0, copied.stdout
    with server(folder, binaries=primary.binaries) as running:
        yield running


def install(url: str) -> None:
    """Create the log and a streamed table."""
    with psycopg.connect(url, autocommit=True) as connection:
        make_log(connection)
        connection.execute(TABLE.encode())
        if IS_LEAST:
            make_logins(connection)


def make_logins(connection: psycopg.Connection[Any]) -> None:
    """Make the logins of the hub and the relay, with the password of this connection's user."""
    call_command("realtime_roles", "--print-sql", stdout=(printed := StringIO()))
    connection.execute(printed.getvalue().encode())
    for login in LOGINS.values():
        password = sql.Literal(connection.info.password)
        connection.execute(sql.SQL("alter role {} password {}").format(sql.Identifier(login), password))


def url_of(process: str, url: str) -> str:
    """Return what the hub or the relay connects with: a URL, or its like with a login of their own."""
    return psycopg.conninfo.make_conninfo(url, user=LOGINS[process]) if IS_LEAST else url


def make_log(connection: psycopg.Connection[Any]) -> None:
    """Create the log as the migration does."""
    migration = __import__(f"{migrations}.0001_initial", fromlist=["Migration"]).Migration
    for operation in migration.operations:
        if isinstance(operation, RunSQLFile):  # not a model without a table
            connection.execute(text_of(operation.name))


def insert(url: str, *ids: int) -> None:
    """Insert rows, each in its own transaction."""
    with psycopg.connect(url, autocommit=True) as connection:
        for row_id in ids:
            connection.execute("insert into notes values (%s)", [row_id])


def delete_all(url: str) -> None:
    """Delete every row, each in its own transaction."""
    with psycopg.connect(url, autocommit=True) as connection:
        for (row_id,) in connection.execute("select id from notes order by id").fetchall():
            connection.execute("delete from notes where id = %s", [row_id])


@asynccontextmanager
async def serving(layer: BaseChannelLayer, url: str) -> AsyncIterator[Hub]:
    """Run a relay and a hub on a server's log."""

    async def connect() -> psycopg.AsyncConnection[Any]:
        return await psycopg.AsyncConnection.connect(url_of("relay", url), autocommit=True)

    async with relaying(layer, connect), hub_on(layer, url) as hub:
        yield hub


@asynccontextmanager
async def hub_on(layer: BaseChannelLayer, url: str) -> AsyncIterator[Hub]:
    """Run a hub on a server's log."""
    with psycopg.connect(url) as connection:
        # A hub makes it over the connection that Django's settings name.
        connection.execute("select ayb_realtime.make_check_function_v1('notes'::regclass, 'ayb_authenticated')")
    pool = AsyncConnectionPool(
        url_of("hub", url),
        kwargs={"autocommit": True, "row_factory": tuple_row},
        configure=database.read_one_snapshot,
        check=AsyncConnectionPool.check_connection,
        timeout=2.0,
        open=False,
    )
    hub = Hub(layer, pool)
    await hub.start()
    try:
        yield hub
    finally:
        await hub.close()
