"""Which commits notify the relay."""

import psycopg
import pytest

from tests.integration.scenario import MakeTable, Owner


def test_committed_changes_wake_the_relay_once_and_rolled_back_ones_never(
    owner: Owner, database_url: str, make_table: MakeTable
) -> None:
    make_table("notes", "id int primary key")
    owner.execute("select setval('ayb_realtime.asleep_at', ayb_realtime.milliseconds_v1() + 1000)")  # the relay sleeps
    with psycopg.connect(database_url, autocommit=True) as listener:
        listener.execute("listen ayb_realtime")
        listener.execute("listen marker")
        with owner.transaction():
            owner.execute("insert into notes values (0)")
            raise psycopg.Rollback
        owner.execute("notify marker, 'after the rollback'")
        owner.execute("insert into notes select generate_series(1, 100)")
        owner.execute("notify marker, 'after the commit'")
        heard = list(listener.notifies(timeout=30, stop_after=3))
    assert [(notify.channel, notify.payload) for notify in heard] == [
        ("marker", "after the rollback"),
        ("ayb_realtime", ""),
        ("marker", "after the commit"),
    ]


SEEN_ASLEEP = "select setval('ayb_realtime.asleep_at', ayb_realtime.milliseconds_v1() + {milliseconds})"


@pytest.mark.parametrize(
    ("relay", "is_told"),
    [
        ("alter sequence ayb_realtime.asleep_at restart", False),  # as before the first relay
        ("select setval('ayb_realtime.asleep_at', 0)", False),  # awake
        (SEEN_ASLEEP.format(milliseconds=+1500), True),
        (SEEN_ASLEEP.format(milliseconds=-3000), False),  # gone
        (SEEN_ASLEEP.format(milliseconds=+1800_000), False),  # gone, and the clock went back
    ],
)
def test_writers_notify_a_relay_that_sleeps_and_no_other(
    owner: Owner, database_url: str, make_table: MakeTable, relay: str, is_told: bool
) -> None:
    make_table("notes", "id int primary key")
    with psycopg.connect(database_url, autocommit=True) as listener:
        listener.execute("listen ayb_realtime")
        listener.execute("listen marker")
        owner.execute(relay.encode())
        owner.execute("insert into notes values (1)")
        owner.execute("notify marker")
        # Notifications arrive in the order of the commits.
        first = next(listener.notifies(timeout=30, stop_after=1)).channel
    assert first == ("ayb_realtime" if is_told else "marker")
