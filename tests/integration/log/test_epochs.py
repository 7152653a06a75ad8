"""A log that is emptied, restored, copied or restarted: when a new epoch begins."""

import psycopg
import pytest

from ayb_realtime.exceptions import PositionUnavailable
from ayb_realtime.log import queries
from tests.integration.log.conftest import Connection, numbered, records
from tests.integration.scenario import Owner


@pytest.mark.parametrize("emptied", ["batch", "epoch"])
async def test_log_that_was_emptied_by_hand_begins_an_epoch(relay: Connection, emptied: str) -> None:
    async with relay.transaction(force_rollback=True):
        before = await queries.head(relay)
        await relay.execute(f"delete from ayb_realtime.{emptied}".encode())
        assert await queries.ensure_epoch(relay)
        assert not await queries.ensure_epoch(relay)
        oldest, head = await queries.bounds(relay)
        assert oldest == head > before + 1


def restore(owner: Owner, table: str) -> None:
    """Rewrite a table's rows in another transaction, as a restore of its data does."""
    owner.execute(f"create temp table saved as table ayb_realtime.{table}".encode())
    owner.execute(f"truncate ayb_realtime.{table}".encode())
    owner.execute(f"insert into ayb_realtime.{table} table saved".encode())
    owner.execute("drop table saved")


@pytest.mark.parametrize("table", ["epoch", "batch"])
async def test_log_that_was_restored_begins_an_epoch(owner: Owner, relay: Connection, table: str) -> None:
    start = await queries.head(relay)
    owner.execute("insert into notes values (1, 0)")
    await numbered(relay)
    assert not await queries.ensure_epoch(relay)
    restore(owner, table)
    assert await queries.epoch(relay) is None
    if table == "batch":
        owner.execute("insert into notes values (0, 0)")
        assert await numbered(relay) == []
    assert await queries.ensure_epoch(relay)
    assert await queries.epoch(relay) is not None
    assert await queries.head(relay) > start + 2
    with pytest.raises(PositionUnavailable):
        await queries.read(relay, after=start, upto=start + 1)
    owner.execute("insert into notes values (2, 0)")
    assert records(await numbered(relay)) == [("create", 2, 0)]


async def test_log_that_is_vacuumed_goes_on(owner: Owner, relay: Connection) -> None:
    owner.execute("insert into notes values (1, 0)")
    await numbered(relay)
    for how in ("freeze", "full, freeze"):
        owner.execute(f"vacuum ({how}) ayb_realtime.epoch, ayb_realtime.batch".encode())
        assert await queries.epoch(relay) is not None


async def test_epochs_are_never_the_same(relay: Connection) -> None:
    query = "select ayb_realtime.new_epoch_beginning_v1(%s) from generate_series(1, 1000)"
    beginnings = [row[0] for row in await (await relay.execute(query, [0])).fetchall()]
    assert len(set(beginnings)) == 1000
    assert 0 < min(beginnings) <= max(beginnings) < 1 << 53
    # If the clock went back, or on the same day, new positions are above those that were sent.
    for told in (max(beginnings), (1 << 53) - (1 << 37)):
        later = [row[0] for row in await (await relay.execute(query, [told])).fetchall()]
        assert len(set(later)) == 1000
        assert told < min(later) <= max(later) < 1 << 53


async def test_change_of_another_cluster_is_never_numbered(owner: Owner, relay: Connection) -> None:
    foreign = (
        "insert into ayb_realtime.change (xid, relation, action)"
        " select (pg_current_xact_id()::text::bigint + n)::text::xid8, 0, 'truncate' from generate_series(1, 20) n"
    )
    owner.execute(foreign)
    restore(owner, "epoch")
    assert await queries.ensure_epoch(relay)
    not_ended = "select count(*) from ayb_realtime.change where not pg_visible_in_snapshot(xid, pg_current_snapshot())"
    assert owner.execute(not_ended.encode()).fetchone() == (0,)
    # The same if they are restored after the epoch began, or alone.
    owner.execute(foreign)
    for n in range(30):
        owner.execute("insert into notes values (%s, 0)", [n])
        assert records(await numbered(relay)) == [("create", n, 0)]


async def test_epoch_begins_while_writers_and_readers_are_in_the_log(
    owner: Owner, other: Owner, relay: Connection, database_url: str
) -> None:
    owner.execute("insert into notes values (1, 0)")
    restore(owner, "epoch")
    with psycopg.connect(database_url) as reader, other.transaction():
        # Like a dump, which locks every table at its beginning.
        for table in ("change", "batch", "epoch", "slot_history"):
            reader.execute(f"lock table ayb_realtime.{table} in access share mode".encode())
        other.execute("insert into notes values (2, 0)")
        await relay.execute("set lock_timeout = '1ms'")
        assert await queries.ensure_epoch(relay)
        # Changes that committed before are behind every stream that begins or is reset now; later ones are sent.
        assert await numbered(relay) == []
        owner.execute("insert into notes values (3, 0)")
        assert records(await numbered(relay)) == [("create", 3, 0)]
    assert records(await numbered(relay)) == [("create", 2, 0)]


RESTART = "update ayb_realtime.epoch set server_start = server_start - interval '1 hour', xid = pg_current_xact_id()"


async def test_log_goes_on_after_a_restart_at_positions_of_its_own(owner: Owner, relay: Connection) -> None:
    start = await queries.head(relay)
    owner.execute("insert into notes values (1, 0)")
    await numbered(relay)
    owner.execute("insert into notes values (2, 0)")
    # A server may restart many times without a write.
    beginnings = []
    for _ in range(2):
        owner.execute(RESTART)
        assert not await queries.ensure_epoch(relay)
        beginnings.append(await queries.head(relay))
    assert start + 1 < beginnings[0] - 1 < beginnings[1] - 2
    oldest, _ = await queries.bounds(relay)
    assert oldest <= start
    assert records(await numbered(relay)) == [("create", 2, 0)]
    # A client with an earlier position resumes.
    read, after = [], start
    while after < beginnings[1] + 1:
        read += await queries.read(relay, after=after, upto=after + 500)
        after = read[-1].position
    assert [(change.action, change.position) for change in read] == [
        ("create", start + 1), ("epoch", beginnings[0]), ("epoch", beginnings[1]), ("create", beginnings[1] + 1),
    ]  # fmt: skip
    # But not with a position that this log never sent: it is from a copy, or from before a crash that lost it.
    for unknown in (start + 2, beginnings[0] - 1, beginnings[0] + 1):
        with pytest.raises(PositionUnavailable):
            await queries.read(relay, after=unknown, upto=unknown + 1)
