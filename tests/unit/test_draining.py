"""Few streams end at once, many in groups; each tells its client when to reconnect."""

import asyncio
import re
from random import Random

import pytest

from ayb_realtime.hub.lifetime import draining
from ayb_realtime.hub.lifetime.draining import end_in_groups, groups, retry_hint
from ayb_realtime.hub.streams.subscriber import Subscriber
from ayb_realtime.identity import Identity


def make() -> Subscriber:
    """Make a stream that sends no heartbeats."""
    return Subscriber(Identity("ayb_authenticated", ()), [], buffer_bytes=1000, heartbeat_seconds=3600.0)


async def rest(stream: Subscriber) -> bytes:
    """Read to the end of the stream."""
    async with asyncio.timeout(30):
        return b"".join([chunk async for chunk in stream])


def test_no_streams_are_no_groups() -> None:
    assert list(groups([], Random(1))) == []


@pytest.mark.parametrize("count", [1, 200])
def test_few_streams_end_at_once(count: int) -> None:
    ((seconds, group),) = groups(range(count), Random(1))
    assert seconds == 0.0
    assert sorted(group) == list(range(count))


@pytest.mark.parametrize("count", [201, 1000, 5000, 100_001])
def test_many_streams_end_in_groups_of_at_most_a_twentieth_within_two_seconds(count: int) -> None:
    yielded = list(groups(range(count), Random(1)))
    assert len(yielded) > 1
    assert max(len(group) for _, group in yielded) <= max(200, -(-count // 20))
    assert yielded[0][0] == 0.0
    assert all(seconds > 0 for seconds, _ in yielded[1:])
    assert sum(seconds for seconds, _ in yielded) < 2.0
    assert sorted(number for _, group in yielded for number in group) == list(range(count))


def test_order_of_the_endings_is_random() -> None:
    assert list(groups(range(400), Random(1))) != list(groups(range(400), Random(2)))


def test_clients_are_told_to_come_back_at_random_times_around_the_usual_one() -> None:
    random = Random(1)
    waits = []
    for _ in range(2000):
        found = re.fullmatch(rb"retry: (\d+)\n\n", retry_hint(2000, random))
        assert found is not None
        waits.append(int(found[1]))
    assert 1000 <= min(waits) < 1100
    assert 2900 < max(waits) <= 3000
    # Spread evenly: no tenth of the time has twice its share of streams.
    assert max(sum(low <= wait < low + 200 for wait in waits) for low in range(1000, 3000, 200)) < 2 * 200


async def test_every_stream_gets_what_it_has_and_its_retry_hint_and_ends() -> None:
    streams = [make() for _ in range(3)]
    for stream in streams:
        stream.push(b"data: waiting\n\n")
    await end_in_groups(streams, Random(1))
    said = [await rest(stream) for stream in streams]
    assert all(re.fullmatch(rb"data: waiting\n\nretry: \d+\n\n", words) for words in said)
    assert len(set(said)) == 3


async def test_next_group_waits_until_the_pause_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draining, "GROUP_STREAMS", 2)
    monkeypatch.setattr(draining, "PAUSE_SECONDS", 3600.0)
    streams = [make() for _ in range(4)]
    ending = asyncio.create_task(end_in_groups(streams, Random(1)))
    readings = [asyncio.create_task(rest(stream)) for stream in streams]
    await asyncio.wait(readings, return_when=asyncio.FIRST_COMPLETED)
    assert sum(stream.ended for stream in streams) == 2
    for task in (ending, *readings):
        task.cancel()
    await asyncio.gather(ending, *readings, return_exceptions=True)
