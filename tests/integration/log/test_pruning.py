"""How the log forgets its oldest changes."""

import psycopg
import pytest

from ayb_realtime.exceptions import PositionUnavailable
from ayb_realtime.log import queries
from tests.integration.log.conftest import Connection, assert_same_when_read, numbered
from tests.integration.scenario import Owner


async def test_log_is_a_ring_that_forgets_the_oldest_part_and_says_so(owner: Owner, relay: Connection) -> None:
    start = await queries.head(relay)
    for n in range(12):
        owner.execute("insert into notes values (%s, 0)", [n])
        await numbered(relay)
        assert await queries.prune(relay, keep_hours=0)
    oldest, head = await queries.bounds(relay)
    # The parts that were not emptied hold seven changes.
    assert (oldest, head) == (start + 5, start + 12)
    assert len(await queries.read(relay, after=oldest, upto=head)) == 7
    with pytest.raises(PositionUnavailable):
        await queries.read(relay, after=oldest - 1, upto=head)
    assert not await queries.prune(relay, keep_hours=1)


async def test_batch_of_many_parts_is_forgotten_as_a_whole(owner: Owner, relay: Connection) -> None:
    start = await queries.head(relay)
    owner.execute("insert into notes select n, 0 from generate_series(1, 2500) n")
    await numbered(relay)
    for _ in range(8):
        assert await queries.prune(relay, keep_hours=0)
    assert await queries.bounds(relay) == (start + 2500, start + 2500)
    owner.execute("insert into notes values (0, 0)")
    await assert_same_when_read(relay, [await numbered(relay)], start + 2500)


async def test_ring_does_not_move_on_while_a_part_is_emptied(owner: Owner, other: Owner, relay: Connection) -> None:
    with owner.transaction():
        owner.execute("select ayb_realtime.prune_v1('0')")
        other.execute("set lock_timeout = '10ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            other.execute("select ayb_realtime.next_slot_v1()")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            await queries.prune(relay, keep_hours=0)


async def test_part_with_a_change_that_is_not_numbered_is_kept(owner: Owner, relay: Connection) -> None:
    await numbered(relay)
    owner.execute("insert into notes values (1, 0)")
    moved = [await queries.prune(relay, keep_hours=0) for _ in range(9)]
    assert moved == [True] * 7 + [False] * 2
    assert len(await numbered(relay)) == 1
    assert await queries.prune(relay, keep_hours=0)


async def test_part_that_a_transaction_still_writes_to_is_kept_without_waiting(
    owner: Owner, relay: Connection, database_url: str
) -> None:
    with psycopg.connect(database_url) as writing:
        writing.execute("insert into notes values (1, 0)")
        for _ in range(7):
            assert await queries.prune(relay, keep_hours=0)
        with pytest.raises(psycopg.errors.LockNotAvailable):
            await queries.prune(relay, keep_hours=0)
        owner.execute("insert into notes values (2, 0)")
    assert len(await numbered(relay)) == 2
