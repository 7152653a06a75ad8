"""What is done with the changes of a table, before and after Postgres is asked."""

import pytest

from ayb_realtime.hub.delivering.table_changes import TableChanges, hidden_updates
from ayb_realtime.identity import Identity
from ayb_realtime.log.changes import Action, Change
from ayb_realtime.log.slices import LARGEST_CHARACTERS
from ayb_realtime.postgres.tables import Table
from ayb_realtime.reset_reasons import ResetReason
from ayb_realtime.visibility import Answers, SharedView
from ayb_realtime.wire.records import Row

NOTES = Table(7, "public", "notes", ("id",), (), row_security=True, trigger=1)
ANN, BOB = (Identity("reader", (("ayb.user_id", name),)) for name in ("ann", "bob"))
ROW = '{"id":1}'
CREATE, UPDATE, DELETE = (
    Change(position, 7, action, ROW)
    for position, action in enumerate((Action.CREATE, Action.UPDATE, Action.DELETE), start=2)
)
TRUNCATE, ALTER = Change(5, 7, Action.TRUNCATE, None), Change(6, 7, Action.ALTER, None)
ENABLE = Change(1, 7, Action.ENABLE, '{"trigger":1}')
LARGE = Change(9, 7, Action.UPDATE, ROW, "x" * LARGEST_CHARACTERS)


def test_changes_of_rows_are_those_to_ask_about_and_deletes() -> None:
    rows = {2: Row(ROW), 3: Row(ROW), 4: Row(ROW)}
    sorted_changes = TableChanges.of(NOTES, [ENABLE, CREATE, UPDATE, DELETE])
    assert sorted_changes == TableChanges([ENABLE], set(), 4, None, rows, {2: CREATE, 3: UPDATE}, [DELETE])


@pytest.mark.parametrize(
    ("changes", "reset"),
    [
        ([CREATE, TRUNCATE], ("table truncated", 5)),
        ([TRUNCATE, ALTER], ("table altered", 6)),
        ([ALTER, Change(7, 7, Action.TRUNCATE, None), Change(8, 7, Action.CREATE, ROW)], ("table truncated", 7)),
        ([CREATE, DELETE], None),
    ],
)
def test_change_of_a_whole_table_resets_it(changes: list[Change], reset: tuple[str, int] | None) -> None:
    assert TableChanges.of(NOTES, changes).reset == reset


@pytest.mark.parametrize(
    ("table", "record"),
    [
        (NOTES, '{"number":1}'),
        (Table(7, "public", "notes", (), (), row_security=True, trigger=1), ROW),
    ],
)
def test_rows_without_a_key_are_not_told_but_fetched_again(table: Table, record: str) -> None:
    changes = [CREATE, Change(3, 7, Action.DELETE, record), TRUNCATE, LARGE]
    assert TableChanges.of(table, changes) == TableChanges([], {9}, 5, (ResetReason.DEFINITION_CHANGED, 5))


def test_row_that_is_too_large_with_what_it_was_before_is_not_asked_about() -> None:
    assert TableChanges.of(NOTES, [ENABLE, LARGE]) == TableChanges([ENABLE], {9})
    assert TableChanges.of(NOTES, [CREATE, LARGE]).current == {2: CREATE}


@pytest.mark.parametrize(
    ("changes", "has_only_enables"),
    [([ENABLE], True), ([ENABLE, LARGE], False), ([TRUNCATE], False), ([DELETE], False)],
)
def test_that_a_table_was_enabled_needs_no_answer(changes: list[Change], *, has_only_enables: bool) -> None:
    assert TableChanges.of(NOTES, changes).has_only_enables is has_only_enables


def test_update_that_one_reader_does_not_see_may_be_a_delete_to_it() -> None:
    current = {2: CREATE, 3: UPDATE}
    assert hidden_updates(current, Answers([SharedView({3: None}, [ANN])]), [ANN, BOB]) == [UPDATE]
    assert hidden_updates(current, Answers([SharedView({3: None}, [ANN, BOB])]), [ANN, BOB]) == []
    assert hidden_updates(current, Answers([SharedView({3: None}, [ANN])], unanswered={BOB: [3]}), [ANN, BOB]) == []
    assert hidden_updates({2: CREATE}, Answers(), [ANN, BOB]) == []
