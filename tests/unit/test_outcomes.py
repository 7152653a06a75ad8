"""Classifies how an attempt ended, and plans what is asked next."""

import pytest

from ayb_realtime.identity import Identity
from ayb_realtime.visibility.narrowing import Plan
from ayb_realtime.visibility.outcomes import Attempt, Failure, Outcome, classify, plan_next
from ayb_realtime.visibility.parts import Part

ANN, BOB, CYD = (Identity("reader", (("ayb.user_id", name),)) for name in ("ann", "bob", "cyd"))
PART = Part((1, 2, 3, 4), (ANN, BOB, CYD), 1.0)


def parts_after(attempt: Attempt[Identity], part: Part[Identity] = PART) -> list[Part[Identity]]:
    """Return the parts that are asked after an attempt at a part, if each of them is answered."""
    plan = Plan[Identity]()
    plan.add(part.rows, part.identities)
    parts = []
    for asked in plan:
        parts.append(asked)
        if len(parts) == 1:
            assert plan_next(plan, asked, attempt) == []
    assert not plan.unanswered
    return parts[1:]


@pytest.mark.parametrize(
    ("failure", "outcome"),
    [
        (Failure("57014"), Outcome.FAILED),
        (Failure("57014", is_slow_identity_known=True), Outcome.TOO_SLOW_FOR_ONE),
        (Failure("53200"), Outcome.FAILED),
        (Failure(None), Outcome.FAILED),
        (Failure("55P03"), Outcome.FAILED),
        (Failure("55P03", is_table_locked=True), Outcome.LOCKED),
        (Failure("55P03", is_table_locked=True, is_slow_identity_known=True), Outcome.LOCKED),
        (Failure("22P02"), Outcome.KEY_CHANGED),
        (Failure("23514"), Outcome.KEY_CHANGED),
        (Failure("57P01", is_transaction_lost=True), Outcome.CONNECTION_LOST),
        (Failure("42P01", is_transaction_lost=True), Outcome.CONNECTION_LOST),
        (Failure(None, is_transaction_lost=True, is_policy_suspected=True), Outcome.UNCANCELLABLE),
        # If each part has its own connection, only the attempt is lost, not the check's transaction.
        (Failure("57P01"), Outcome.FAILED),
    ],
)
@pytest.mark.parametrize("undefined_is_failure", [False, True])
def test_error_and_what_is_known_of_it_tell_how_the_attempt_ended(
    failure: Failure, outcome: Outcome, undefined_is_failure: bool
) -> None:
    assert classify(failure, undefined_is_failure=undefined_is_failure) == outcome


@pytest.mark.parametrize("sqlstate", ["42P01", "42703", "42704", "42883", "AYB01"])
def test_missing_name_is_a_changed_catalog_at_first_and_then_a_broken_policy(sqlstate: str) -> None:
    assert classify(Failure(sqlstate), undefined_is_failure=False) == Outcome.CATALOG_CHANGED
    assert classify(Failure(sqlstate), undefined_is_failure=True) == Outcome.POLICY_BROKEN


def test_answer_for_all_leaves_nothing_to_ask() -> None:
    assert parts_after(Attempt(Outcome.ANSWERED)) == []


def test_identities_that_the_policies_failed_for_are_asked_row_by_row() -> None:
    parts = parts_after(Attempt(Outcome.ANSWERED, failed_for=[BOB]))
    assert parts == [Part((row,), (BOB,), 0.5) for row in PART.rows]


def test_policy_that_fails_on_one_row_is_not_asked_again() -> None:
    assert parts_after(Attempt(Outcome.ANSWERED, failed_for=[BOB]), Part((1,), (ANN, BOB), 1.0)) == []


def test_failure_without_a_slow_identity_is_halved_in_rows_and_identities() -> None:
    parts = parts_after(Attempt(Outcome.FAILED, "late", 0.5))
    assert parts == [Part(rows, who, 0.5) for rows in ((1, 2), (3, 4)) for who in ((ANN, BOB), (CYD,))]


def test_slow_identity_is_asked_by_itself_after_the_others() -> None:
    parts = parts_after(Attempt(Outcome.TOO_SLOW_FOR_ONE, "late", 0.5, BOB))
    assert parts == [*(Part((row,), (ANN, CYD), 0.5) for row in PART.rows), Part(PART.rows, (BOB,), 0.25)]


def test_lock_postpones_the_part_and_all_that_were_to_follow() -> None:
    plan = Plan[Identity]()
    for row in (1, 2, 3):
        plan.add([row], [ANN, BOB])
    first, *others = [Part((row,), (ANN, BOB), 1.0) for row in (1, 2, 3)]
    parts = iter(plan)
    assert next(parts) == first
    assert plan_next(plan, first, Attempt(Outcome.LOCKED, "LockNotAvailable", 0.5)) == [first, *others]
    assert list(parts) == []
    assert not plan.unanswered


def test_broken_policy_gets_no_answer_and_does_not_hold_up_the_next_part() -> None:
    plan = Plan[Identity]()
    plan.add([1], [ANN])
    plan.add([2], [BOB])
    parts = iter(plan)
    assert plan_next(plan, next(parts), Attempt(Outcome.POLICY_BROKEN, "UndefinedTable", 0.5)) == []
    assert list(parts) == [Part((2,), (BOB,), 1.0)]
    assert plan.unanswered == {ANN: {1: "UndefinedTable"}}
