"""Reading a range of the log, and ranges that it does not hold."""

import pytest

from ayb_realtime.exceptions import PositionUnavailable
from ayb_realtime.log import queries
from ayb_realtime.log.changes import Change
from tests.integration.log.conftest import Connection, numbered
from tests.integration.scenario import Owner


async def test_range_beyond_the_head_is_unavailable(owner: Owner, relay: Connection) -> None:
    owner.execute("insert into notes values (1, 0)")
    await numbered(relay)
    head = await queries.head(relay)
    assert len(await queries.read(relay, after=head - 1, upto=head)) == 1
    assert len(await queries.read(relay, after=head - 1, upto=head + 1)) == 1
    for after, upto in ((head, head + 1), (head + 5, head + 6)):
        with pytest.raises(PositionUnavailable):
            await queries.read(relay, after=after, upto=upto)


async def test_large_changes_are_read_in_parts(
    owner: Owner, relay: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "READ_BYTES", 100)
    start = await queries.head(relay)
    owner.execute("insert into notes select n, 0 from generate_series(1, 20) as n")
    changes = await numbered(relay)
    read: list[Change] = []
    while len(read) < 20:
        part = await queries.read(relay, after=start + len(read), upto=start + 20)
        assert len(part) < 20
        read += part
    assert read == changes


async def test_range_whose_beginning_is_gone_is_unavailable(owner: Owner, relay: Connection) -> None:
    start = await queries.head(relay)
    for n in range(3):
        owner.execute("insert into notes values (%s, 0)", [n])
        await numbered(relay)
    async with relay.transaction(force_rollback=True):
        await relay.execute("delete from ayb_realtime.batch where first_position <= %s", [start + 1])
        assert len(await queries.read(relay, after=start + 2, upto=start + 3)) == 1
        for upto in (start + 1, start + 3):
            with pytest.raises(PositionUnavailable):
                await queries.read(relay, after=start, upto=upto)


async def test_change_that_is_gone_makes_its_batch_unavailable(owner: Owner, relay: Connection) -> None:
    start = await queries.head(relay)
    owner.execute("insert into notes select n, 0 from generate_series(1, 3) as n")
    await numbered(relay)
    async with relay.transaction(force_rollback=True):
        await relay.execute("delete from ayb_realtime.change where id = (select max(id) from ayb_realtime.change)")
        with pytest.raises(PositionUnavailable):
            await queries.read(relay, after=start, upto=start + 3)
