"""What the hub puts first into a stream: it begins, resumes, or begins with a reset."""

import pytest

from ayb_realtime.hub.streams.subscriber import Subscriber
from tests.integration.scenario import World, person


def greeting(subscriber: Subscriber, position: int, resumed: str = "false", reset: str = "") -> bytes:
    """Return the expected beginning of a stream."""
    data = f'{{"clientId":"{subscriber.client_id}","resumed":{resumed}}}'
    return f"retry: 2000\nid: {position}\nevent: connected\ndata: {data}\n\n{reset}".encode()


async def test_stream_without_an_event_id_begins_at_the_position_of_the_hub(world: World) -> None:
    world.table("notes", "id int primary key")
    subscriber = await world.hub.subscribe(person(1), ["notes"])
    assert await anext(subscriber) == greeting(subscriber, world.hub.position)
    assert subscriber in world.hub.live_subscribers


async def test_stream_with_an_event_id_begins_after_that_event(world: World) -> None:
    world.table("notes", "id int primary key")
    async with world.relaying():
        begin = await world.caught_up()
        world.insert("notes", 1)
        await world.head(begin + 1)
        subscriber = await world.hub.subscribe(person(1), ["notes"], resume=str(begin))
        assert await anext(subscriber) == greeting(subscriber, begin, "true")
        assert b'"record":{"id":1}' in await anext(subscriber)


@pytest.mark.parametrize(
    ("resume", "reason"),
    [("x", "the last event id is not a position"), (str(10**18), "the log ends before that position")],
)
async def test_stream_whose_event_id_is_not_in_the_log_begins_now_with_a_reset_of_its_tables(
    world: World, resume: str, reason: str
) -> None:
    world.table("notes", "id int primary key")
    world.table("letters", "id int primary key")
    subscriber = await world.hub.subscribe(person(1), ["notes", "letters"], resume=resume, expires_at=None)
    position = world.hub.position
    reset = f'id: {position}\nevent: reset\ndata: {{"reason":"{reason}","tables":["notes","letters"]}}\n\n'
    assert await anext(subscriber) == greeting(subscriber, position, "false", reset)
    assert subscriber in world.hub.live_subscribers
