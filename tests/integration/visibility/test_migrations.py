"""A migration redacts rows and then shows them, while rows are checked: what it redacted is never sent."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

from ayb_realtime import visibility
from ayb_realtime.hub.delivering import repeating
from ayb_realtime.identity import AUTHENTICATED_ROLE
from ayb_realtime.visibility import OneMessage
from tests.integration.scenario import MakeTable, Owner, Stream, World, person
from tests.integration.visibility.conftest import within_a_message

SECRET = "not for you"


ALICE = "current_setting('ayb.user_id') = 'alice'"


@dataclass(frozen=True)
class Migration:
    """Statements that show the rows of ``notes``, and hide them again.

    close: run first, and again after each race.
    open: run after the secret was redacted, in the same transaction.
    policy: of the table; it may read ``members``. Without one row-level security is off.
    make, unmake: create what these need, before the table is created, and drop it.
    """

    open: str
    close: str
    policy: str = ""
    make: str = ""
    unmake: str = ""
    columns: str = "id int primary key, n int, secret text"


VIEW = "exists (select from open_notes o where o.id = notes.id)"


MEMBER = f"exists (select from members m where m.note = notes.id and {ALICE})"


MIGRATIONS = {
    "policy altered": Migration(
        policy="false", open="alter policy p on notes using (true)", close="alter policy p on notes using (false)"
    ),
    "policy replaced": Migration(
        policy="false",
        open="drop policy p on notes; create policy p on notes using (true)",
        close="drop policy p on notes; create policy p on notes using (false)",
    ),
    "policy added": Migration(
        policy="false", open="create policy q on notes using (true)", close="drop policy if exists q on notes"
    ),
    "restrictive policy dropped": Migration(
        policy="true",
        open="drop policy q on notes",
        close="drop policy if exists q on notes; create policy q on notes as restrictive using (false)",
    ),
    "row security disabled": Migration(
        policy="false",
        open="alter table notes disable row level security",
        close="alter table notes enable row level security",
    ),
    "column granted": Migration(
        open=f"grant select (secret) on notes to {AUTHENTICATED_ROLE}",
        close=f"revoke select on notes from {AUTHENTICATED_ROLE};"
        f" grant select (id, n) on notes to {AUTHENTICATED_ROLE}",
    ),
    "table granted": Migration(
        open=f"grant select on notes to {AUTHENTICATED_ROLE}",
        close=f"revoke select on notes from {AUTHENTICATED_ROLE}",
    ),
    "schema granted": Migration(
        open=f"grant usage on schema public to public, {AUTHENTICATED_ROLE}",
        close=f"revoke usage on schema public from public, {AUTHENTICATED_ROLE}",
        unmake="grant usage on schema public to public",
    ),
    "membership granted": Migration(
        policy="true",
        make="do $$ begin create role ayb_test_team; exception when duplicate_object then null; end $$",
        close=f"revoke ayb_test_team from {AUTHENTICATED_ROLE}; alter policy p on notes to ayb_test_team",
        open=f"grant ayb_test_team to {AUTHENTICATED_ROLE}",
        unmake=f"revoke ayb_test_team from {AUTHENTICATED_ROLE}",
    ),
    "function replaced, of SQL as text": Migration(
        make="create function is_open() returns boolean language sql stable as 'select false'",
        policy="is_open()",
        open="create or replace function is_open() returns boolean language sql stable as 'select true'",
        close="create or replace function is_open() returns boolean language sql stable as 'select false'",
        unmake="drop function is_open",
    ),
    "function replaced, of PL/pgSQL": Migration(
        make="create function is_open() returns boolean language plpgsql as 'begin return false; end'",
        policy="is_open()",
        open="create or replace function is_open() returns boolean language plpgsql as 'begin return true; end'",
        close="create or replace function is_open() returns boolean language plpgsql as 'begin return false; end'",
        unmake="drop function is_open",
    ),
    "function replaced, called by one that runs any SQL": Migration(
        make="create function is_open() returns boolean language sql stable as 'select false';"
        "create function asks() returns boolean language plpgsql stable"
        " as 'declare yes boolean; begin execute ''select is'' || ''_open()'' into yes; return yes; end'",
        policy="asks()",
        open="create or replace function is_open() returns boolean language sql stable as 'select true'",
        close="create or replace function is_open() returns boolean language sql stable as 'select false'",
        unmake="drop function asks; drop function is_open",
    ),
    "function allowed": Migration(
        make="create function is_open() returns boolean language sql stable as 'select true'",
        policy="is_open()",
        open=f"grant execute on function is_open() to {AUTHENTICATED_ROLE}",
        close=f"revoke execute on function is_open() from public, {AUTHENTICATED_ROLE}",
        unmake="drop function is_open",
    ),
    "policy altered of a table that the policy reads": Migration(
        make="create table members (note int); insert into members values (1);"
        " alter table members enable row level security; create policy m on members using (false);"
        f" grant select on members to {AUTHENTICATED_ROLE}",
        policy=MEMBER,
        open="alter policy m on members using (true)",
        close="alter policy m on members using (false)",
        unmake="drop table members",
    ),
    "table granted that the policy reads": Migration(
        make="create table members (note int); insert into members values (1)",
        policy=MEMBER,
        open=f"grant select on members to {AUTHENTICATED_ROLE}",
        close=f"revoke select on members from {AUTHENTICATED_ROLE}",
        unmake="drop table members",
    ),
    "table emptied that the policy reads": Migration(
        make="create table bans (note int)",
        policy="not exists (select from bans b where b.note = notes.id)",
        open=f"truncate bans; grant select on bans to {AUTHENTICATED_ROLE}",
        close=f"truncate bans; insert into bans values (1); grant select on bans to {AUTHENTICATED_ROLE}",
        unmake="drop table bans",
    ),
    "label of an enum renamed": Migration(
        make="create type stage as enum ('public'); create table stages (note int, stage stage);"
        f" insert into stages values (1, 'public'); grant select on stages to {AUTHENTICATED_ROLE}",
        policy="exists (select from stages s where s.note = notes.id and s.stage::text = 'public')",
        open="alter type stage rename value 'draft' to 'public'",
        close="alter type stage rename value 'public' to 'draft'",
        unmake="drop table stages; drop type stage",
    ),
    "schema granted that the policy asks about": Migration(
        make="create schema asked",
        policy="has_schema_privilege('asked', 'usage')",
        open=f"grant usage on schema asked to {AUTHENTICATED_ROLE}",
        close=f"revoke usage on schema asked from {AUTHENTICATED_ROLE}",
        unmake="drop schema asked",
    ),
    "view replaced that the policy reads": Migration(
        make="create view open_notes as select 1 as id where false;"
        f" grant select on open_notes to {AUTHENTICATED_ROLE}",
        policy=VIEW,
        open="create or replace view open_notes as select 1 as id",
        close="create or replace view open_notes as select 1 as id where false",
        unmake="drop view open_notes",
    ),
    "view granted that the policy reads": Migration(
        make="create view open_notes as select 1 as id",
        policy=VIEW,
        open=f"grant select on open_notes to {AUTHENTICATED_ROLE}",
        close=f"revoke select on open_notes from {AUTHENTICATED_ROLE}",
        unmake="drop view open_notes",
    ),
}


# Each of these runs RACES races in real time; the others are similar.
RACED = [
    "policy altered",
    "restrictive policy dropped",
    "row security disabled",
    "column granted",
    "membership granted",
    "function replaced, of SQL as text",
    "table granted that the policy reads",
]


RACES = 200


WRITES = 5


BYSTANDERS = 30


@asynccontextmanager
async def prepared(migration: Migration, owner: Owner, make_table: MakeTable) -> AsyncIterator[None]:
    """Create the table and what the migration needs; drop it all at the end."""
    if migration.make:
        owner.execute(migration.make.encode())
    make_table("notes", migration.columns, policy=migration.policy)
    owner.execute("insert into notes values (1, 0, %s)", [SECRET])
    owner.execute(migration.close.encode())
    try:
        yield
    finally:
        # Not in the event loop: a check of the hub's may not have ended, and this waits for its locks.
        await asyncio.to_thread(owner.execute, "drop table notes")
        if migration.unmake:
            await asyncio.to_thread(owner.execute, migration.unmake.encode())


def migrate(owner: Owner, migration: Migration, more: str = "select") -> None:
    """Redact the secret and show the rows, in one transaction."""
    with owner.transaction():
        owner.execute("update notes set secret = ''")
        owner.execute(migration.open.encode())
        owner.execute(more.encode())


async def opened(stream: Stream) -> None:
    """Read until the row arrives as the migration left it."""
    while True:
        change = await stream.next_change()
        assert change["record"].get("secret", "") == "", change
        if "secret" in change["record"]:
            return


@pytest.fixture
def others(owner: Owner, make_table: MakeTable) -> Iterator[None]:
    """A table in another schema, since a migration may change that of ``notes``."""
    owner.execute("create schema aside_of_notes")
    make_table("aside_of_notes.others", "id int primary key")
    yield
    owner.execute("drop schema aside_of_notes cascade")


@pytest.mark.parametrize("path", ["transaction", "message"])
@pytest.mark.parametrize("kind", MIGRATIONS)
async def test_secret_is_not_sent_when_the_migration_commits_within_a_check(
    world: World, others: None, database_url: str, monkeypatch: pytest.MonkeyPatch, kind: str, path: str
) -> None:
    migration = MIGRATIONS[kind]
    migrating: list[asyncio.Task[None]] = []

    async def migrate_if_due() -> None:
        if is_due.is_set():
            is_due.clear()
            migrating.append(asyncio.create_task(asyncio.to_thread(migrate, migrator, migration)))
            while not migrating[0].done() and not await asyncio.to_thread(waits, world.owner, migrator):
                pass

    is_due = asyncio.Event()
    within = within_a_transaction if path == "transaction" else within_a_message
    within(monkeypatch, world.owner, migrate_if_due)
    with psycopg.connect(database_url, autocommit=True) as migrator:
        async with prepared(migration, world.owner, world.table), world.relaying():
            stream = await world.stream(person("alice"), "notes", "others")
            # By now the hub knows everything that it needs to know about the table.
            world.write("update notes set n = n + 1")
            world.write("insert into aside_of_notes.others values (1)")
            while (await stream.next_change())["table"] != "others":
                pass
            is_due.set()
            world.write("update notes set n = n + 1")
            await opened(stream)
            # With the path "message" that one was used, and no other.
            await migrating[0]


def within_a_transaction(monkeypatch: pytest.MonkeyPatch, owner: Owner, act: Callable[[], Awaitable[None]]) -> None:
    """Act within each check, between its snapshot and its question. It is made in a transaction."""
    check = visibility.check

    async def act_and_check(*args: Any, **options: Any) -> Any:
        await act()
        return await check(*args, **options)

    monkeypatch.setattr(visibility, "check", act_and_check)
    monkeypatch.setattr(OneMessage, "about", lambda *args: None)


def waits(owner: Owner, migrator: Owner) -> bool:
    """Tell whether a migration waits for a lock, which a check holds."""
    row = owner.execute("select cardinality(pg_blocking_pids(%s)) > 0", [migrator.info.backend_pid]).fetchone()
    return row == (True,)


@pytest.mark.parametrize("kind", RACED)
async def test_secret_is_not_sent_while_migrations_race_with_checks(
    world: World, database_url: str, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """No event of so many migrations has the secret, while rows are written and checked all the time."""
    # On a slow machine more migrations may commit during a check than a table is allowed before it is given up.
    monkeypatch.setattr(repeating, "MOST_ALONE", 1000)
    migration = MIGRATIONS[kind]

    def race(writer: Owner) -> None:
        world.write(migration.close)
        writer.execute("update notes set secret = %s", [SECRET])
        for _ in range(WRITES):
            writer.execute("update notes set n = n + 1")
        # It commits a little later: a check that already has its snapshot waits for it, and continues afterwards.
        migrate(world.owner, migration, "select pg_sleep(0.005)")

    with psycopg.connect(database_url, autocommit=True) as writer:
        async with prepared(migration, world.owner, world.table), world.relaying():
            stream = await world.stream(person("alice"), "notes")
            # Each check is for many identities, so that migrations commit during it.
            for n in range(BYSTANDERS):
                await world.subscriber(person(n), "notes")
            for _ in range(RACES):
                # In a thread, so that the hub continues meanwhile.
                await asyncio.to_thread(race, writer)
                await opened(stream)
