"""A stream with a filter is sent the visible rows that match it, as Postgres compares them."""

from __future__ import annotations

from tests.integration.filters.conftest import filtered, subscribed, told
from tests.integration.scenario import OWN, Stream, World, person
from tests.integration.snapshots.conftest import Replica


async def test_stream_is_sent_the_rows_that_are_visible_and_match(world: World) -> None:
    world.table("notes", "id int primary key, author text, status text", policy=OWN)
    async with world.relaying():
        published = await filtered(world, person(1), "notes", "status=eq.published")
        everything = await filtered(world, person(1), "notes")
        theirs = await filtered(world, person(2), "notes", "status=eq.published")
        world.write("insert into notes values (1, 1, 'draft'), (2, 1, 'published'), (3, 2, 'published')")
        assert await told(everything, 2) == [("create", 1), ("create", 2)]
        world.write("update notes set status = 'published' where id = 1")
        world.write("insert into notes values (4, 1, null), (5, 1, 'published'), (6, 2, 'published')")
        assert await told(published, 3) == [("create", 2), ("update", 1), ("create", 5)]
        assert await told(everything, 3) == [("update", 1), ("create", 4), ("create", 5)]
        assert await told(theirs, 2) == [("create", 3), ("create", 6)]


async def test_snapshot_has_the_rows_that_match_and_the_stream_goes_on_with_them(world: World) -> None:
    world.table("notes", "id int primary key, author text, status text", policy=OWN)
    world.table("letters", "id int primary key")
    world.write("insert into letters values (1)")
    world.write(
        "insert into notes select n, 1 + n % 2, case n % 3 when 0 then 'published' end from generate_series(1, 60) as n"
    )
    async with world.relaying():
        wanted = "notes.status=eq.published"
        stream = await subscribed(world, person(1), "notes,letters", wanted, snapshot=True)
        view = await Replica(Stream(stream), "").ready()
        assert list(view.rows["notes"]) == list(range(6, 61, 6))
        assert list(view.rows["letters"]) == [1]
        world.write("insert into notes values (100, 1, 'draft'), (102, 1, 'published')")
        await view.until("notes", 102)
        assert view.told["notes"] == [("create", 102)]


async def test_resuming_stream_is_sent_what_matched_meanwhile(world: World) -> None:
    world.table("notes", "id int primary key, status text, n int")
    async with world.relaying():
        everything = await filtered(world, person(1), "notes")
        stream = await filtered(world, person(1), "notes", "status=eq.published,n=gt.9")
        world.write("insert into notes values (1, 'published', 10), (2, 'published', 9)")
        event = await stream.next()
        assert event.json()["record"]["id"] == 1
        world.write("insert into notes values (3, 'published', 11), (4, 'draft', 11), (5, 'published', null)")
        world.write("insert into notes values (6, 'published', 100)")
        await told(everything, 6)
        resumed = await filtered(world, person(1), "notes", "status=eq.published,n=gt.9", resume=event.id)
        assert await told(resumed, 2) == [("create", 3), ("create", 6)]
        assert await told(stream, 2) == [("create", 3), ("create", 6)]


async def test_thousands_of_values_are_compared_with_hundreds_of_rows_in_time(world: World) -> None:
    world.table("notes", "id int primary key, n int")
    async with world.relaying():
        lists = [range(first, first + 1000) for first in range(1, 30_000, 1000)]
        streams = [
            await filtered(world, person(who), "notes", f"n=in.{'|'.join(map(str, values))}")
            for who, values in enumerate(lists)
        ]
        # Each is for one stream.
        world.write("insert into notes select n, 1 + n * 60 from generate_series(1, 499) as n")
        for stream, values in zip(streams, lists, strict=True):
            assert await told(stream, 1) == [("create", next(n for n in range(1, 500) if 1 + n * 60 in values))]
