"""``changes()`` with a filter, with fields and with a snapshot: the rows are those that SELECT finds."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
import pytest_asyncio

from ayb_realtime import Change, ChangeStream, Ready, Reset, Snapshot, changes
from ayb_realtime.exceptions import InvalidParameter, SnapshotFailed
from ayb_realtime.hub.snapshots import sharing
from example_project.blog.models import Post, User
from tests.integration.scenario import OWN, World, person
from tests.integration.snapshots.conftest import selected
from tests.unit.test_documents import printed

COLUMNS = "id int primary key, author text default '1', n int default 0, word text default ''"
TABLES = ["notes", "ends"]


@pytest_asyncio.fixture
async def notes(world: World, settings: Any) -> AsyncIterator[World]:
    """A streamed table of which each row is its author's, another one for marks, and a relay that runs."""
    settings.AYB_REALTIME = {"RETRY_MILLISECONDS": 10, "DELETE_VISIBILITY": "policy"}
    world.table("notes", COLUMNS, policy=OWN)
    world.write("grant select on notes to ayb_authenticated")
    world.table("ends", "id int primary key")
    async with world.relaying():
        yield world


class Rows:
    """What a caller has who keeps the rows of ``notes``, by id.

    told: the kinds of all values that it was given.
    """

    def __init__(self, stream: ChangeStream) -> None:
        self.rows: dict[int, Any] = {}
        self.told: list[str] = []
        self._stream = stream

    async def next(self) -> object:
        """Take the next value, as long as a slow machine may need."""
        async with asyncio.timeout(30):
            value = await anext(self._stream)
        self.told.append(type(value).__name__)
        match value:
            case Reset():
                self.rows.clear()
            case Snapshot(table="notes", records=records):
                assert not self.rows.keys() & {row["id"] for row in records}, "a snapshot has each row once"
                self.rows |= {row["id"]: row for row in records}
            case Change(table="notes", action="delete", record=record):
                self.rows.pop(record["id"], None)
            case Change(table="notes", record=record):
                self.rows[record["id"]] = record
        return value

    async def until(self, kind: type, **fields: object) -> "Rows":
        """Take values up to one like this."""
        while True:
            value = await self.next()
            if isinstance(value, kind) and all(getattr(value, name) == field for name, field in fields.items()):
                return self


def random_filter(chance: random.Random) -> tuple[str, str]:
    """Return a filter of the table ``notes``, and the same in SQL."""
    value, pattern = chance.randint(0, 9), chance.choice(["a%", "%b", "_", "%"])
    conditions = [
        (f"notes.n=eq.{value}", f"n = {value}"),
        (f"notes.n=neq.{value}", f"n <> {value}"),
        (f"notes.n=lt.{value}", f"n < {value}"),
        (f"notes.n=gte.{value}", f"n >= {value}"),
        (f"notes.n=in.{value}|{value + 1}", f"n in ({value}, {value + 1})"),
        ("notes.n=is.null", "n is null"),
        (f"notes.word=ilike.{pattern}", f"word ilike '{pattern}'"),
        (f"notes.word=like.{pattern}", f"word like '{pattern}'"),
        (r"notes.word=eq.a\,b", "word = 'a,b'"),
    ]
    chosen = chance.sample(conditions, chance.randint(1, 2))
    return ",".join(each for each, _ in chosen), " and ".join(each for _, each in chosen)


def write_at_random(world: World, chance: random.Random, last: int) -> None:
    """Insert, update or delete some notes, one of them perhaps the note after the last one."""
    values = f"{chance.choice(['null', *range(10)])}, {chance.choice([repr(each) for each in ('', 'a', 'Ab', 'a,b')])}"
    row_id = chance.randint(1, last)
    world.write(
        chance.choice(
            [
                f"insert into notes values ({last + 1}, {1 + last % 2}, {values})",
                f"update notes set (n, word) = ({values}) where id = {row_id}",
                f"update notes set (n, word) = ({values}) where id between {row_id} and {row_id + 5}",
                f"update notes set author = {1 + row_id % 2} where id = {row_id}",
                f"delete from notes where id = {row_id}",
            ]
        )
    )


async def test_filtered_rows_are_those_that_select_finds_in_the_snapshot_and_after_each_change(notes: World) -> None:
    chance = random.Random(66)
    for last in range(60):
        write_at_random(notes, chance, last + 1)
    filters = [random_filter(chance) for _ in range(20)]
    readers = [Rows(changes(TABLES, as_=person(1), filter=each, snapshot=True)) for each, _ in filters]
    for reader in readers:
        await reader.until(Ready)

    def found(where: str) -> dict[int, Any]:
        return selected(notes.owner, person(1), f"(select * from notes where {where})")

    assert [reader.rows for reader in readers] == [found(where) for _, where in filters]
    assert len({tuple(reader.rows) for reader in readers}) > 5
    for last in range(100, 160):
        write_at_random(notes, chance, last)
    notes.insert("ends", 1)
    for reader in readers:
        await reader.until(Change, table="ends")
    assert [reader.rows for reader in readers] == [found(where) for _, where in filters]


async def test_snapshot_goes_on_live_without_a_gap_while_rows_are_written(notes: World) -> None:
    notes.write("insert into notes select n, 1 + n % 2 from generate_series(1, 500) n")

    async def write(first: int) -> None:
        chance = random.Random(first)
        for last in range(first, first + 100):
            await asyncio.to_thread(write_at_random, notes, chance, last)

    readers = [Rows(changes(TABLES, as_=person(1 + n % 2), snapshot=True)) for n in range(6)]
    await asyncio.gather(write(600), *(reader.until(Ready) for reader in readers))
    await asyncio.to_thread(notes.write, "truncate notes")
    await asyncio.gather(write(800), *(reader.until(Reset) for reader in readers))
    await asyncio.gather(write(1000), *(reader.until(Ready) for reader in readers))
    notes.insert("ends", 1)
    for n, reader in enumerate(readers):
        await reader.until(Change, table="ends")
        assert reader.rows == selected(notes.owner, person(1 + n % 2), "notes")
        assert reader.told.count("Reset") == 1


async def test_fields_are_those_of_the_records_besides_the_key(notes: World) -> None:
    notes.write("insert into notes values (1, '1', 5, 'a')")
    given: Sequence[str | Sequence[str]] = ["word, notes.n", ["word", "n"]]
    for number, fields in enumerate(given, 2):
        async with changes("notes", as_=person(1), fields=fields, snapshot=True) as stream:
            reader = await Rows(stream).until(Ready)
            assert reader.rows[1] == {"id": 1, "n": 5, "word": "a"}
            notes.insert("notes", number)
            await reader.until(Change)
            assert reader.rows[number] == {"id": number, "n": 0, "word": ""}


async def test_printed_mirror_has_what_select_finds(notes: World) -> None:
    author = await User.objects.acreate(email="author@example.com")
    post = await Post.objects.acreate(author=author, title="First", published=True)
    rows: dict[int, Any] = {}
    mirroring = asyncio.create_task(printed("client.md", "def mirror")["mirror"](author, rows))
    steps: list[tuple[dict[str, Any], list[str]]] = [
        ({"body": ""}, ["First"]),
        ({"title": "Second"}, ["Second"]),
        ({"published": False}, []),
    ]
    async with asyncio.timeout(30):
        for values, titles in steps:
            await Post.objects.filter(pk=post.pk).aupdate(**values)
            while [row["title"] for row in rows.values()] != titles and not mirroring.done():  # noqa: ASYNC110
                await asyncio.sleep(0)
    mirroring.cancel()
    with pytest.raises(asyncio.CancelledError):
        await mirroring


async def test_position_is_told_once_all_rows_are_given_and_resumes_without_a_snapshot(notes: World) -> None:
    notes.insert("notes", 1)
    async with changes("notes", as_=person(1), snapshot=True) as stream:
        assert stream.position is None
        assert await Rows(stream).next() == Snapshot("notes", '[{"id":1,"author":"1","n":0,"word":""}]')
        assert stream.position == 0
        await Rows(stream).until(Ready)
        position = stream.position
    assert position
    notes.insert("notes", 2)
    async with changes("notes", as_=person(1), after=position, snapshot=True) as stream:
        reader = await Rows(stream).until(Change)
        assert (list(reader.rows), reader.told) == ([2], ["Change"])


async def test_snapshot_that_breaks_off_is_given_again_after_a_reset(notes: World) -> None:
    notes.insert("notes", 1, 2)
    async with changes(TABLES, as_=person(1), snapshot=True) as stream:
        reader = await Rows(stream).until(Snapshot)
        stream._values.clear()
        await asyncio.wait([notes.hub.end_streams()])
        await reader.until(Ready)
        assert [*dict.fromkeys(reader.told)] == ["Snapshot", "Reset", "Ready"]
        assert list(reader.rows) == [1, 2]


async def test_reader_that_is_closed_by_another_task_within_a_snapshot_leaves_the_hub(notes: World) -> None:
    stream = changes("notes", as_=person(1), snapshot=True)
    reading = asyncio.create_task(anext(stream, None))
    async with asyncio.timeout(30):
        while not notes.hub.open_streams():  # noqa: ASYNC110 - the hub has no signal for this
            await asyncio.sleep(0)
        await stream.aclose()
        await reading
    assert [value async for value in stream] == []
    assert notes.hub.open_streams() == []


async def test_snapshot_that_is_read_too_slowly_says_so(notes: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing, "PATIENCE_SECONDS", 0.0)
    notes.write("insert into notes select n, '1', n, repeat('x', 40000) from generate_series(1, 3) n")
    async with changes("notes", as_=person(1), snapshot=True) as stream:
        (subscriber,) = notes.hub.open_streams()
        async with asyncio.timeout(30):
            while not subscriber.ended:  # noqa: ASYNC110 - the hub has no signal for this
                await asyncio.sleep(0)
        with pytest.raises(SnapshotFailed, match="Take all of its rows first"):
            await Rows(stream).until(Ready)


async def test_rows_that_select_fails_for_are_said_to_be(notes: World) -> None:
    notes.table("odd", "id int primary key", policy="1 / id > 0")
    notes.write("grant select on odd to ayb_authenticated")
    notes.insert("odd", 0)
    with pytest.raises(SnapshotFailed, match="the snapshot of odd failed: division by zero"):
        await Rows(changes("odd", as_=person(1), snapshot=True)).next()


async def test_what_cannot_be_read_is_refused_at_once_and_what_cannot_be_compared_as_it_begins(notes: World) -> None:
    with pytest.raises(InvalidParameter, match=r"filter: not column=operator\.value"):
        changes("notes", as_=person(1), filter="n")
    wrong: list[tuple[Any, str]] = [({"filter": "secret=eq.1"}, "filter: .*secret"), ({"fields": "secret"}, "fields: ")]
    for wanted, message in wrong:
        with pytest.raises(InvalidParameter, match=message):
            async with changes("notes", as_=person(1), **wanted):
                pass
