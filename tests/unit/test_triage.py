"""Which identities a check asks together, separately or later, and which it leaves in quarantine."""

import time

import pytest

from ayb_realtime.identity import Identity
from ayb_realtime.postgres.tables import Table
from ayb_realtime.visibility import triage
from ayb_realtime.visibility.narrowing import Plan
from ayb_realtime.visibility.parts import LEAST_SHARE, Part
from ayb_realtime.visibility.quarantine import TABLE, Pair, Quarantine
from ayb_realtime.visibility.triage import BARRED, Triage
from ayb_realtime.wire.records import Row

ANN, BOB = (Identity("reader", (("ayb.user_id", name),)) for name in ("ann", "bob"))
NOTES = Table(7, "public", "notes", ("id",), (), True, 70)
ROWS = {1: Row('{"id":1}'), 2: Row('{"id":2}')}
BOB_ON_2 = Pair(BOB, ("2",))


@pytest.fixture
def quarantine(monkeypatch: pytest.MonkeyPatch) -> Quarantine:
    """An empty quarantine with a stopped clock."""
    monkeypatch.setattr(time, "monotonic", lambda: 1000.0)
    quarantine = Quarantine()
    monkeypatch.setattr(triage, "quarantine", quarantine)
    return quarantine


def planned() -> tuple[Triage, Plan[Identity]]:
    """Plan to ask both identities about both rows."""
    plan = Plan[Identity]()
    the_triage = Triage(NOTES)
    the_triage.add(plan, ROWS, [ANN, BOB], 1.0)
    return the_triage, plan


def test_identities_and_rows_without_failures_are_asked_together(quarantine: Quarantine) -> None:
    _, plan = planned()
    assert list(plan) == [Part((1, 2), (ANN, BOB), 1.0)]


def test_identity_that_failed_once_is_asked_apart_and_twice_not_now(quarantine: Quarantine) -> None:
    quarantine.add(7, [BOB])
    _, plan = planned()
    assert list(plan) == [Part((1, 2), (ANN,), 1.0), Part((1, 2), (BOB,), LEAST_SHARE)]
    quarantine.add(7, [BOB])
    _, plan = planned()
    assert list(plan) == [Part((1, 2), (ANN,), 1.0)]
    assert plan.unanswered == {BOB: {1: BARRED, 2: BARRED}}


def test_row_that_failed_for_one_identity_is_asked_last(quarantine: Quarantine) -> None:
    quarantine.add(7, [BOB_ON_2])
    _, plan = planned()
    assert list(plan) == [Part((1,), (ANN, BOB), 1.0), Part((2,), (ANN, BOB), 0.5)]
    quarantine.add(7, [BOB_ON_2])
    _, plan = planned()
    assert list(plan) == [Part((1,), (ANN, BOB), 1.0), Part((2,), (ANN,), 0.5)]
    assert plan.unanswered == {BOB: {2: BARRED}}


def test_table_whose_check_ran_out_of_time_twice_is_not_asked_about_now(quarantine: Quarantine) -> None:
    quarantine.add(7, [TABLE])
    quarantine.add(7, [TABLE])
    the_triage, plan = planned()
    assert list(plan) == []
    assert plan.unanswered == {each: {1: BARRED, 2: BARRED} for each in (ANN, BOB)}
    the_triage.record(plan, ROWS, ())
    assert quarantine.partition(7, [TABLE]).barred == [TABLE]


def test_answer_releases_what_was_retried(quarantine: Quarantine) -> None:
    quarantine.add(7, [ANN, BOB_ON_2, TABLE])
    the_triage, plan = planned()
    list(plan)
    the_triage.record(plan, ROWS, ())
    assert quarantine.partition(7, [ANN, BOB_ON_2, TABLE]).trusted == [ANN, BOB_ON_2, TABLE]


def test_locked_out_identity_stays_in_quarantine(quarantine: Quarantine) -> None:
    quarantine.add(7, [ANN])
    the_triage, plan = planned()
    list(plan)
    the_triage.record(plan, ROWS, {ANN})
    assert quarantine.partition(7, [ANN]).suspected == [ANN]


def fail_for_bob_on_2(plan: Plan[Identity]) -> None:
    """Take all parts of a plan, as if Postgres did not answer about one identity and row."""
    for part in plan:
        if 2 in part.rows and BOB in part.identities:
            plan.give_up(Part((2,), (BOB,), part.share), "late")
    plan.failed_pairs.add((BOB, 2))
    plan.failed_identities.add(BOB)


def test_failed_pair_and_its_identity_are_quarantined(quarantine: Quarantine) -> None:
    the_triage, plan = planned()
    fail_for_bob_on_2(plan)
    the_triage.record(plan, ROWS, ())
    assert quarantine.partition(7, [ANN, BOB, BOB_ON_2]) == ([], [BOB, BOB_ON_2], [ANN])


def test_identity_is_not_quarantined_for_a_pair_that_was_known(quarantine: Quarantine) -> None:
    quarantine.add(7, [BOB_ON_2])
    the_triage, plan = planned()
    fail_for_bob_on_2(plan)
    the_triage.record(plan, ROWS, ())
    assert quarantine.partition(7, [ANN, BOB, BOB_ON_2]) == ([BOB_ON_2], [], [ANN, BOB])
