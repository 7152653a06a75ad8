"""A stream goes on by what its client sends to another process, and by nothing else that comes from there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.conf import settings

from ayb_realtime.access.proofs import Named, Session
from ayb_realtime.hub.hub import Hub
from ayb_realtime.hub.lifetime import refreshing
from ayb_realtime.hub.streams.subscriber import Subscriber
from tests.integration.scenario import Owner, World, person, until

PROOFS = (Named("1"), Session("s"))


async def opened(world: World) -> Subscriber:
    """Open a stream whose credentials expire in a while."""
    world.table("notes", "id int primary key")
    return await world.hub.subscribe(person(1), ["notes"], expires_at=time.time() + 1000, proofs=PROOFS)


async def test_stream_of_another_process_goes_on(world: World, other_hub: Hub, owner: Owner) -> None:
    subscriber = await opened(world)
    later = time.time() + 2000.123456
    assert await other_hub.refreshing.ask(subscriber.client_id, person(1), PROOFS, later) is True
    assert subscriber.expires_at == later
    assert await other_hub.refreshing.ask(subscriber.client_id, person(1), PROOFS, None) is True
    assert subscriber.expires_at == float("inf")
    assert owner.execute("select count(*) from ayb_realtime.refresh").fetchone() == (0,)


async def test_many_are_asked_for_at_once(world: World, other_hub: Hub) -> None:
    subscriber = await opened(world)
    asking = (other_hub.refreshing.ask(subscriber.client_id, person(1), PROOFS, time.time() + n) for n in range(100))
    assert set(await asyncio.gather(*asking)) == {True}


@pytest.mark.parametrize(
    ("identity", "proofs"), [(person(2), PROOFS), (person(1), PROOFS[:1]), (person(1), (Named("1"), Session("t")))]
)
async def test_other_credentials_are_refused(world: World, other_hub: Hub, identity: Any, proofs: Any) -> None:
    subscriber = await opened(world)
    before = subscriber.expires_at
    assert await other_hub.refreshing.ask(subscriber.client_id, identity, proofs, None) is False
    assert subscriber.expires_at == before


async def test_stream_that_has_ended_is_in_no_process(
    world: World, other_hub: Hub, no_answer: Callable[[], None]
) -> None:
    no_answer()
    subscriber = await opened(world)
    subscriber.end()
    assert await other_hub.refreshing.ask(subscriber.client_id, person(1), PROOFS, None) is None


async def test_row_that_no_process_has_sealed_lets_no_stream_go_on(world: World, other_hub: Hub, owner: Owner) -> None:
    subscriber = await opened(world)
    before, later = subscriber.expires_at, repr(time.time() + 5000)

    def put(client_id: str, expires_at: str, seal: str) -> UUID:
        values = (request := uuid4(), client_id, expires_at, seal)
        owner.execute(
            "insert into ayb_realtime.refresh (id, client_id, expires_at, seal) values (%s, %s, %s, %s)", values
        )
        return request

    def sealed(client_id: str, secret: str = settings.SECRET_KEY) -> str:
        return refreshing._seal(secret, client_id, later, person(1), PROOFS)

    mine = subscriber.client_id
    put(mine, later, "x")
    put(mine, later, "é")
    put(mine, later, sealed("0" * 32))
    put(mine, later, sealed(mine, "another secret"))
    put(mine, "1e99", sealed(mine))
    await until(owner, "select count(*) filter (where not is_granted) = 5 from ayb_realtime.refresh")
    assert subscriber.expires_at == before
    request = put(mine, later, sealed(mine))
    await until(owner, "select is_granted from ayb_realtime.refresh where id = %s", [request])
    assert subscriber.expires_at == float(later)


async def test_seal_of_an_older_secret_key_is_taken(world: World, other_hub: Hub, settings: Any) -> None:
    subscriber = await opened(world)
    later = time.time() + 2000
    old = settings.SECRET_KEY
    asking = asyncio.create_task(other_hub.refreshing.ask(subscriber.client_id, person(1), PROOFS, later))
    await asyncio.sleep(0)  # It is sealed now.
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "new", [old]
    assert await asking is True
    assert subscriber.expires_at == later


async def test_table_that_cannot_be_read_is_told_and_harms_no_stream(
    world: World, other_hub: Hub, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_told = asyncio.Event()
    monkeypatch.setattr(world.hub.refreshing._logger, "warning", lambda *_, **__: is_told.set())
    await opened(world)
    owner.execute("alter table ayb_realtime.refresh rename to away")
    try:
        await asyncio.wait_for(is_told.wait(), 30)
    finally:
        owner.execute("alter table ayb_realtime.away rename to refresh")
    assert not world.hub.has_failed
