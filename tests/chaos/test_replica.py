"""The checker of streams with snapshots, on handmade histories."""

from tests.chaos.history import ALL, Event
from tests.chaos.replica import check_part, held, parts
from tests.chaos.test_checker import ANN, BEN, committed, post, received
from tests.chaos.truth import Truth

CONNECTED = Event(1.5, 0, "connected")
READY = Event(5, 2, "ready")


def shown(version: int, pk: int = 1) -> Event:
    """Return a row of a snapshot."""
    return Event(4, 0, "row", "", "posts", pk, f"{pk}v{version}", version)


def found(*events: Event, audience: str = ALL) -> list[str]:
    """Return the kinds of what is found if a post was written at 1, 2 and 3, and this arrived."""
    versions = (post(1, "create", audience), post(2, audience=audience), post(3, audience=audience))
    truth = Truth([committed(at, version) for at, version in enumerate(versions, 1)])
    return [finding.kind for part in parts(events) for finding in check_part(truth, BEN, part)]


def test_snapshot_and_exactly_what_follows_it_are_fine() -> None:
    assert found(CONNECTED, shown(2), READY, received(6, 3, 3)) == []


def test_change_between_the_snapshot_and_its_end_is_lost() -> None:
    assert found(CONNECTED, shown(2), READY) == ["lost"]


def test_change_that_the_snapshot_has_is_repeated() -> None:
    assert found(CONNECTED, shown(3), READY, received(6, 3, 3)) == ["repeated"]


def test_change_after_the_client_has_dropped_its_rows_is_of_the_next_part() -> None:
    assert found(CONNECTED, shown(2), Event(2.2, 2, "ready"), Event(2.5, 0, "reload")) == []


def test_row_of_another_user_is_leaked() -> None:
    assert found(CONNECTED, shown(3), READY, audience=ANN) == ["leaked"]


def test_rows_go_with_a_reset_and_with_a_snapshot_that_is_cut_off() -> None:
    reset, again = Event(6, 0, "reset"), Event(8, 0, "connected")
    assert list(held([CONNECTED, shown(1, 1), READY, received(6, 3, 1, pk=2)])) == [("posts", 1), ("posts", 2)]
    assert held([CONNECTED, shown(1), READY, reset]) == {}
    assert list(held([CONNECTED, shown(1, 1), again, shown(1, 2), READY])) == [("posts", 2)]
    assert list(held([CONNECTED, shown(1), READY, again])) == [("posts", 1)]
