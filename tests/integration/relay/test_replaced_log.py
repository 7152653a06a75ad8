"""A log that is replaced while a relay runs."""

import pytest
from channels.layers import BaseChannelLayer

from ayb_realtime.conf import conf
from ayb_realtime.exceptions import PositionUnavailable
from ayb_realtime.log import queries
from ayb_realtime.postgres import database
from tests.integration.relay.conftest import LogWatch, receiver
from tests.integration.scenario import Owner, relaying


async def test_new_epoch_begins_on_another_cluster_far_above_the_old_one(
    owner: Owner, notes: None, memory_layer: BaseChannelLayer, logs: LogWatch
) -> None:
    async with await database.connect(conf.relay_database) as connection:
        before = await queries.head(connection)
        owner.execute("insert into notes values (1, 'x')")
        await queries.next_batch(connection)
        owner.execute("update ayb_realtime.epoch set location = 'another'")
        async with relaying(memory_layer):
            oldest, head = await queries.bounds(connection)
            assert oldest == head > before + 1
            assert logs.count("the log begins a new epoch") == 1
            with pytest.raises(PositionUnavailable):
                await queries.read(connection, after=before, upto=before + 1)
        assert await queries.ensure_epoch(connection) is False


# As a restore of only the data does, in one transaction: the relay never misses a table.
RESTORED = [
    f"""create temp table saved_{name} on commit drop as table ayb_realtime.{name};
        delete from ayb_realtime.{name};
        insert into ayb_realtime.{name} select * from saved_{name}"""
    for name in ("batch", "epoch", "change")
]


# Or remove the log and create it again.
MADE_AGAIN = ["delete from ayb_realtime.epoch", "select ayb_realtime.ensure_epoch_v1()"]


@pytest.mark.parametrize("replaced", [RESTORED, MADE_AGAIN], ids=["restored", "made again"])
async def test_relay_starts_again_when_its_log_is_replaced(
    owner: Owner, notes: None, memory_layer: BaseChannelLayer, logs: LogWatch, replaced: list[str]
) -> None:
    owner.execute("insert into notes values (1, 'x')")
    hub = await receiver(memory_layer)
    async with relaying(memory_layer), await database.connect(conf.relay_database) as connection:
        assert await hub.records(1) == ['{"id":1,"body":"x"}']
        before = await queries.head(connection)
        with owner.transaction():
            for statements in replaced:
                owner.execute(statements.encode())
        await logs.until("relay leads", 2)
        assert await queries.epoch(connection) == await queries.head(connection) > before + 1
        # Earlier positions are no longer published.
        while (message := await hub.next()).head <= before:
            pass
        owner.execute("insert into notes values (2, 'y')")
        while not message.changes:
            message = await hub.next()
            assert message.head > before
        assert [change.record for change in message.changes] == ['{"id":2,"body":"y"}']
