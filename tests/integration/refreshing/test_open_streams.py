"""Processes tell which streams they have when they are asked, and end one that is named."""

from __future__ import annotations

import time

import pytest
from asgiref.sync import sync_to_async
from django.core import signing

from ayb_realtime import open_streams
from ayb_realtime.access.proofs import Named
from ayb_realtime.hub.hub import Hub
from ayb_realtime.hub.lifetime import disconnecting
from ayb_realtime.open_streams import OpenStream
from tests.integration.scenario import Owner, World, person, until

PROOFS = (Named("1"),)


@pytest.fixture(autouse=True)
def nothing_told(owner: Owner) -> None:
    owner.execute("delete from ayb_realtime.disconnect; delete from ayb_realtime.open_streams")


async def all_streams(owner: Owner, processes: int) -> list[OpenStream]:
    """Ask, wait until so many processes have told, and return their streams by the time of opening."""
    owner.execute("delete from ayb_realtime.open_streams")
    await sync_to_async(open_streams.ask_to_tell)()
    await until(owner, "select count(*) = %s from ayb_realtime.open_streams", [processes])
    found = await sync_to_async(open_streams.processes)()
    assert [process.count for process in found] == [len(process.streams) for process in found]
    return sorted((each for process in found for each in process.streams), key=lambda each: each.opened_at)


async def test_each_process_tells_of_its_streams_when_asked_and_not_before(
    world: World, other_hub: Hub, owner: Owner
) -> None:
    world.table("notes", "id int primary key")
    here = await world.hub.subscribe(person(1), ["notes"], proofs=PROOFS)
    begun_at = here.position
    there = await other_hub.subscribe(person(2), ["public.notes"])
    assert await other_hub.refreshing.ask(here.client_id, person(1), PROOFS, None) is True  # Both have looked.
    assert owner.execute("select count(*) from ayb_realtime.open_streams").fetchone() == (0,)
    first, second = await all_streams(owner, 2)
    assert first == OpenStream(
        open_streams.handle(here.client_id),
        ("", "1"),
        person(1).role,
        person(1).settings,
        ["public.notes"],
        False,
        here.opened_at,
        first.position,
        first.is_read,
    )
    assert begun_at <= first.position <= here.position
    assert (second.user, second.identity) == (None, person(2))
    assert first.handle != here.client_id
    other_hub.leave(there)
    assert [each.handle for each in await all_streams(owner, 1)] == [first.handle]


async def test_the_stream_that_is_named_ends_and_no_other(world: World, other_hub: Hub, owner: Owner) -> None:
    world.table("notes", "id int primary key")
    here, there = [await hub.subscribe(person(1), ["notes"], proofs=PROOFS) for hub in (world.hub, other_hub)]
    await sync_to_async(open_streams.end)(open_streams.handle(there.client_id))
    await sync_to_async(open_streams.end)(here.client_id)
    while not there.ended:
        await anext(there)
    other_hub.leave(there)
    assert [each.handle for each in await all_streams(owner, 1)] == [open_streams.handle(here.client_id)]


async def test_of_many_streams_those_most_behind_are_told(
    world: World, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disconnecting, "TOLD_MAX", 1)
    world.table("notes", "id int primary key")
    streams = [await world.hub.subscribe(person(1), ["notes"]) for _ in range(3)]
    streams[1].position = -1
    count, found = signing.loads(disconnecting.told(streams), salt=open_streams.SALT)[1:]
    assert (count, [each[0] for each in found]) == (3, [open_streams.handle(streams[1].client_id)])


def test_what_no_process_of_the_site_has_told_just_now_is_not_believed(
    owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    fields = ["host:1", 0, []]
    texts = [
        "x",
        signing.dumps(fields, salt="another"),
        signing.dumps(fields, salt=open_streams.SALT, key="another"),
    ]
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: 1e9)
        texts.append(signing.dumps(fields, salt=open_streams.SALT))
    insert = "insert into ayb_realtime.open_streams values (gen_random_uuid(), %s, now() - %s::interval)"
    for text in texts:
        owner.execute(insert, [text, "0 s"])
    owner.execute(insert, [open_streams.told(0, []), "10 s"])
    assert open_streams.processes() == []
    owner.execute(insert, [open_streams.told(0, []), "0 s"])
    assert [process.count for process in open_streams.processes()] == [0]
