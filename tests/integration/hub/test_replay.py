"""Streams that resume make progress in fair turns, however many come after them."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from ayb_realtime.hub.hub import Hub
from ayb_realtime.hub.replaying import replay
from ayb_realtime.hub.streams.subscriber import Subscriber
from ayb_realtime.log import slices
from tests.integration.scenario import OWN, Owner, World, open_stream, person

# Far more rounds than fair turns need.
ROUNDS_MAX = 120
SLICES, SLICE_CHANGES = 20, 50


@pytest.fixture(autouse=True)
def short_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make slices short, so that a log of a thousand changes is long."""
    monkeypatch.setattr(slices, "SLICE_CHANGES", SLICE_CHANGES)


async def fill(the_hub: Hub, owner: Owner) -> int:
    """Write twenty slices of changes, of which person 1 sees every tenth; return the position before them."""
    watcher = await open_stream(the_hub, person(1), "notes")
    owner.execute("insert into notes values (0, '1')")
    begin = int((await watcher.next()).id)
    rows = "select n, case when n %% 10 = 0 then '1' else '' end from generate_series(1, %s) n"
    owner.execute(f"insert into notes {rows}".encode(), [SLICES * SLICE_CHANGES])
    while (await watcher.next_change())["record"]["id"] != SLICES * SLICE_CHANGES:
        pass
    return begin


def at_each_round(the_hub: Hub, monkeypatch: pytest.MonkeyPatch, come: Callable[[int], Any]) -> list[int]:
    """Call ``come`` before each round of the replay, up to ROUNDS_MAX; return the list of the rounds so far."""
    rounds: list[int] = []
    advance = the_hub._replay._advance

    async def noted(*arguments: Any) -> None:
        rounds.append(len(rounds))
        if len(rounds) <= ROUNDS_MAX:
            await come(len(rounds))
        await advance(*arguments)

    monkeypatch.setattr(the_hub._replay, "_advance", noted)
    return rounds


@pytest.mark.parametrize("user", [2, 1])
@pytest.mark.parametrize("leaves", [True, False])
async def test_streams_that_come_at_the_oldest_position_again_and_again_do_not_hold_up_another(
    world: World, monkeypatch: pytest.MonkeyPatch, user: int, leaves: bool
) -> None:
    world.table("notes", "id int primary key, author text", policy=OWN)
    async with world.relaying():
        begin = await fill(world.hub, world.owner)
        come: list[Subscriber] = []

        async def another(_: int) -> None:
            if leaves and come:
                world.hub.leave(come.pop())
            come.append(await world.subscriber(person(user), "notes", after=begin))

        rounds = at_each_round(world.hub, monkeypatch, another)
        await another(0)
        stream = await world.stream(person(1), "notes", after=begin + 700)
        ids = [(await stream.next_change())["record"]["id"] for _ in range(30)]
        needed = len(rounds)
    assert ids == list(range(710, 1001, 10))
    assert needed < ROUNDS_MAX


async def test_each_slice_gets_on_however_many_there_are(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.table("notes", "id int primary key, author text", policy=OWN)
    async with world.relaying():
        begin = await fill(world.hub, world.owner)
        come: list[Subscriber] = []

        async def others(number: int) -> None:
            # They are of one person, and always at every slice.
            for subscriber in come:
                world.hub.leave(subscriber)
            come[:] = [
                await world.subscriber(person(2), "notes", after=begin + number % SLICE_CHANGES + first)
                for first in range(0, (SLICES - 1) * SLICE_CHANGES, SLICE_CHANGES)
            ]

        rounds = at_each_round(world.hub, monkeypatch, others)
        await others(0)
        stream = await world.stream(person(1), "notes", after=begin + 400)
        ids = [(await stream.next_change())["record"]["id"] for _ in range(60)]
        needed = len(rounds)
    assert ids == list(range(410, 1001, 10))
    # Every second round is for this stream.
    assert needed < 2 * (SLICES + 2)


async def test_streams_that_are_opened_together_wait_for_each_other_and_share_each_round(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "OPENING_SECONDS", 60.0)
    world.table("notes", "id int primary key, author text", policy=OWN)
    async with world.relaying():
        begin = await fill(world.hub, world.owner)
        rounds = at_each_round(world.hub, monkeypatch, lambda _: asyncio.sleep(0))
        with world.hub.opening():
            with world.hub.opening():
                streams = [await world.stream(person(n), "notes", after=begin) for n in range(2, 7)]
            streams.append(await world.stream(person(7), "notes", after=begin))
            assert not rounds
        world.write("insert into notes select 1000 + n, n from generate_series(2, 7) n")
        ids = [(await stream.next_change())["record"]["id"] for stream in streams]
    assert ids == list(range(1002, 1008))
    # A slice may end early, and the new changes may be in two slices.
    assert len(rounds) <= SLICES + 3


async def test_streams_that_are_being_opened_hold_up_each_round_for_a_moment_only(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "OPENING_SECONDS", 0.01)
    world.table("notes", "id int primary key, author text", policy=OWN)
    async with world.relaying():
        begin = await fill(world.hub, world.owner)
        with world.hub.opening():
            stream = await world.stream(person(1), "notes", after=begin)
            assert [(await stream.next_change())["record"]["id"] for _ in range(100)] == list(range(10, 1001, 10))
