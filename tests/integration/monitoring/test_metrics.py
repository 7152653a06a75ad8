"""The metrics are true: what happens is what they tell, counted from one scrape to the next."""

import time
from typing import Any

import psycopg
import pytest
from channels.layers import InMemoryChannelLayer
from django.test import AsyncClient

from ayb_realtime.log import queries
from tests.integration.monitoring.conftest import TOKEN, Deltas, settled
from tests.integration.scenario import OWN, World, person, read_to_end, until_head

NOTES = ("notes", "id int primary key, author text")


async def test_changes_are_counted_with_those_who_see_them_and_those_who_do_not(world: World, deltas: Deltas) -> None:
    world.table(*NOTES, policy=OWN)
    async with world.relaying():
        ann, again, bob = [await world.stream(person(at), "notes") for at in (1, 1, 2)]
        await settled(world)
        await deltas.next()
        for row_id, author in ((1, "1"), (2, "1"), (3, "2")):
            world.write("insert into notes values (%s, %s)", [row_id, author])
        assert [await ann.next_ids(2), await again.next_ids(2), await bob.next_ids(1)] == [[1, 2], [1, 2], [3]]
        found = await deltas.next()
    assert {name: found.get(name) for name in ("changes_total", "events_total", "numbered_total", "position")} == {
        "changes_total": 3, "events_total": 5, "numbered_total": 3, "position": 3,
    }  # fmt: skip
    assert found['answers_total{answer="shown"}'] == found['answers_total{answer="withheld"}'] == 3
    assert 'answers_total{answer="unanswered"}' not in found
    assert 1 <= found["check_seconds_count"] == found['check_seconds_bucket{le="+Inf"}'] <= 3
    assert 1 <= found["delivery_seconds_count"] <= 3
    assert 0 < found["check_seconds_sum"] < found["delivery_seconds_sum"]


async def test_streams_and_what_the_database_says_of_the_log_are_told_as_they_are(world: World, deltas: Deltas) -> None:
    world.table(*NOTES)
    streams = [await world.subscriber(person(at), "notes") for at in (1, 1, 2)]
    opened = await deltas.next()
    assert {name: value for name, value in opened.items() if name.startswith(("stream", "identities"))} == {
        'streams{state="live"}': 3, "identities": 2, 'streams_opened_total{resumed="false"}': 3,
    }  # fmt: skip
    async with world.relaying(), world.hub._pool.connection() as connection:
        epoch, size = await queries.epoch(connection), await queries.size_bytes(connection)
        world.insert("notes", 1)
        await until_head(connection, world.hub.position + 1)
        while deltas.now.get("position") != await queries.head(connection):
            await deltas.next()
        led = deltas.now
    assert (led["leads"], led["has_leader"], led["database_up"]) == (1, 1, 1)
    assert (led["epoch"], led["waiting"]) == (epoch, 0)
    assert led["log_size_bytes"] == pytest.approx(size, rel=0.5)
    world.hub.leave(streams[0])
    left = await deltas.next()
    assert (left['streams{state="live"}'], left["leads"]) == (-1, -1)


async def test_time_from_the_commit_to_the_streams_has_what_the_delivery_waited(world: World, deltas: Deltas) -> None:
    world.table(*NOTES)
    async with world.relaying():
        stream = await world.stream(person(1), "notes")
        await settled(world)
        await deltas.next()
        async with world.hub._live.delivery_lock:
            world.insert("notes", 1)
            while not deltas.now["behind"]:
                await deltas.next()
            heard_at = time.monotonic()
            await world.head(world.hub.feed.head)
            waited = time.monotonic() - heard_at
        assert await stream.next_ids(1) == [1]
        found = await deltas.next()
    assert (found["delivery_seconds_count"], found["behind"]) == (1, -1)
    assert found["delivery_seconds_sum"] > waited


async def test_gap_is_counted_that_the_layer_has_left(world: World, deltas: Deltas) -> None:
    world.table(*NOTES)
    async with world.relaying(InMemoryChannelLayer()):
        stream = await world.stream(person(1), "notes")
        await settled(world)
        await deltas.next()
        world.insert("notes", 1)
        assert await stream.next_ids(1) == [1]
        found = await deltas.next()
    assert found["log_reads_total"] == found["changes_total"] == 1
    assert "delivery_seconds_count" not in found


async def test_failing_policies_resets_and_overflows_are_counted(world: World, deltas: Deltas, settings: Any) -> None:
    world.table(*NOTES, policy="1 / id >= 0")
    settings.AYB_REALTIME = {**settings.AYB_REALTIME, "BUFFER_BYTES": 1}
    async with world.relaying():
        full = await world.subscriber(person(1), "notes")
        streams = [await world.stream(person(at), "notes") for at in (2, 3)]
        await settled(world)
        await deltas.next()
        world.insert("notes", 0, 5)
        assert [await stream.next_ids(1) for stream in streams] == [[5]] * 2
        world.write("truncate notes")
        assert [(await stream.next()).event for stream in streams] == ["reset"] * 2
        await read_to_end(full)
        world.insert("notes", 1)
        assert [await stream.next_ids(1) for stream in streams] == [[1]] * 2
        found = await deltas.next()
    assert found['check_failures_total{kind="policy_failed",table="public.notes"}'] == 3
    assert found['answers_total{answer="withheld"}'] == 3
    assert found['resets_total{reason="truncated"}'] == 3
    assert found['streams_ended_total{reason="buffer_full"}'] == 1
    assert found["events_total"] == 8


async def test_refusals_and_resumed_streams_are_counted(
    world: World, deltas: Deltas, async_client: AsyncClient
) -> None:
    world.table(*NOTES)
    for parameters in ({}, {"tables": "notes"}, {"tables": "notes"}):
        await async_client.get("/api/realtime", parameters)
    await world.subscriber(person(1), "notes", after=world.hub.position)
    await world.hub.subscribe(person(1), ["notes"], resume="1")
    found = await deltas.next()
    assert found['refusals_total{code="401"}'] == 3
    assert found['streams_opened_total{resumed="true"}'] == found['streams_opened_total{resumed="false"}'] == 1
    assert found['resets_total{reason="no_longer_held"}'] == 1


@pytest.mark.parametrize("header", ["", "Bearer", f"Basic {TOKEN}", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}"])
async def test_metrics_are_shown_to_those_alone_who_know_the_token(
    deltas: Deltas, async_client: AsyncClient, header: str
) -> None:
    response = await async_client.get("/api/realtime/metrics", headers={"Authorization": header})
    assert response.status_code == 401
    assert b"ayb_realtime_" not in response.content


async def test_without_a_token_there_are_no_metrics(async_client: AsyncClient, settings: Any) -> None:
    settings.AYB_REALTIME = {}
    for header in ("", "Bearer ", "Bearer x"):
        response = await async_client.get("/api/realtime/metrics", headers={"Authorization": header})
        assert response.status_code == 404


async def test_metrics_go_on_while_the_database_is_away(
    world: World, deltas: Deltas, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(alias: str) -> None:
        raise psycopg.OperationalError(alias)

    async with world.relaying():
        await deltas.next()
        monkeypatch.setattr("ayb_realtime.metrics.database.connect", refuse)
        await deltas.next()
    assert deltas.now["database_up"] == 0
    assert "position" not in deltas.now


async def test_refusals_beyond_a_limit_are_counted_by_its_name(
    world: World, deltas: Deltas, async_client: AsyncClient, settings: Any
) -> None:
    limits = {"tables": 1, "query_bytes": 40, "streams": None}
    settings.AYB_REALTIME = {**settings.AYB_REALTIME, "ANONYMOUS": True, "LIMITS": limits}
    for tables in ("notes,posts", "notes,posts", "x" * 40):
        await async_client.get("/api/realtime", {"tables": tables})
    settings.AYB_REALTIME["LIMITS"]["address_opens_per_second"] = 0.01
    await async_client.get("/api/realtime", {"tables": "notes"})
    found = await deltas.next()
    assert {name: found[name] for name in found if name.startswith(("limit_refusals", "refusals"))} == {
        'limit_refusals_total{limit="tables"}': 2,
        'limit_refusals_total{limit="query_bytes"}': 1,
        'limit_refusals_total{limit="address_opens_per_second"}': 1,
        'refusals_total{code="400"}': 2,
        'refusals_total{code="414"}': 1,
        'refusals_total{code="429"}': 1,
    }
