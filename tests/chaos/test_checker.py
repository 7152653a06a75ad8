"""The checker, on handmade histories: it must report what is wrong, and nothing else."""

import math
from dataclasses import replace

import pytest

from tests.chaos.checker import check
from tests.chaos.history import ALL, MAYBE, Event, Membership, Transaction, Write
from tests.chaos.truth import ContradictoryHistory, Truth

ANN, BEN = "ann", "ben"


def committed(at: float, *writes: Write) -> Transaction:
    """Return a transaction that wrote and committed within a tenth of a second."""
    return Transaction(f"t{at}", at, at + 0.1, tuple(replace(write, at=at) for write in writes))


def post(version: int, action: str = "update", audience: str = ALL, pk: int = 1) -> Write:
    """Return a version of a post; the token names both."""
    return Write("posts", pk, version, action, f"{pk}v{version}", audience, 0)


def received(at: float, number: int, version: int, action: str = "update", pk: int = 1) -> Event:
    """Return an event with a version of a post."""
    if action == "delete":
        return Event(at, number, "change", action, "posts", pk)
    return Event(at, number, "change", action, "posts", pk, f"{pk}v{version}", version)


CONNECTED = Event(0, 0, "connected")
THREE_VERSIONS = [committed(1, post(1, "create")), committed(2, post(2)), committed(3, post(3))]


def found(transactions: list[Transaction], *events: Event, user: str = BEN) -> list[str]:
    """Return the kinds of the checker's findings in a stream."""
    verdict = check(Truth(transactions), user, [CONNECTED, *events])
    return [finding.kind for finding in verdict.findings]


def test_everything_received_in_order_is_fine() -> None:
    assert found(THREE_VERSIONS, received(1.2, 1, 1, "create"), received(2.2, 2, 2), received(3.2, 3, 3)) == []


def test_missing_event_is_lost() -> None:
    assert found(THREE_VERSIONS, received(1.2, 1, 1, "create"), received(3.2, 3, 3)) == ["lost"]


def test_missing_tail_is_lost() -> None:
    assert found(THREE_VERSIONS, received(1.2, 1, 1, "create")) == ["lost", "lost"]


def test_stream_that_never_began_is_lost() -> None:
    verdict = check(Truth(THREE_VERSIONS), BEN, [])
    assert [finding.kind for finding in verdict.findings] == ["lost"]


def test_late_event_may_carry_the_newest_version() -> None:
    assert found(THREE_VERSIONS, received(4, 1, 3, "create"), received(4, 2, 3), received(4, 3, 3)) == []


def test_same_id_twice_is_repeated() -> None:
    events = received(1.2, 1, 1, "create"), received(1.3, 1, 1, "create")
    assert found(THREE_VERSIONS[:1], *events) == ["repeated", "repeated"]


def test_more_events_than_changes_are_repeated() -> None:
    events = received(1.2, 1, 1, "create"), received(1.3, 2, 1, "create")
    assert found(THREE_VERSIONS[:1], *events) == ["repeated"]


def test_smaller_id_is_inverted() -> None:
    transactions = [committed(1, post(1, "create")), committed(1, post(1, "create", pk=2))]
    assert found(transactions, received(1.2, 2, 1, "create"), received(1.3, 1, 1, "create", pk=2)) == ["inverted"]


def test_row_that_goes_back_is_inverted() -> None:
    kinds = found(THREE_VERSIONS, received(1.2, 1, 1, "create"), received(3.2, 2, 3), received(3.3, 3, 2))
    assert "inverted" in kinds


def test_event_after_the_delete_is_inverted() -> None:
    transactions = [*THREE_VERSIONS[:2], committed(3, post(3, "delete"))]
    kinds = found(transactions, received(1, 1, 1, "create"), received(3.2, 2, 0, "delete"), received(3.3, 3, 2))
    assert "inverted" in kinds


def test_record_of_another_user_is_leaked() -> None:
    transactions = [committed(1, post(1, "create", ANN))]
    assert found(transactions, received(1.2, 1, 1, "create")) == ["leaked"]
    assert found(transactions, received(1.2, 1, 1, "create"), user=ANN) == []


def test_version_that_its_own_transaction_overwrote_is_leaked() -> None:
    transactions = [committed(1, post(1, "create"), post(2))]
    assert found(transactions, received(1.2, 1, 1, "create")) == ["leaked", "lost", "repeated"]
    assert found(transactions, received(1.2, 1, 2, "create")) == []


def test_version_that_was_rolled_back_is_leaked() -> None:
    assert "leaked" in found(THREE_VERSIONS[:1], received(1.2, 1, 1, "create"), received(1.3, 2, 2))


def test_row_created_and_deleted_in_one_transaction_is_never_there() -> None:
    transactions = [committed(1, post(1, "create"), post(2, "delete"))]
    assert found(transactions) == []
    assert found(transactions, received(1.2, 1, 0, "delete")) == ["repeated"]


def test_update_of_a_row_that_is_deleted_soon_need_not_arrive() -> None:
    transactions = [*THREE_VERSIONS[:2], committed(2.2, post(3, "delete"))]
    assert found(transactions, received(1.2, 1, 1, "create"), received(2.4, 3, 0, "delete")) == []


def test_update_that_the_stream_had_passed_before_the_delete_is_lost() -> None:
    other = committed(5, post(1, "create", pk=2))
    transactions = [*THREE_VERSIONS[:2], other, committed(9, post(3, "delete"))]
    events = received(1.2, 1, 1, "create"), received(5.2, 3, 1, "create", pk=2), received(9.2, 4, 0, "delete")
    assert found(transactions, *events) == ["lost"]


def test_long_transaction_does_not_prove_that_the_stream_had_passed_what_committed_meanwhile() -> None:
    long = Transaction("long", 5, 5.1, (replace(post(1, "create", pk=2), at=1.5),))
    transactions = [*THREE_VERSIONS[:2], long, committed(9, post(3, "delete"))]
    events = received(1.2, 1, 1, "create"), received(5.2, 3, 1, "create", pk=2), received(9.2, 5, 0, "delete")
    # It is in one batch with the update of 2, and before that.
    assert found(transactions, *events) == []


def test_delete_is_for_everyone() -> None:
    transactions = [committed(1, post(1, "create", ANN)), committed(2, post(2, "delete", ANN))]
    assert found(transactions) == ["lost"]
    assert found(transactions, received(2.2, 2, 0, "delete")) == []


FLIPPED = [
    committed(1, post(1, "create", ANN)),
    committed(2, post(2, "update", ALL)),
    committed(3, post(3, "update", ANN)),
    committed(4, post(4, "update", ALL)),
]


def test_row_that_becomes_visible_has_to_arrive() -> None:
    assert found(FLIPPED, received(4.2, 4, 4)) == []
    assert found(FLIPPED) == ["lost"]
    assert found(FLIPPED, received(4.2, 3, 4), received(4.2, 4, 4)) == []


def test_hidden_version_is_leaked_before_it_is_shown() -> None:
    assert found(FLIPPED, received(3.2, 3, 3), received(4.2, 4, 4)) == ["leaked"]


def test_commit_without_an_answer_that_took_place_has_to_arrive() -> None:
    assert found([Transaction("t", 1, math.inf, (post(1, "create"),))]) == ["lost"]


def test_what_was_committed_before_the_stream_began_need_not_arrive() -> None:
    verdict = check(Truth(THREE_VERSIONS), BEN, [Event(2.5, 2, "connected"), received(3.2, 3, 3)])
    assert (verdict.findings, verdict.required) == ([], 1)


def test_what_a_reset_announces_need_not_arrive() -> None:
    reset = Event(2.5, 2, "reset")
    verdict = check(Truth(THREE_VERSIONS), BEN, [CONNECTED, reset, received(3.2, 3, 3)], resets_at_most=1)
    assert (verdict.findings, verdict.resets) == ([], [2.5])


def test_reset_without_a_reason_is_lost() -> None:
    events = [CONNECTED, Event(2.5, 2, "reset"), Event(2.6, 2, "reset"), received(3.2, 3, 3)]
    verdict = check(Truth(THREE_VERSIONS), BEN, events, resets_at_most=1)
    assert [(finding.kind, finding.at) for finding in verdict.findings] == [("lost", 2.6)]


def test_row_that_its_user_may_see_need_not_arrive_and_may_not_reach_another() -> None:
    transactions = [committed(1, post(1, "create", audience=f"{MAYBE}{ANN}"))]
    arrived = received(1.2, 1, 1, "create")
    assert found(transactions, user=ANN) == []
    assert found(transactions, arrived, user=ANN) == []
    assert found(transactions, arrived, user=BEN) == ["leaked"]


MEMBER = Transaction("in", 2, 2.1, (), (Membership(7, BEN, granted=True),))
NO_MEMBER = Transaction("out", 5, 5.1, (), (Membership(7, BEN, granted=False),))


@pytest.mark.parametrize(
    ("at", "arrival", "kinds"),
    [(1.0, 1.2, ["leaked"]), (1.0, 2.5, []), (3.0, 3.2, []), (4.9, 5.05, []), (6.0, 6.2, ["leaked"])],
)
def test_comment_reaches_a_member_only(at: float, arrival: float, kinds: list[str]) -> None:
    transactions = [MEMBER, NO_MEMBER, committed(at, post(1, "create", "team 7"))]
    assert found(transactions, received(arrival, 1, 1, "create")) == kinds


def test_comment_written_during_a_membership_has_to_arrive() -> None:
    assert found([MEMBER, committed(3, post(1, "create", "team 7"))]) == ["lost"]
    assert found([committed(1, post(1, "create", "team 7")), MEMBER]) == []


def test_delay_leaves_out_what_the_client_was_away() -> None:
    events = [CONNECTED, Event(5, 0, "connecting"), Event(5.5, 0, "connected"), received(6, 1, 1, "create")]
    assert check(Truth(THREE_VERSIONS[:1]), BEN, events).deliveries == [(1, 1.0)]


def test_two_transactions_with_one_version_are_no_truth() -> None:
    with pytest.raises(ContradictoryHistory, match="version 1 twice"):
        Truth([committed(1, post(1, "create")), committed(2, post(1))])
