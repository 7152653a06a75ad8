"""A relay that sleeps: writers wake it, and no commit is missed."""

import asyncio
import random

import psycopg
import pytest
from channels.layers import BaseChannelLayer

from ayb_realtime.relay import numbering
from tests.integration.relay.conftest import receiver
from tests.integration.scenario import Owner, relaying, until


async def test_commit_wakes_a_sleeping_relay(
    owner: Owner, notes: None, memory_layer: BaseChannelLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(numbering, "ANNOUNCE_SECONDS", 3600.0)
    hub = await receiver(memory_layer)
    async with relaying(memory_layer):
        for n in (1, 2, 3):
            owner.execute("insert into notes values (%s, 'x')", [n])
            assert await hub.records(1) == [f'{{"id":{n},"body":"x"}}']


async def test_relay_under_load_tells_writers_not_to_notify_and_later_to_notify_again(
    owner: Owner, notes: None, memory_layer: BaseChannelLayer, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(numbering, "ANNOUNCE_SECONDS", 3600.0)
    hub = await receiver(memory_layer)
    with psycopg.connect(database_url, autocommit=True) as other, psycopg.connect(database_url) as late:
        other.execute("listen ayb_realtime")
        async with relaying(memory_layer):
            await until(other, ASLEEP)
            await asyncio.to_thread(write_until, other, "is awake", f"select not ({ASLEEP})")
            for _ in other.notifies(timeout=0):
                pass
            # This transaction is told not to notify, and commits only when the relay is about to sleep.
            late.execute("insert into notes values (0, 'late')")
            row = other.execute("select count(*) from notes").fetchone()
            await until(other, ASLEEP)
            late.commit()
            assert not list(other.notifies(timeout=0))
            records = await hub.records((row or (0,))[0] + 1)
            assert records[-1] == '{"id":0,"body":"late"}'
            # From now on transactions notify again.
            for n in (-1, -2, -3):
                owner.execute("insert into notes values (%s, 'x')", [n])
                assert await hub.records(1) == [f'{{"id":{n},"body":"x"}}']


async def test_relay_that_sleeps_for_long_is_still_notified(
    owner: Owner, notes: None, memory_layer: BaseChannelLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(numbering, "ANNOUNCE_SECONDS", 3600.0)
    hub = await receiver(memory_layer)
    async with relaying(memory_layer):
        await until(owner, ASLEEP)
        for n in (1, 2):
            # As if it had last been seen asleep long ago; or the clock had gone wrong.
            owner.execute("select setval('ayb_realtime.asleep_at', 1)")
            await until(owner, "select last_value > 1 from ayb_realtime.asleep_at")
            owner.execute("insert into notes values (%s, 'x')", [n])
            assert await hub.records(1) == [f'{{"id":{n},"body":"x"}}']


ASLEEP = "select last_value > 0 from ayb_realtime.asleep_at"
BURSTS, WRITERS = 60, 3


async def test_relay_that_falls_asleep_again_and_again_misses_no_commit(
    owner: Owner, notes: None, memory_layer: BaseChannelLayer, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No regular look finds a change without a notification, and the relay sleeps as soon as it may.
    monkeypatch.setattr(numbering, "ANNOUNCE_SECONDS", 3600.0)
    monkeypatch.setattr(numbering, "QUIET_LOOKS", 1)
    awake = 0
    async with relaying(memory_layer):
        for burst in range(BURSTS):
            writers = [asyncio.to_thread(write_slowly, database_url, burst, number) for number in range(WRITERS)]
            awake += sum(await asyncio.gather(*writers))
            # The writers have ended, so a commit that the relay has missed would stay unnumbered.
            await until(owner, f"select {NUMBERED} = count(*) from notes")
    # Some of them were told not to notify.
    assert awake > 0


NUMBERED = """
(select sum(size) from ayb_realtime.batch b where exists (
    select from ayb_realtime.change c
     where c.id between b.first_id and b.last_id and c.relation = 'notes'::regclass and c.action = 'create'))
"""


def write_slowly(database_url: str, burst: int, number: int) -> int:
    """Insert rows and commit each a moment later; return for how many the relay wanted no notification."""
    chance = random.Random(f"{burst} {number}")
    awake = 0
    with psycopg.connect(database_url) as connection:
        for row in range(6):
            connection.execute("insert into notes values (%s, 'x')", [(burst * WRITERS + number) * 6 + row])
            cursor = connection.execute(
                "select last_value = 0, pg_sleep(%s) from ayb_realtime.asleep_at",
                [chance.choice((0, 0, 0.002, 0.01))],
            )
            awake += (cursor.fetchone() or (False,))[0]
            connection.commit()
    return awake


def write_until(connection: Owner, body: str, condition: str) -> None:
    """Insert rows, each in its own transaction, until a condition holds."""
    n = 0
    while connection.execute(condition.encode()).fetchone() != (True,):
        n += 1
        connection.execute("insert into notes values (%s, %s)", [n, body])
