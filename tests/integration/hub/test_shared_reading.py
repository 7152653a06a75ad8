"""Which reads of the log there are, and how many streams that resume share them."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from channels.layers import InMemoryChannelLayer

from ayb_realtime.hub.admission import Answer
from ayb_realtime.hub.replaying import kept_slices
from ayb_realtime.log import queries, slices
from ayb_realtime.log.changes import Change
from ayb_realtime.postgres import tables
from tests.integration.scenario import (
    World,
    person,
)


def noted_reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Record from now on the position after which the log is read, each time."""
    reads: list[int] = []
    read = queries.read

    async def noted(connection: Any, *, after: int, **options: Any) -> list[Change]:
        reads.append(after)
        return await read(connection, after=after, **options)

    monkeypatch.setattr(queries, "read", noted)
    return reads


async def write_at_length(world: World, begin: int) -> None:
    """Write five thousand letters in one transaction, then a note; none of them goes through the layer."""
    world.write("insert into letters select n, repeat('x', 100) from generate_series(1, 5000) n")
    async with world.relaying(InMemoryChannelLayer()):
        world.insert("notes", 1)
        await world.head(begin + 5001)


@pytest.mark.parametrize("resumes", [False, True])
async def test_what_no_stream_is_of_is_not_read(world: World, monkeypatch: pytest.MonkeyPatch, resumes: bool) -> None:
    world.table("notes", "id int primary key")
    world.table("letters", "id int primary key, body text")
    async with world.relaying():
        begin = await world.caught_up()
    stream = await world.stream(person(1), "notes")
    reads = noted_reads(monkeypatch)
    await write_at_length(world, begin)
    assert await stream.next_ids(1) == [1]
    if resumes:
        reads.clear()
        assert await (await world.stream(person(2), "notes", after=begin)).next_ids(1) == [1]
    assert len(reads) <= 2


async def test_stream_of_what_was_not_read_that_joins_before_it_is_delivered_gets_all_of_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.table("notes", "id int primary key")
    world.table("letters", "id int primary key, body text")
    async with world.relaying():
        begin = await world.caught_up()
    comes, has_read = asyncio.Event(), asyncio.Event()
    ask, fill_gap = world.hub._admission.ask, world.hub.feed._fill_gap

    async def asked(role: str) -> Answer:
        answer = await ask(role)
        comes.set()
        return answer

    async def noted(gap: Any, skippable: Any) -> Any:
        read = await fill_gap(gap, skippable)
        assert read is not None
        assert read.changes == ()
        has_read.set()
        return read

    monkeypatch.setattr(world.hub._admission, "ask", asked)
    async with world.hub._live.delivery_lock:
        joining = asyncio.create_task(world.stream(person(1), "letters"))
        await comes.wait()
        monkeypatch.setattr(world.hub.feed, "_fill_gap", noted)
        await write_at_length(world, begin)
        await has_read.wait()
        monkeypatch.setattr(world.hub.feed, "_fill_gap", fill_gap)
    assert await (await joining).next_ids(5000) == list(range(1, 5001))


async def test_streams_that_resume_together_share_the_reading(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.table("notes", "id int primary key")
    async with world.relaying():
        begin = await world.caught_up()
        world.write("insert into notes select generate_series(1, 3000)")
        follower = await world.stream(person(0), "notes")
        world.insert("notes", 3001)
        while (await follower.next_change())["record"]["id"] != 3001:
            pass
        reads = noted_reads(monkeypatch)
        streams = [await world.stream(person(n), "notes", after=begin) for n in range(50)]
        ids = await asyncio.gather(*(stream.next_ids(3001) for stream in streams))
    assert ids == [list(range(1, 3002))] * 50
    # Seven slices of 500, and again for streams that were not open yet or had not read yet.
    assert len(reads) < 50


@pytest.mark.parametrize(("count", "is_read_again"), [(kept_slices.KEPT_SLICES, False), (2, True)])
async def test_streams_that_resume_one_after_the_other_share_the_reading_as_far_as_it_is_kept(
    world: World, monkeypatch: pytest.MonkeyPatch, count: int, is_read_again: bool
) -> None:
    monkeypatch.setattr(kept_slices, "KEPT_SLICES", count)
    world.table("notes", "id int primary key")
    async with world.relaying():
        begin = await world.caught_up()
        world.write("insert into notes select generate_series(1, 1500)")
        await world.head(begin + 1500)
        follower = await world.stream(person(0), "notes", after=begin + 1499)
        assert await follower.next_ids(1) == [1500]
        reads = noted_reads(monkeypatch)
        await world.stream(person(0), "notes", after=begin)  # does not read, so it resumes for a long time
        for n in range(5):
            stream = await world.stream(person(n), "notes", after=begin + n)
            assert await stream.next_ids(1500 - n) == list(range(n + 1, 1501))
    assert (len(reads) > len(set(reads))) == is_read_again
    # The first slice of each, and from there on the slices of all.
    assert len(set(reads)) <= 5 + 1500 / slices.SLICE_CHANGES + 1


async def test_thousands_that_come_back_at_once_share_what_they_ask_and_read(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.table("notes", "id int primary key")
    async with world.relaying():
        begin = await world.caught_up()
        world.insert("notes", *range(1, 21))
        await world.head(begin + 20)
        asked: list[str] = []
        for module, name in ((tables, "streamed"), (queries, "bounds"), (queries, "read")):
            monkeypatch.setattr(module, name, counting(asked, getattr(module, name)))
        coming = [world.stream(person(n % 3), "notes", after=begin) for n in range(5000)]
        streams = await asyncio.gather(*coming)
        ids = await asyncio.gather(*(stream.next_ids(20) for stream in streams))
    assert ids == [list(range(1, 21))] * 5000
    assert len(asked) < 50


def counting(calls: list[str], ask: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that does the same, and records each call."""

    async def noted(*arguments: Any, **options: Any) -> Any:
        calls.append(ask.__name__)
        return await ask(*arguments, **options)

    return noted
