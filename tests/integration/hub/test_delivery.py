"""What a stream is sent: the visible changes of its tables, in order, each once."""

import asyncio
import subprocess
from contextlib import AsyncExitStack
from uuid import uuid4

import pytest

from ayb_realtime.conf import conf
from ayb_realtime.identity import ANONYMOUS_ROLE, Identity
from ayb_realtime.visibility import catalog_cache
from embedded.postgres import bundled_binaries
from example_project.blog.models import Post, User
from tests.integration.scenario import OWN, World, person


@pytest.mark.usefixtures("layer")
async def test_changes_through_each_layer_reach_exactly_who_may_see_them(world: World) -> None:
    world.table("notes", "id int primary key, author text, body text", policy=OWN)
    async with world.relaying():
        mine = await world.stream(person(1), "notes")
        theirs = await world.stream(person(2), "notes")
        world.write("insert into notes values (1, '1', 'first')")
        record = {"id": 1, "author": "1", "body": "first"}
        assert await mine.next_change() == {"action": "create", "table": "notes", "record": record}
        world.write("update notes set body = 'second'")
        assert await mine.next_change() == {
            "action": "update",
            "table": "notes",
            "record": {**record, "body": "second"},
        }
        world.write("delete from notes")
        delete = {"action": "delete", "table": "notes", "record": {"id": 1}}
        assert await mine.next_change() == delete
        assert await theirs.next_change() == delete


async def test_stream_gets_only_the_tables_it_names(world: World) -> None:
    world.table("notes", "id int primary key")
    world.table("other", "id int primary key")
    async with world.relaying():
        notes = await world.stream(person(1), "notes")
        both = await world.stream(person(1), "notes", "other")
        world.insert("other", 1)
        world.insert("notes", 2)
        assert await notes.next_ids(1) == [2]
        assert await both.next_ids(2) == [1, 2]


async def test_questions_of_requests_take_no_connection_from_deliveries(world: World) -> None:
    world.table("notes", "id int primary key, author text", policy=OWN)
    async with world.relaying(), AsyncExitStack() as stack:
        stream = await world.stream(person(1), "notes")
        for _ in range(conf.pool_size):
            await stack.enter_async_context(world.hub._pool.connection())
        for row_id in range(100):
            world.write("insert into notes values (%s, '1')", [row_id])
        assert await stream.next_ids(100) == list(range(100))


async def test_catalogs_that_change_again_and_again_keep_no_other_stream_waiting(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.table("notes", "id int primary key, author text", policy=OWN)
    async with world.relaying():
        stream = await world.stream(person(1), "notes")
        with monkeypatch.context() as patch:
            patch.setattr(catalog_cache, "fingerprints", lambda _: "select array[concat(%s, random())]")
            world.write("insert into notes values (1, '1')")
            event = await stream.next()
            assert (event.event, event.json()["reason"]) == ("reset", "row could not be checked")
            async with asyncio.timeout(30):
                await world.stream(person(2), "notes")


async def test_positions_are_dense_and_are_the_event_ids(world: World) -> None:
    world.table("notes", "id int primary key")
    async with world.relaying():
        begin = await world.caught_up()
        stream = await world.stream(person(1), "notes")
        world.insert("notes", 1, 2, 3)
        assert [int((await stream.next()).id) for _ in range(3)] == [begin + 1, begin + 2, begin + 3]


async def test_truncate_tells_clients_to_fetch_again(world: World) -> None:
    world.table("notes", "id int primary key")
    async with world.relaying():
        stream = await world.stream(person(1), "notes")
        world.write("truncate notes")
        event = await stream.next()
        assert (event.event, event.json()) == ("reset", {"reason": "table truncated", "tables": ["notes"]})
        world.insert("notes", 1)
        assert await stream.next_ids(1) == [1]


async def test_transaction_shows_only_the_final_state_of_each_row(world: World) -> None:
    world.table("notes", "id int primary key, body text")
    async with world.relaying():
        stream = await world.stream(person(1), "notes")
        with world.owner.transaction():
            world.write("insert into notes values (1, 'a'), (2, 'gone')")
            world.write("update notes set body = 'b'")
            world.write("delete from notes where id = 2")
        world.insert("notes", 3)
        first, second = await stream.next_change(), await stream.next_change()
        assert first == {"action": "create", "table": "notes", "record": {"id": 1, "body": "b"}}
        assert second["record"]["id"] == 3


async def test_role_that_may_not_read_the_table_gets_not_even_its_deletes(world: World) -> None:
    world.table("notes", "id text primary key")
    world.table("other", "id int primary key")
    world.write("revoke select on notes from ayb_authenticated")
    async with world.relaying():
        stream = await world.stream(person(1), "notes", "other")
        world.write("insert into notes values ('secret')")
        world.write("update notes set id = 'secret too'")
        world.write("delete from notes")
        world.write("truncate notes")
        world.insert("other", 1)
        assert await stream.next_ids(1) == [1]


async def test_users_of_one_role_share_the_bytes_where_no_policy_tells_them_apart(world: World) -> None:
    world.table("notes", "id int primary key, secret text")
    world.table("drafts", "id int primary key, author text", policy=OWN)
    world.write("grant select (id) on notes to ayb_anonymous")
    anonymous = Identity(ANONYMOUS_ROLE, (("ayb.user_id", "1"),))
    async with world.relaying():
        mine, theirs = await world.subscriber(person(1), "notes"), await world.subscriber(person(2), "notes")
        unnamed = await world.stream(anonymous, "notes")
        other = await world.stream(person(2), "notes", "drafts")
        with world.owner.transaction():
            world.write("insert into drafts values (1, '1'), (2, '2')")
            world.write("insert into notes values (3, 'for users')")
        async with asyncio.timeout(30):
            chunk = await anext(mine)
            assert chunk is await anext(theirs)
        assert b'{"id":3,"secret":"for users"}' in chunk
        assert (await unnamed.next_change())["record"] == {"id": 3}
        assert await other.next_ids(2) == [2, 3]


async def test_key_that_includes_a_column_does_not_send_it(world: World) -> None:
    world.table("notes", "id int, secret text, primary key (id) include (secret)", policy="false")
    async with world.relaying():
        stream = await world.stream(person(1), "notes")
        world.write("insert into notes values (1, 'x')")
        world.write("update notes set secret = 'y'")
        world.write("delete from notes")
        assert await stream.next_change() == {"action": "delete", "table": "notes", "record": {"id": 1}}


async def test_two_phase_commit_of_a_quiet_table_arrives_once_it_commits(world: World) -> None:
    world.table("notes", "id int primary key", enable=False)
    world.write("select ayb_realtime.enable_v1('notes', false)")
    name = uuid4().hex
    async with world.relaying():
        stream = await world.stream(person(1), "notes")
        world.write("begin")
        world.insert("notes", 1)
        world.write(f"prepare transaction '{name}'")
        world.insert("notes", 2)
        assert await stream.next_ids(1) == [2]
        world.write(f"commit prepared '{name}'")
        assert await stream.next_ids(1) == [1]


async def test_write_of_every_kind_arrives_and_a_rolled_back_one_never_does(world: World, database_url: str) -> None:
    world.table("squads", "id int primary key", enable=False)
    world.table("notes", "id int primary key, team int references squads on delete cascade")
    world.write("insert into squads values (1)")
    async with world.relaying():
        await world.caught_up()
        stream = await world.stream(person(uuid4()), "notes", "posts")

        psql = [str(bundled_binaries() / "psql"), database_url, "--no-psqlrc", "--quiet", "--command"]
        await asyncio.to_thread(subprocess.run, [*psql, "insert into notes values (1, 1)"], check=True)
        assert (await stream.next_change())["record"] == {"id": 1, "team": 1}

        with world.owner.transaction(force_rollback=True):
            world.write("insert into notes values (666, 1)")

        with world.owner.cursor() as cursor, cursor.copy("copy notes from stdin") as copy:
            copy.write_row((2, 1))
            copy.write_row((3, 1))
        assert await stream.next_ids(2) == [2, 3]

        author = await User.objects.acreate(email="author@example.com")
        post = await Post.objects.acreate(author=author, title="by the ORM", published=True)
        change = await stream.next_change()
        assert (change["table"], change["record"]["id"], change["record"]["title"]) == ("posts", post.id, "by the ORM")
        assert change["record"]["created_at"].endswith("Z")

        world.write("delete from squads")
        deletes = [await stream.next_change() for _ in range(3)]
        assert {change["action"] for change in deletes} == {"delete"}
        assert sorted(change["record"]["id"] for change in deletes) == [1, 2, 3]
