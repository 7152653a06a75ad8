"""Transactions that overlap, take long, wait or fail, and relays that number at the same time."""

import asyncio
import random
import threading
from contextlib import ExitStack
from uuid import uuid4

import psycopg
import pytest

from ayb_realtime.conf import conf
from ayb_realtime.log import queries
from ayb_realtime.postgres import database
from tests.integration.log.conftest import Connection, assert_same_when_read, numbered, records
from tests.integration.scenario import Owner, until_blocked


async def test_long_transaction_delays_no_other_and_is_numbered_when_it_commits(
    owner: Owner, other: Owner, relay: Connection
) -> None:
    start = await queries.head(relay)
    batches = []
    with owner.transaction():
        owner.execute("insert into notes values (1, 0)")
        with owner.transaction():
            owner.execute("insert into notes values (2, 0)")
        for n in (10, 11, 12):
            other.execute("insert into notes values (%s, 0)", [n])
            batches.append(await numbered(relay))
            assert records(batches[-1]) == [("create", n, 0)]
        with owner.transaction():
            owner.execute("insert into notes values (3, 0)")
        assert await numbered(relay) == []
    batches.append(await numbered(relay))
    assert records(batches[-1]) == [("create", n, 0) for n in (1, 2, 3)]
    assert await numbered(relay) == []
    await assert_same_when_read(relay, batches, start)


async def test_transaction_that_ran_across_batches_and_rolled_back_is_never_numbered(
    owner: Owner, other: Owner, relay: Connection
) -> None:
    start = await queries.head(relay)
    with owner.transaction():
        owner.execute("insert into notes values (1, 0)")
        other.execute("insert into notes values (10, 0)")
        first = await numbered(relay)
        owner.execute("insert into notes values (2, 0)")
        raise psycopg.Rollback
    assert await numbered(relay) == []
    other.execute("insert into notes values (11, 0)")
    second = await numbered(relay)
    assert records(first + second) == [("create", 10, 0), ("create", 11, 0)]
    await assert_same_when_read(relay, [first, second], start)


async def test_transactions_that_overlap_are_each_numbered_once(
    database_url: str, other: Owner, relay: Connection
) -> None:
    """Ten writers, one ending as the next begins, each seen as running by several batches."""
    start = await queries.head(relay)
    batches = []
    with ExitStack() as stack:
        writers = [stack.enter_context(psycopg.connect(database_url)) for _ in range(10)]
        for n, writer in enumerate(writers):
            writer.execute("insert into notes values (%s, 0)", [n])
            if n >= 3:
                writers[n - 3].commit() if n % 2 else writers[n - 3].rollback()
            other.execute("insert into notes values (%s, 0)", [100 + n])
            batches.append(await numbered(relay))
        for writer in writers[7:]:
            writer.commit()
        batches.append(await numbered(relay))
    created = sorted(change[1] for batch in batches for change in records(batch))
    assert created == [0, 2, 4, 6, 7, 8, 9, *range(100, 110)]
    await assert_same_when_read(relay, batches, start)


async def test_two_writers_of_one_row_are_in_the_order_of_their_commits(
    owner: Owner, other: Owner, relay: Connection
) -> None:
    owner.execute("insert into notes values (1, 0)")
    assert len(await numbered(relay)) == 1
    with owner.transaction():
        # It has the older transaction id, and gets the row's lock second.
        owner.execute("insert into notes values (2, 0)")
        other.execute("update notes set version = 1 where id = 1")
        owner.execute("update notes set version = 2 where id = 1")
    assert records(await numbered(relay)) == [("create", 2, 0), ("update", 1, 1), ("update", 1, 2)]


async def test_prepared_transaction_is_refused_as_long_as_it_notifies(owner: Owner, relay: Connection) -> None:
    owner.execute("begin")
    owner.execute("insert into notes values (1, 0)")
    with pytest.raises(psycopg.errors.FeatureNotSupported, match="NOTIFY"):
        owner.execute(f"prepare transaction '{uuid4()}'".encode())
    assert await numbered(relay) == []


async def test_second_of_two_relays_is_fenced(owner: Owner, relay: Connection) -> None:
    start = await queries.head(relay)
    owner.execute("insert into notes values (1, 0)")
    async with await database.connect(conf.relay_database) as rival:
        async with rival.transaction():
            theirs = await numbered(rival)
            # It waits until the rival has ended: both were to create the same batch.
            ours = asyncio.create_task(numbered(relay))
            await until_blocked(owner, relay.info.backend_pid)
            assert not ours.done()
        with pytest.raises(psycopg.errors.UniqueViolation):
            await ours
    owner.execute("insert into notes values (2, 0)")
    await assert_same_when_read(relay, [theirs, await numbered(relay)], start)


async def test_second_of_two_relays_takes_over_where_the_first_fails(owner: Owner, relay: Connection) -> None:
    start = await queries.head(relay)
    owner.execute("insert into notes values (1, 0)")
    async with await database.connect(conf.relay_database) as rival:
        async with rival.transaction(force_rollback=True):
            theirs = await numbered(rival)
            ours = asyncio.create_task(numbered(relay))
            await until_blocked(owner, relay.info.backend_pid)
        assert await ours == theirs
    await assert_same_when_read(relay, [theirs], start)


WRITERS = 6


ROWS = 8


TRANSACTIONS = 150


class RandomWriter(threading.Thread):
    """Writes to a few rows at the same time as others, with savepoints and rollbacks."""

    def __init__(self, url: str, seed: int) -> None:
        super().__init__()
        self._url = url
        self._chance = random.Random(seed)
        self.committed = 0

    def run(self) -> None:
        with psycopg.connect(self._url, autocommit=True) as connection:
            for _ in range(TRANSACTIONS):
                done = 0
                with connection.transaction():
                    # Always in the same order, so that there are no deadlocks.
                    for row in sorted(self._chance.sample(range(ROWS), self._chance.randint(1, 3))):
                        done += self._write(connection, row)
                    if self._chance.random() < 0.2:
                        done = 0
                        raise psycopg.Rollback
                self.committed += done

    def _write(self, connection: Owner, row: int) -> int:
        """Increment the row's version, sometimes inside a savepoint that is kept or rolled back."""
        count_up = "update notes set version = version + 1 where id = %s"
        kind = self._chance.choice(("plain", "savepoint", "rolled back"))
        if kind == "plain":
            connection.execute(count_up, [row])
            return 1
        with connection.transaction():
            connection.execute(count_up, [row])
            if kind == "rolled back":
                raise psycopg.Rollback
        return int(kind == "savepoint")


async def test_random_writers_lose_and_repeat_nothing(owner: Owner, database_url: str, relay: Connection) -> None:
    owner.execute("insert into notes select n, 0 from generate_series(0, %s) as n", [ROWS - 1])
    await numbered(relay)
    start = await queries.head(relay)
    writers = [RandomWriter(database_url, seed) for seed in range(WRITERS)]
    for writer in writers:
        writer.start()
    batches = []
    while any(writer.is_alive() for writer in writers):
        batches.append(await numbered(relay))
    batches.append(await numbered(relay))
    batches = [batch for batch in batches if batch]

    changes = [change for batch in batches for change in batch]
    versions: dict[int, list[int]] = {row: [] for row in range(ROWS)}
    for _, row, version in records(changes):
        versions[row].append(version)
    # A row's versions are 1, 2, 3 …: a lost one is a gap, a repeated or an early one is out of order.
    assert versions == {row: list(range(1, len(seen) + 1)) for row, seen in versions.items()}
    stored = dict(owner.execute("select id, version from notes").fetchall())
    assert {row: len(seen) for row, seen in versions.items()} == stored
    assert sum(writer.committed for writer in writers) == len(changes)
    assert len(batches) > 1
    await assert_same_when_read(relay, batches, start)
