"""Partitioned tables are logged as one table."""

import json
from typing import Any

import pytest

from tests.integration.capture.conftest import Logged, log_after, newest_id
from tests.integration.scenario import MakeTable, Owner


@pytest.fixture
def visits(owner: Owner, make_table: MakeTable) -> Logged:
    """A table in partitions of two levels, ``visits``, ``visits_eu`` and ``visits_us`` → ``visits_us_late``."""
    make_table("visits", "region text, id int, primary key (region, id)", suffix="partition by list (region)")
    owner.execute("create table visits_eu partition of visits for values in ('eu')")
    owner.execute("create table visits_us partition of visits for values in ('us') partition by range (id)")
    owner.execute("create table visits_us_late partition of visits_us for values from (0) to (100)")
    last_id = newest_id(owner)

    def read() -> list[tuple[str, Any]]:
        rows = log_after(owner, last_id)
        assert {table for table, _, _ in rows} == {"visits"}
        return [(action, record and json.loads(record)) for _, action, record in rows]

    return read


@pytest.mark.parametrize(
    ("table", "region"), [("visits", "eu"), ("visits_eu", "eu"), ("visits", "us"), ("visits_us_late", "us")]
)
def test_writes_to_a_partition_are_those_of_the_whole_table(
    owner: Owner, visits: Logged, table: str, region: str
) -> None:
    owner.execute(f"insert into {table} values (%s, 1)".encode(), [region])
    owner.execute(f"update {table} set id = 2".encode())
    owner.execute(f"delete from {table}".encode())
    first, second = {"region": region, "id": 1}, {"region": region, "id": 2}
    assert visits() == [("create", first), ("delete", first), ("create", second), ("delete", second)]


def test_row_that_moves_to_another_partition_is_a_new_row(owner: Owner, visits: Logged) -> None:
    owner.execute("insert into visits values ('eu', 1)")
    owner.execute("update visits set region = 'us'")
    first, second = {"region": "eu", "id": 1}, {"region": "us", "id": 1}
    assert visits() == [("create", first), ("delete", first), ("create", second)]


def test_partition_attached_later_is_logged(owner: Owner, visits: Logged) -> None:
    owner.execute("create table visits_asia (id int not null, region text not null)")
    owner.execute("alter table visits attach partition visits_asia for values in ('asia')")
    owner.execute("insert into visits_asia values (1, 'asia')")
    assert visits() == [("create", {"id": 1, "region": "asia"})]


def test_truncated_whole_table_is_logged(owner: Owner, visits: Logged) -> None:
    owner.execute("truncate visits")
    assert visits() == [("truncate", None)]


def test_owner_of_a_table_that_another_user_enabled_adds_a_partition(
    owner: Owner, make_table: MakeTable, writer_role: str, logged: Logged
) -> None:
    make_table("visits", "id int primary key", suffix="partition by list (id)", enable=False)
    owner.execute(f"grant create on schema public to {writer_role}; alter table visits owner to {writer_role}".encode())
    owner.execute("select ayb_realtime.enable_v1('visits')")
    owner.execute(f"set role {writer_role}".encode())
    owner.execute("create table visits_1 partition of visits for values in (1)")
    owner.execute("insert into visits values (1)")
    owner.execute("reset role; drop table visits")
    assert logged() == [("create", {"id": 1})]
