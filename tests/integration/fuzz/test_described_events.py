"""What running streams send is what asyncapi.json describes: each kind of event, and no field or member besides."""

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft7Validator
from referencing import Registry
from referencing.jsonschema import DRAFT7

from ayb_realtime.hub.admission import Wanted
from ayb_realtime.hub.registry import close_hub
from ayb_realtime.hub.streams.subscriber import Subscriber
from tests.fuzz.described import EVENTS
from tests.integration.scenario import World, person

REGISTRY: Any = Registry().with_resource("asyncapi.json", DRAFT7.create_resource(EVENTS))


def is_described(part: str, value: Any) -> bool:
    """Tell whether a value fits a part of the description."""
    return bool(Draft7Validator({"$ref": f"asyncapi.json#{part}"}, registry=REGISTRY).is_valid(value))


def kinds(stream: bytes) -> Iterator[str]:
    """Yield which message describes each event. One does, or this fails."""
    for event in stream.removesuffix(b"\n\n").split(b"\n\n"):
        lines = event.decode().split("\n")
        fields = {
            name: value.removeprefix(" ") for name, colon, value in (line.partition(":") for line in lines) if name
        }
        data = [json.loads(fields.pop("data"))] if "data" in fields else []
        found = [
            name
            for name, message in EVENTS["components"]["messages"].items()
            if ("payload" in message) == bool(data)
            and (name == "heartbeat") == lines[0].startswith(":")
            and is_described(f"/components/messages/{name}/headers", fields)
            and all(is_described(f"/components/messages/{name}/payload", each) for each in data)
        ]
        assert len(found) == 1, (event, found)
        yield found[0]


async def read(stream: Subscriber, *expected: str) -> None:
    """Read until there was an event of each of these kinds."""
    missing = set(expected)
    async with asyncio.timeout(30):
        while missing:
            missing.difference_update(kinds(await anext(stream)))


async def test_events_of_each_kind_are_described(world: World, settings: Any) -> None:
    settings.AYB_REALTIME = {"HEARTBEAT_SECONDS": 0.05}
    world.table("notes", "id int, part text, at timestamptz default now(), tags text[], primary key (id, part)")
    world.table("letters", "id int primary key")
    both = ["notes", "letters"]
    async with world.relaying():
        live = [
            await world.hub.subscribe(person(1), both, resume="no position"),
            await world.hub.subscribe(person(1), both, wanted=Wanted(("id", "at"), is_named=True)),
            await world.hub.subscribe(person(1), both, snapshot=True),
        ]
        await read(live[0], "connected", "reset", "heartbeat")
        await read(live[1], "connected", "heartbeat")
        await read(live[2], "connected", "snapshot", "ready", "heartbeat")
        for statement, kind in [
            ("insert into notes values (1, 'a')", "create"),
            ("update notes set tags = '{x,y}'", "update"),
            ("delete from notes", "delete"),
            ("insert into letters values (1)", "create"),
            ("truncate letters", "reset"),
        ]:
            world.write(statement)
            for stream in live:
                await read(stream, kind)
        await read(live[2], "snapshot", "ready")
        again = await world.hub.subscribe(person(1), both, snapshot=True, resume="no position")
        await read(again, "connected", "reset", "snapshot", "ready")
        await read(await world.hub.subscribe(person(1), both, expires_at=time.time()), "connected", "expired")
        stopped = await world.hub.subscribe(person(1), both)
        await close_hub()
        await read(stopped, "connected", "retry")


@pytest.mark.parametrize(
    "undescribed",
    [
        b'event: reset\ndata: {"reason":"x","tables":[],"more":1}\n\n',
        b'id: 7\ndata: {"action":"merge","table":"notes","record":{}}\n\n',
        b'event: snapshot\nid: 7\ndata: {"table":"notes","records":[]}\n\n',
    ],
)
def test_event_that_is_not_described_is_found(undescribed: bytes) -> None:
    with pytest.raises(AssertionError):
        list(kinds(undescribed))
