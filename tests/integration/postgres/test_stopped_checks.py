"""A process that is suspended or busy in the middle of a check."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from select import select
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest

from ayb_realtime import visibility
from ayb_realtime.postgres import database
from ayb_realtime.visibility import transaction_settings, transactions
from tests.example import Example
from tests.integration.postgres.conftest import COLUMNS
from tests.integration.scenario import OWN, MakeTable, Owner, World, person

FREEZE = """
import asyncio, sys
import django
django.setup()
from ayb_realtime.postgres import database
from ayb_realtime.visibility import transaction_settings, transactions
transaction_settings.FROZEN_SECONDS = 1

async def main():
    async with database.pool() as pool, pool.connection() as connection, transactions.snapshot(connection):
        await connection.execute("set local role ayb_authenticated")
        await connection.execute("select from notes, members")
        print("reading", flush=True)
        if sys.argv[1] == "sending":
            await connection.execute("select repeat('x', 1000000) from generate_series(1, 1000)")
        await asyncio.sleep(3600)

asyncio.run(main())
"""


@pytest.mark.parametrize("state", ["waiting", "sending"])
def test_process_that_is_stopped_in_a_check_lets_go_of_the_tables(
    owner: Owner, make_table: MakeTable, tmp_path: Path, state: str
) -> None:
    make_table("members", COLUMNS, enable=False)
    owner.execute("grant select on members to ayb_authenticated")
    make_table("notes", COLUMNS, policy="exists (select from members)")
    url = urlunsplit(urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{owner.info.dbname}"))
    example = Example(url, tmp_path, DJANGO_SETTINGS_MODULE="example_project.settings")
    command = [sys.executable, "-c", FREEZE, state]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=example.environment) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"reading\n"
            process.send_signal(signal.SIGSTOP)
            owner.execute("set lock_timeout = '20s'")
            owner.execute("alter table members add column name text; alter table notes add column name text")
        finally:
            process.kill()


async def test_streams_go_on_after_a_check_was_held_up_for_so_long_that_postgres_has_ended_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.table("notes", COLUMNS, policy=OWN)
    stream = await world.stream(person(1), "notes")
    monkeypatch.setattr(transaction_settings, "FROZEN_SECONDS", 0.2)
    check = visibility.check
    ended: list[int] = []

    async def check_late(connection: visibility.Connection, *arguments: Any, **options: Any) -> visibility.Answers:
        if not ended:
            # As in a suspended process, nothing runs here until Postgres has ended the session and reports it.
            assert select([connection.fileno()], [], [], 30)[0]
            ended.append(transactions.state(connection).backend_pid)
        return await check(connection, *arguments, **options)

    monkeypatch.setattr(visibility, "check", check_late)
    async with world.relaying():
        world.write("insert into notes values (1, '1'), (2, '2'), (3, '1')")
        assert [(await stream.next_change())["record"]["id"] for _ in range(2)] == [1, 3]
    assert ended


async def test_check_of_a_process_that_is_busy_elsewhere_goes_on(owner: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transaction_settings, "FROZEN_SECONDS", 0.4)
    async with database.pool() as pool, pool.connection() as connection, transactions.snapshot(connection):
        # As when each part of a check has its own connection.
        await asyncio.to_thread(owner.execute, "select pg_sleep(1)")
        assert await (await connection.execute("select 1")).fetchone() == (1,)
