"""What Postgres cannot compare harms the streams whose filters ask for it, and where the row is visible to them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ayb_realtime.exceptions import InvalidParameter
from ayb_realtime.visibility import filter_questions
from tests.integration.filters.conftest import filtered, subscribed, told
from tests.integration.scenario import OWN, Stream, World, person, read_to_end

# LIKE for an enum. With a pattern that begins with an s, it fails for what is happy.
MOOD = """
create type mood as enum ('sad', 'ok', 'happy');
create function like_mood(mood mood, pattern text) returns boolean language plpgsql as $$
begin
    if mood = 'happy' and pattern like 's%' then
        {failure};
    end if;
    return mood::text like pattern;
end $$;
create operator ~~ (leftarg = mood, rightarg = text, function = like_mood);
"""
FAILURES = {
    "raises": "raise 'no'",
    "is slow": "perform pg_sleep(60)",
    "cannot be cancelled": "loop begin perform pg_sleep(60); exception when query_canceled then end; end loop",
}


@pytest.fixture
def moods(request: pytest.FixtureRequest, world: World, settings: Any) -> Any:
    settings.AYB_REALTIME = {**settings.AYB_REALTIME, "CHECK_TIMEOUT_SECONDS": 4}
    world.write(MOOD.replace("{failure}", FAILURES[request.param]))
    world.table("notes", "id int primary key, author text, mood mood", policy=OWN)
    yield world
    world.write("drop type mood cascade")


@pytest.mark.parametrize("moods", FAILURES, indirect=True)
async def test_filter_that_fails_harms_its_own_streams(moods: World) -> None:
    async with moods.relaying():
        failing = await filtered(moods, person(1), "notes", "mood=like.s%")
        not_visible = await filtered(moods, person(2), "notes", "mood=like.s%")
        same_operator = await filtered(moods, person(1), "notes", "mood=like.h%")
        other_operator = await filtered(moods, person(1), "notes", "mood=neq.sad")
        everything = await filtered(moods, person(1), "notes")
        theirs = await filtered(moods, person(2), "notes")
        moods.write("insert into notes values (1, 1, 'sad'), (2, 1, 'happy')")
        assert await told(everything, 2) == [("create", 1), ("create", 2)]
        assert await told(same_operator, 1) == [("create", 2)]
        assert await told(other_operator, 1) == [("create", 2)]
        await assert_reset(failing)
        moods.write("insert into notes values (3, 2, 'sad')")
        # It hears nothing of a row that it does not see. What failed twice is not compared for a while.
        assert (await not_visible.next()).id == (await theirs.next()).id


async def assert_reset(stream: Stream) -> None:
    """Read up to a reset. A row that was compared before may come first."""
    while (event := await stream.next()).event != "reset":
        assert event.json()["record"]["id"] == 1
    assert event.json()["tables"] == ["notes"]


async def test_stream_whose_filter_may_not_be_evaluated_any_more_ends(world: World) -> None:
    world.table("notes", "id int primary key, status text, body text")
    world.write(
        "revoke select on notes from ayb_authenticated; grant select (id, status, body) on notes to ayb_authenticated"
    )
    async with world.relaying():
        subscriber = await subscribed(world, person(1), "notes", "status=is.null")
        other = await filtered(world, person(1), "notes", "body=is.null")
        world.write("revoke select (status) on notes from ayb_authenticated")
        world.write("insert into notes values (1, null, null)")
        assert await told(other, 1) == [("create", 1)]
        assert b'"id":1' not in await read_to_end(subscriber)
        with pytest.raises(InvalidParameter, match=r"^filter: unknown column: notes\.status$"):
            await subscribed(world, person(1), "notes", "status=is.null")


async def test_column_that_is_renamed_is_gone(world: World) -> None:
    world.table("notes", "id int primary key, status text")
    async with world.relaying():
        subscriber = await subscribed(world, person(1), "notes", "status=eq.a")
        world.write("alter table notes rename status to state")
        world.write("insert into notes values (1, 'a')")
        assert b'"id":1' not in await read_to_end(subscriber)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("nothing=eq.1", "unknown column: notes.nothing"),
        ("secret=is.null", "unknown column: notes.secret"),
        ("xmin=eq.1", "unknown column: notes.xmin"),
        ("id=eq.x", 'notes.id: invalid input syntax for type integer: "x"'),
        ("id=in.1|99999999999", 'notes.id: value "99999999999" is out of range for type integer'),
        ("id=like.1", "notes.id: like is not for the type pg_catalog.int4"),
        ("title=like.a\\", "notes.title: LIKE pattern must not end with escape character"),
        ("title=like.\\ab\\", "notes.title: LIKE pattern must not end with escape character"),
        ("title=ilike.%a" + 5 * "\\", "notes.title: LIKE pattern must not end with escape character"),
        ("bytes=like.a", "notes.bytes: like is not for the type pg_catalog.bytea"),
        ("title=is.true", "notes.title: is is not for the type pg_catalog.text"),
        ("tags=eq.{}", "notes.tags: eq is not for the type pg_catalog._text"),
        ("data=is.null", "notes.data: is is not for the type pg_catalog.jsonb"),
        ("at=gt.yesterdays", 'notes.at: invalid input syntax for type timestamp with time zone: "yesterdays"'),
    ],
)
async def test_what_postgres_cannot_compare_is_refused(world: World, wanted: str, message: str) -> None:
    world.table(
        "notes", "id int primary key, title text, secret text, tags text[], data jsonb, at timestamptz, bytes bytea"
    )
    world.write("revoke select on notes from ayb_authenticated")
    world.write("grant select (id, title, tags, data, at, bytes) on notes to ayb_authenticated")
    with pytest.raises(InvalidParameter) as refusal:
        await subscribed(world, person(1), "notes", wanted)
    assert str(refusal.value) == f"filter: {message}"


async def test_many_filters_cost_one_query_and_none_cost_none(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def statements(connection: Any, pieces: Any, *others: Any) -> list[str]:
        asked.append({piece.comparand: len(piece.values) for piece in pieces})
        return ask(connection, pieces, *others)

    ask = filter_questions.statements
    monkeypatch.setattr(filter_questions, "statements", statements)
    world.table("notes", "id int primary key, room int, n int")
    async with world.relaying():
        everything = await filtered(world, person(0), "notes")
        world.write("insert into notes values (-1, 1, 0), (-2, 1, 0)")
        await told(everything, 2)
        assert asked == []
        opened = [filtered(world, person(n % 7), "notes", f"room=eq.{n},n=lt.{n % 3}") for n in range(500)]
        streams = await asyncio.gather(*opened)
        for n in range(3):
            world.write(f"insert into notes values ({n}, {100 + n}, 0)")
            await told(everything, 1)
            # At first in a transaction; then in the message that asks who sees the row.
            assert asked.pop() == {("room", "="): 500, ("n", "<"): 3}
            assert asked == []
        world.write("insert into notes select 1000 + n, n, -1 from generate_series(0, 499) n")
        for n, stream in enumerate(streams):
            seen = [("create", n - 100)] if n in (100, 101, 102) and n % 3 > 0 else []
            assert await told(stream, len(seen) + 1) == [*seen, ("create", 1000 + n)]
