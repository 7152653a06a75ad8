"""``changes()``: what an identity may see, in order, each once, across the ends of the hub's streams."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
import pytest_asyncio

import ayb_realtime
from ayb_realtime import Change, ChangeStream, Ready, Reset, Snapshot, changes
from ayb_realtime.exceptions import Unauthenticated, UnknownTable
from ayb_realtime.hub.hub import Hub
from ayb_realtime.hub.lifetime.rechecking import recheck
from ayb_realtime.hub.registry import close_hub, get_hub
from ayb_realtime.identity import identify
from example_project.blog.models import Post, User
from tests.example import MANAGE, Example
from tests.integration.scenario import OWN, World, person

COLUMNS = "id int primary key, author text default '1'"


@pytest_asyncio.fixture
async def notes(world: World, settings: Any) -> AsyncIterator[World]:
    """A streamed table of which each row is its author's, and a relay that runs."""
    settings.AYB_REALTIME = {"RETRY_MILLISECONDS": 10}
    world.table("notes", COLUMNS, policy=OWN)
    async with world.relaying():
        yield world


async def take(stream: ChangeStream) -> Change | Reset | Snapshot | Ready:
    """Wait for the next value, as long as a slow machine may need."""
    async with asyncio.timeout(30):
        return await anext(stream)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what the hub does not signal."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0)


async def take_id(stream: ChangeStream) -> int:
    """Wait for the next change; return the id of its row."""
    value = await take(stream)
    assert isinstance(value, Change)
    return int(value.record["id"])


async def test_identity_is_given_the_changes_that_it_may_see_in_order(notes: World) -> None:
    async with changes(["notes"], as_=person(1)) as stream:
        begun = stream.position
        notes.write("insert into notes values (1, '1'), (2, '2'), (3, '1')")
        values = [await take(stream), await take(stream)]
        notes.write("update notes set id = 4 where id = 1")
        values += [await take(stream), await take(stream)]
        notes.write("delete from notes where id = 3")
        values.append(await take(stream))
    assert begun is not None
    assert [(each.action, each.record) for each in values if isinstance(each, Change)] == [
        ("create", {"id": 1, "author": "1"}),
        ("create", {"id": 3, "author": "1"}),
        ("delete", {"id": 1}),
        ("create", {"id": 4, "author": "1"}),
        ("delete", {"id": 3}),
    ]
    positions = [each.position for each in values]
    assert begun < positions[0]
    assert sorted(set(positions)) == positions == [*positions[:-1], stream.position]
    assert notes.hub.open_streams() == []


async def test_values_are_as_exact_as_the_log_has_them(notes: World) -> None:
    notes.table("odd", "id int primary key, price numeric, data json")
    deep = "[" * 5000 + "]" * 5000
    async with changes("odd", as_=person(1)) as stream:
        notes.write("insert into odd values (1, 0.10, E'{\"a\":\\n\\n1.5}'), (2, 12345678901234567890.5, %s)", [deep])
        first, second = await take(stream), await take(stream)
    assert isinstance(first, Change)
    assert first.record == {"id": 1, "price": Decimal("0.10"), "data": {"a": Decimal("1.5")}}
    assert str(first.record["price"]) == "0.10"
    assert isinstance(second, Change)
    assert second.text == f'{{"id":2,"price":12345678901234567890.5,"data":{deep}}}'


async def test_stream_goes_on_after_a_position_without_a_gap(notes: World) -> None:
    async with changes(["notes"], as_=person(1)) as stream:
        notes.insert("notes", 1, 2)
        assert await take_id(stream) == 1
        position = stream.position
    notes.insert("notes", 3)
    async with changes(["notes"], as_=person(1), after=position) as stream:
        assert [await take_id(stream), await take_id(stream)] == [2, 3]


async def test_reset_is_a_value_in_its_place(notes: World) -> None:
    async with changes(["notes"], as_=person(1), after=2**62) as stream:
        assert stream.position == 2**62, "not before the reset is given"
        first = await take(stream)
        assert first == Reset("the log ends before that position", ("notes",), first.position)
        assert stream.position == first.position < 2**62
        notes.insert("notes", 1)
        assert await take_id(stream) == 1
        notes.write("truncate notes")
        notes.insert("notes", 2)
        second = await take(stream)
        assert (isinstance(second, Reset), getattr(second, "reason", "")) == (True, "table truncated")
        assert await take_id(stream) == 2


async def end_streams(hub: Hub) -> None:
    """End the streams as SIGTERM does, in a process that goes on."""
    await asyncio.wait([hub.end_streams()])


async def lose_hub(hub: Hub) -> None:
    """End the hub, so that the next stream is of another one."""
    await close_hub()


async def abandon(hub: Hub) -> None:
    """Take a reader that has read nothing for minutes for gone."""
    for subscriber in hub.open_streams():
        hub.leave(subscriber)


@pytest.mark.parametrize("end", [end_streams, lose_hub, abandon])
async def test_reader_goes_on_where_its_stream_of_the_hub_has_ended(notes: World, end: Any) -> None:
    async with changes(["notes"], as_=person(1)) as stream:
        notes.insert("notes", 1)
        assert await take_id(stream) == 1
        reading = asyncio.create_task(take_id(stream))
        await end(notes.hub)
        notes.insert("notes", 2, 3)
        assert [await reading, await take_id(stream)] == [2, 3]


async def test_slow_reader_loses_nothing(notes: World, settings: Any) -> None:
    settings.AYB_REALTIME = {"RETRY_MILLISECONDS": 10, "BUFFER_BYTES": 100}
    async with changes(["notes"], as_=person(1)) as stream:
        (subscriber,) = notes.hub.open_streams()
        notes.insert("notes", *range(10))
        await until(lambda: not subscriber.is_caught_up)
        notes.insert("notes", *range(10, 20))
        await until(lambda: subscriber.ended)
        assert [await take_id(stream) for _ in range(20)] == list(range(20))


async def test_reader_waits_while_the_database_is_away(notes: World, caplog: pytest.LogCaptureFixture) -> None:
    async with changes(["notes"], as_=person(1)) as stream:
        notes.insert("notes", 1)
        assert await take_id(stream) == 1
        await close_hub()
        answers = [psycopg.OperationalError("the database system is starting up"), None]

        async def who(subject: Any) -> Any:
            if answer := answers.pop(0):
                raise answer
            return subject, []

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("ayb_realtime.change_stream._who", who)
            notes.insert("notes", 2)
            assert await take_id(stream) == 2
    assert "changes cannot be read now" in caplog.text


async def test_cancelled_reader_leaves_the_hub_and_may_read_on(notes: World) -> None:
    stream = changes(["notes"], as_=person(1))
    async with aclosing(stream):
        reading = asyncio.ensure_future(anext(stream))
        await until(lambda: bool(notes.hub.open_streams()))
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert notes.hub.open_streams() == []
        notes.insert("notes", 1)
        while isinstance(value := await take(stream), Reset):  # That the table is streamed may be numbered only now.
            pass
        assert isinstance(value, Change)
        assert value.record["id"] == 1


async def test_closed_stream_ends_also_for_who_waits(notes: World) -> None:
    async with changes(["notes"], as_=person(1)) as stream:
        reading = asyncio.create_task(anext(stream, None))
        await asyncio.sleep(0)
        await stream.aclose()
        assert await reading is None
        assert [value async for value in stream] == []
    assert notes.hub.open_streams() == []


async def test_loop_that_breaks_leaves_the_hub(notes: World) -> None:
    async with changes(["notes"], as_=person(1)) as first:
        position = first.position
        notes.insert("notes", 1)
    async for _ in changes(["notes"], as_=person(1), after=position):
        break
    await asyncio.sleep(0)
    assert notes.hub.open_streams() == []


async def test_user_reads_as_itself_until_it_may_no_longer(notes: World) -> None:
    author = await User.objects.acreate(email="author@example.com")
    async with changes([Post], as_=author) as stream:
        mine = await Post.objects.acreate(author=author, title="Mine")
        value = await take(stream)
        assert (isinstance(value, Change), getattr(value, "record", {})["id"]) == (True, mine.pk)
        assert [each.identity for each in notes.hub.open_streams()] == [identify(author)]
        await User.objects.filter(pk=author.pk).aupdate(is_active=False)
        await recheck((await get_hub()).open_streams())
        with pytest.raises(Unauthenticated):
            await take(stream)


async def test_table_that_is_not_streamed_is_refused_as_it_is_entered(notes: World) -> None:
    with pytest.raises(UnknownTable, match="no_such"):
        async with changes(["no_such"], as_=person(1)):
            pass
    with pytest.raises(ValueError, match="at least one table"):
        changes([], as_=person(1))


def test_package_has_no_other_lazy_name() -> None:
    assert set(ayb_realtime.__all__) == {"Change", "ChangeStream", "Ready", "Reset", "Snapshot", "changes"}
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        getattr(ayb_realtime, "nothing")  # noqa: B009


WORKER = """
import asyncio, logging, django
django.setup()
from ayb_realtime import changes
from ayb_realtime.identity import Identity

async def read_one():
    async for _ in changes("posts", as_=Identity("ayb_authenticated", ()), after=2**62):
        return

logging.getLogger("ayb_realtime").setLevel("ERROR")  # No relay runs, which is said.
asyncio.run(read_one())
print("done")
"""


def test_process_that_has_read_ends_without_a_word(seeded_url: str, tmp_path: Path) -> None:
    example = Example(seeded_url, tmp_path, DJANGO_SETTINGS_MODULE="example_project.settings", DEBUG="0")
    command = [sys.executable, "-W", "error", "-c", WORKER]
    done = subprocess.run(
        command, env=example.environment, cwd=MANAGE.parent, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("done\n", "")
