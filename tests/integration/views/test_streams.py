"""A stream of the view: its headers, first bytes, resumes and end."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.layers import BaseChannelLayer
from rest_framework_simplejwt.tokens import AccessToken

from ayb_realtime.hub.hub import Hub
from ayb_realtime.identity import Identity, default_identity
from ayb_realtime.reset_reasons import ResetReason
from tests.integration.scenario import MakeTable, Owner, relaying
from tests.integration.views.conftest import INVALID, answer, stream_of


async def test_replays_wait_for_a_request_from_when_it_has_come_until_its_stream_is_open(
    get: Callable[..., Any], the_hub: Hub, settings: Any, token: str
) -> None:
    opening: list[int] = []

    def identity(user: Any, claims: Any) -> Identity:
        opening.append(the_hub._replay._opening)
        return default_identity(user, claims)

    settings.AYB_REALTIME = {"IDENTITY": identity}
    stream_of(await get(tables="posts", token=token))
    assert (opening, the_hub._replay._opening) == ([1], 0)
    await get(tables="posts", token="none")
    assert the_hub._replay._opening == 0


async def test_stream_has_its_headers_and_first_bytes(get: Callable[..., Any], the_hub: Hub, token: str) -> None:
    response = await get(tables="posts", token=token)
    assert response.headers["Content-Type"] == "text/event-stream"
    assert response.headers["Cache-Control"] == "no-cache, no-transform"
    assert response.headers["X-Accel-Buffering"] == "no"
    first = (await anext(aiter(response.streaming_content))).decode()
    client_id = next(iter(the_hub.live_subscribers)).client_id
    position = the_hub.position
    data = f'{{"clientId":"{client_id}","resumed":false}}'
    assert first == f"retry: 2000\nid: {position}\nevent: connected\ndata: {data}\n\n"


async def test_change_after_connected_arrives(
    memory_layer: BaseChannelLayer, get: Callable[..., Any], owner: Owner, make_table: MakeTable, token: str
) -> None:
    make_table("notes", "id int primary key, at timestamptz, body text")
    async with relaying(memory_layer):
        stream = stream_of(await get(tables=" notes ,,notes,", token=token))
        assert (await stream.next()).event == "connected"
        owner.execute("insert into notes values (42, '2026-02-07 23:00+01', 'at 2026-02-07T22:00:00+00:00')")
        event = await stream.next()
    record = '{"id":42,"at":"2026-02-07T22:00:00Z","body":"at 2026-02-07T22:00:00+00:00"}'
    assert event.data == f'{{"action":"create","table":"notes","record":{record}}}'


async def test_snapshot_is_sent_to_the_request_that_asks_for_it(
    memory_layer: BaseChannelLayer, get: Callable[..., Any], owner: Owner, make_table: MakeTable, token: str
) -> None:
    make_table("notes", "id int primary key")
    owner.execute("insert into notes values (1)")
    async with relaying(memory_layer):
        stream = stream_of(await get(tables="notes", token=token, snapshot="true"))
        events = [await stream.next() for _ in range(3)]
        assert [event.event for event in events] == ["connected", "snapshot", "ready"]
        assert events[1].data == '{"table":"notes","records":[{"id":1}]}'
        without = stream_of(await get(tables="notes", token=token, snapshot="false"))
        owner.execute("insert into notes values (2)")
        assert [(await without.next()).event for _ in range(2)] == ["connected", "message"]


async def test_fields_and_names_are_those_that_the_request_asks_for(
    memory_layer: BaseChannelLayer, get: Callable[..., Any], owner: Owner, make_table: MakeTable, token: str
) -> None:
    make_table("notes", "id int primary key, title text, body text")
    async with relaying(memory_layer):
        stream = stream_of(await get(tables="notes", token=token, fields=" title,,title", events="named"))
        without = stream_of(await get(tables="notes", token=token, fields=""))
        owner.execute("insert into notes values (1, 'a', 'b')")
        assert [(await each.next()).event for each in (stream, without)] == ["connected", "connected"]
        event = await stream.next()
        assert (event.event, event.json()["record"]) == ("notes.create", {"id": 1, "title": "a"})
        assert (await without.next_change())["record"] == {"id": 1, "title": "a", "body": "b"}


async def test_filters_are_those_that_the_request_asks_for(
    memory_layer: BaseChannelLayer, get: Callable[..., Any], owner: Owner, make_table: MakeTable, token: str
) -> None:
    make_table("notes", "id int primary key, title text")
    make_table("letters", "id int primary key")
    async with relaying(memory_layer):
        wanted = ["notes.title=in.a\\,b|c%", "id=lt.9"]
        stream = stream_of(await get(tables="notes,letters", token=token, filter=wanted))
        owner.execute("insert into notes values (1, 'a'), (2, 'c%'), (3, 'a,b'), (10, 'a,b')")
        owner.execute("insert into letters values (10), (4)")
        assert (await stream.next()).event == "connected"
        assert await stream.next_ids(3) == [2, 3, 4]


async def test_last_event_id_resumes(
    memory_layer: BaseChannelLayer, get: Callable[..., Any], owner: Owner, make_table: MakeTable, token: str
) -> None:
    make_table("notes", "id int primary key")
    async with relaying(memory_layer):
        first = stream_of(await get(tables="notes", token=token))
        await first.next()
        for row_id in (1, 2, 3):
            owner.execute("insert into notes values (%s)", [row_id])
        events = [await first.next() for _ in range(3)]
        # A browser has the newest id in its header; a polyfill adds it to the address that the page has given it.
        first_id, second_id = {"last_event_id": events[0].id}, {"lastEventId": events[1].id}
        for headers, parameters, last in [
            ({"Last-Event-ID": events[0].id}, second_id, 0),
            ({}, first_id, 0),
            ({}, second_id, 1),
            ({}, {**first_id, **second_id}, 1),
        ]:
            stream = stream_of(await get(headers, tables="notes", token=token, **parameters))
            connected = await stream.next()
            assert (connected.event, connected.id) == ("connected", events[last].id)
            assert connected.json()["resumed"] is True
            assert [(await stream.next()).id for _ in events[last + 1 :]] == [event.id for event in events[last + 1 :]]


@pytest.mark.parametrize(
    "last_event_id", ["x", "-1", "1.5", "\u0663", "9" * 18, "9" * 19, "9" * 1000, " ", "0x10", "é"]
)
async def test_impossible_last_event_id_resets_and_the_stream_goes_on(
    memory_layer: BaseChannelLayer,
    get: Callable[..., Any],
    owner: Owner,
    make_table: MakeTable,
    token: str,
    last_event_id: str,
) -> None:
    make_table("notes", "id int primary key")
    async with relaying(memory_layer):
        stream = stream_of(await get(tables="notes", token=token, last_event_id=last_event_id))
        connected, reset = await stream.next(), await stream.next()
        assert (connected.event, reset.event, reset.id) == ("connected", "reset", connected.id)
        assert connected.json()["resumed"] is False
        assert reset.json()["tables"] == ["notes"]
        assert reset.json()["reason"]
        owner.execute("insert into notes values (1)")
        assert (await stream.next_change())["record"] == {"id": 1}


async def test_browser_that_leaves_between_a_reset_and_its_snapshot_does_not_go_back_to_the_position_in_its_address(
    memory_layer: BaseChannelLayer,
    get: Callable[..., Any],
    the_hub: Hub,
    owner: Owner,
    make_table: MakeTable,
    token: str,
) -> None:
    make_table("notes", "id int primary key")
    async with relaying(memory_layer):
        before = stream_of(await get(tables="notes", token=token))
        await before.next()
        owner.execute("insert into notes values (1)")
        address = {"tables": "notes", "token": token, "snapshot": "true", "last_event_id": (await before.next()).id}
        first = stream_of(await get(**address))
        connected = (await first.next()).json()
        assert connected["resumed"] is True
        # A reset that does not come again: when the client is back, there is an answer.
        (subscriber,) = [each for each in the_hub.open_streams() if each.client_id == connected["clientId"]]
        subscriber.reset(ResetReason.UNANSWERED, subscriber.relations)
        reset = await first.next()
        assert reset.event == "reset"
        # A browser sends no header for an empty id.
        again = stream_of(await get({"Last-Event-ID": reset.id} if reset.id else {}, **address))
        events = [await again.next() for _ in range(4)]
        assert [event.event for event in events] == ["connected", "reset", "snapshot", "ready"]
        assert events[2].json()["records"] == [{"id": 1}]


async def test_anonymous_stream_where_it_is_allowed_sees_what_its_role_may(
    memory_layer: BaseChannelLayer,
    get: Callable[..., Any],
    owner: Owner,
    make_table: MakeTable,
    settings: Any,
) -> None:
    settings.AYB_REALTIME = {"ANONYMOUS": True}
    make_table("notes", "id int primary key, public boolean", policy="public or current_user <> 'ayb_anonymous'")
    owner.execute("grant select on notes to ayb_anonymous")
    async with relaying(memory_layer):
        stream = stream_of(await get(tables="notes"))
        await stream.next()
        owner.execute("insert into notes values (1, false), (2, true)")
        assert (await stream.next_change())["record"]["id"] == 2
    assert answer(await get(tables="notes", token="x")) == INVALID


async def test_stream_ends_when_its_token_expires(
    get: Callable[..., Any], user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = AccessToken.for_user(user)
    stream = stream_of(await get(tables="posts", token=str(token)))
    assert (await stream.next()).event == "connected"
    monkeypatch.setattr("ayb_realtime.hub.streams.subscriber.time.time", lambda: token["exp"] + 1)
    expired = await stream.next()
    assert (expired.event, expired.data) == ("expired", "{}")
    with pytest.raises(StopAsyncIteration):
        await stream.next()


async def test_closed_response_leaves_the_hub(get: Callable[..., Any], the_hub: Hub, token: str) -> None:
    response = await get(tables="posts", token=token)
    assert len(the_hub.live_subscribers) == 1
    subscriber = next(iter(the_hub.live_subscribers))
    await sync_to_async(response.close)()
    async with asyncio.timeout(30):
        assert [chunk async for chunk in subscriber] == []  # not even the greeting
    assert not the_hub.live_subscribers


async def test_gzip_leaves_the_stream_alone(
    get: Callable[..., Any], token: str, settings: Any, memory_layer: BaseChannelLayer
) -> None:
    settings.MIDDLEWARE = ["django.middleware.gzip.GZipMiddleware"]
    response = await get({"Accept-Encoding": "gzip"}, tables="posts", token=token)
    first = await anext(aiter(response.streaming_content))
    assert first.startswith(b"retry: 2000\n")
