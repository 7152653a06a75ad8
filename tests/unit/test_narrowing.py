"""What is asked next if a check fails: few attempts find the identity and the row that cause it."""

from collections.abc import Callable, Collection

import pytest

from ayb_realtime.identity import Identity
from ayb_realtime.visibility import narrowing
from ayb_realtime.visibility.narrowing import MOST_FAILURES, Plan
from ayb_realtime.visibility.parts import LEAST_SHARE, Part

PEOPLE = [Identity("reader", (("ayb.user_id", str(n)),)) for n in range(12)]
ROWS = range(100)
Fails = Callable[[Identity, int], bool]


def asked(
    plan: Plan[Identity], fails: Fails, *, is_found: bool = True
) -> tuple[set[tuple[Identity, int]], list[Part[Identity]]]:
    """Answer a plan's parts as a database would in which some pairs of a row and an identity do not end.

    is_found: whether these pairs take long, and the watchdog sees for which identity; otherwise they fail at once.
    Returns the pairs about which there was an answer, and the parts that failed.
    """
    answered: set[tuple[Identity, int]] = set()
    failed: list[Part[Identity]] = []
    for part in plan:
        failing = [who for who in part.identities if any(fails(who, row) for row in part.rows)]
        if failing:
            failed.append(part)
            is_alone = len(part.identities) == 1
            share = part.share * (1.0 if is_alone else 0.45) if is_found else 0.01
            if is_found and not is_alone:
                plan.held_up(part, failing[0], share)
            else:
                plan.failed(part, "late", share)
        else:
            answered |= {(who, row) for who in part.identities for row in part.rows}
    return answered, failed


def unanswered(plan: Plan[Identity]) -> set[tuple[Identity, int]]:
    """Return the pairs without an answer."""
    return {(who, row) for who, rows in plan.unanswered.items() for row in rows}


def pairs(people: Collection[Identity], rows: Collection[int]) -> set[tuple[Identity, int]]:
    """Return all pairs of these."""
    return {(who, row) for who in people for row in rows}


ALL = pairs(PEOPLE, ROWS)


def test_all_are_asked_at_once() -> None:
    plan = Plan[Identity]()
    plan.add(ROWS, PEOPLE)
    assert list(plan) == [Part(tuple(ROWS), tuple(PEOPLE), 1.0)]
    assert not plan.unanswered


def test_more_than_the_most_pairs_are_asked_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(narrowing, "MOST_PAIRS", 500)
    plan = Plan[Identity]()
    plan.add(ROWS, PEOPLE)
    assert [len(part.identities) for part in plan] == [5, 5, 2]


@pytest.mark.parametrize("is_found", [True, False])
@pytest.mark.parametrize(
    "fails",
    [
        lambda who, row: row in {17, 18},
        lambda who, row: who == PEOPLE[5],
        lambda who, row: who == PEOPLE[5] and row == 17,
        lambda who, row: row == 17 and who != PEOPLE[5],
    ],
    ids=["two rows", "one identity", "a pair", "a row for most"],
)
def test_what_fails_keeps_nothing_else_from_its_answer(fails: Fails, is_found: bool) -> None:
    plan = Plan[Identity]()
    plan.add(ROWS, PEOPLE)
    answered, failed = asked(plan, fails, is_found=is_found)
    bad = {(who, row) for who, row in ALL if fails(who, row)}
    assert answered == ALL - bad
    assert unanswered(plan) == bad
    assert not plan.ran_out
    assert len(failed) < (20 if is_found else 100)


def test_lone_pair_is_asked_twice() -> None:
    plan = Plan[Identity]()
    plan.add([1], PEOPLE[:1])
    _, failed = asked(plan, lambda who, row: True)
    assert [part.share for part in failed] == [1.0, 0.5]
    assert plan.failed_pairs == {(PEOPLE[0], 1)}
    assert plan.failed_identities == {PEOPLE[0]}


def test_identity_that_fails_on_many_rows_is_not_asked_about_the_rest() -> None:
    plan = Plan[Identity]()
    plan.add(ROWS, PEOPLE[:2])
    answered, failed = asked(plan, lambda who, row: who == PEOPLE[0] and row >= 20)
    assert answered == pairs(PEOPLE[:1], range(20)) | pairs(PEOPLE[1:2], ROWS)
    assert len(failed) == 1 + MOST_FAILURES
    assert plan.failed_identities == set(PEOPLE[:1])
    assert unanswered(plan) == pairs(PEOPLE[:1], range(20, 100))


def test_suspects_are_asked_after_the_others_with_less_time() -> None:
    plan = Plan[Identity]()
    plan.suspect(PEOPLE[:1], [3])
    plan.add(range(5), PEOPLE)
    parts = list(plan)
    assert parts[0] == Part((0, 1, 2, 4), tuple(PEOPLE[1:]), 1.0)
    assert parts[1] == Part((0, 1, 2, 4), (PEOPLE[0],), LEAST_SHARE)
    assert {part.rows for part in parts[2:]} == {(3,)}
    assert {who for part in parts[2:] for who in part.identities} == set(PEOPLE)


def test_suspect_that_fails_again_gets_few_attempts() -> None:
    plan = Plan[Identity]()
    plan.suspect(PEOPLE[:1], [])
    plan.add(ROWS, PEOPLE[:1])
    _, failed = asked(plan, lambda who, row: True)
    assert len(failed) == 3
    assert unanswered(plan) == pairs(PEOPLE[:1], ROWS)


def test_table_whose_policies_end_for_no_identity_costs_a_bounded_time() -> None:
    people = [Identity("reader", (("ayb.user_id", str(n)),)) for n in range(500)]
    for patience, most in ((1.0, 10.0), (1 / 16, 2.0)):
        plan = Plan[Identity](patience)
        plan.add(ROWS, people)
        answered, failed = asked(plan, lambda who, row: True)
        assert answered == set()
        assert unanswered(plan) == pairs(people, ROWS)
        assert plan.ran_out
        assert sum(part.share * 0.45 for part in failed) < most


def test_all_that_was_to_be_asked_yet_can_be_given_up() -> None:
    plan = Plan[Identity]()
    plan.add(ROWS, PEOPLE[:6])
    plan.add(ROWS, PEOPLE[6:])
    assert [*plan.give_up_all()] == [
        Part(tuple(ROWS), tuple(PEOPLE[:6]), 1.0),
        Part(tuple(ROWS), tuple(PEOPLE[6:]), 1.0),
    ]
    assert list(plan) == []
