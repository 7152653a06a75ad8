"""The catalogs of a table change within each check of it: only its own streams notice, and few checks are made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from ayb_realtime.hub.delivering import planning
from ayb_realtime.hub.delivering.delivery import DeliveryPlan
from ayb_realtime.hub.delivering.repeating import MOST_ALONE, MOST_SUSPECTED, MOST_TOGETHER
from ayb_realtime.hub.snapshots.snapshots import Snapshots
from ayb_realtime.identity import AUTHENTICATED_ROLE
from ayb_realtime.reset_reasons import ResetReason
from ayb_realtime.visibility import catalog_cache
from tests.integration.scenario import Stream, World, person
from tests.integration.snapshots.conftest import replica

CHANGE = f"revoke select on notes from {AUTHENTICATED_ROLE}; grant select on notes to {AUTHENTICATED_ROLE}"


@dataclass
class Storm:
    """While it blows, grants on ``notes`` change after each look at its catalogs. checks: how many looks there were."""

    blows: bool = False
    checks: int = 0


@pytest.fixture
def storm(world: World, monkeypatch: pytest.MonkeyPatch) -> Storm:
    the_storm, facts = Storm(), catalog_cache.facts

    async def facts_and_change(*args: Any) -> Any:
        found = await facts(*args)
        if the_storm.blows and any(each.table.name == "notes" for each in found.values()):
            the_storm.checks += 1
            world.write(CHANGE)
        return found

    monkeypatch.setattr(catalog_cache, "facts", facts_and_change)
    for name in ("notes", "marks"):
        world.table(name, "id int primary key", policy="true")
    return the_storm


async def assert_reset(stream: Stream) -> None:
    event = await stream.next()
    assert (event.event, event.json()) == ("reset", {"reason": ResetReason.UNANSWERED, "tables": ["notes"]})


async def test_only_streams_of_that_table_are_told_to_fetch_it_again(
    world: World, storm: Storm, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans, plan_delivery = [], planning.plan_delivery

    async def noted(*args: Any) -> DeliveryPlan:
        plans.append(await plan_delivery(*args))
        return plans[-1]

    monkeypatch.setattr(planning, "plan_delivery", noted)
    async with world.relaying():
        theirs = await world.stream(person(1), "notes")
        others = await world.stream(person(2), "marks")
        both = await world.stream(person(3), "notes", "marks")
        storm.blows = True
        world.write("begin; insert into notes values (1); insert into marks values (1); commit")
        assert await others.next_action() == ("create", {"id": 1})
        await assert_reset(both)
        assert await both.next_action() == ("create", {"id": 1})
        await assert_reset(theirs)
        assert storm.checks >= MOST_TOGETHER + MOST_ALONE
        assert max(plan.repeated for plan in plans) == storm.checks
        storm.blows = False
        world.write("begin; insert into notes values (2); insert into marks values (2); commit")
        for stream, count in ((theirs, 1), (others, 1), (both, 2)):
            assert await stream.next_ids(count) == [2] * count


async def test_table_that_was_given_up_costs_few_checks(world: World, storm: Storm) -> None:
    async with world.relaying():
        theirs, others = await world.stream(person(1), "notes"), await world.stream(person(2), "marks")
        storm.blows = True
        for row_id, most in enumerate((MOST_ALONE, MOST_SUSPECTED, MOST_SUSPECTED)):
            storm.checks = 0
            world.write(f"begin; insert into notes values ({row_id}); insert into marks values ({row_id}); commit")
            await assert_reset(theirs)
            assert await others.next_ids(1) == [row_id]
            assert storm.checks <= most + MOST_TOGETHER


async def test_snapshot_is_begun_again_less_and_less_often(
    world: World, storm: Storm, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    begin_again = Snapshots._begin_again

    def note_and_begin_again(snapshots: Snapshots, group: Any, pause: float) -> None:
        pauses.append(pause)
        storm.blows = len(pauses) < 2
        begin_again(snapshots, group, pause)

    monkeypatch.setattr(Snapshots, "_begin_again", note_and_begin_again)
    async with world.relaying():
        world.insert("notes", 1)
        storm.blows = True
        restless = await replica(world, person(1), "notes")
        await (await replica(world, person(2), "marks")).ready()
        await restless.ready()
    assert pauses == [0, 1]
    assert restless.rows["notes"].keys() == {1}
