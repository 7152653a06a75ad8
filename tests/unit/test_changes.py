"""Changes on their way through the layer, and what a transaction leaves of them."""

import json
from collections.abc import Sequence

import pytest

from ayb_realtime.changes import Batch, Change, final_states, in_batches


def change(position: int, action: str = "create", record: str | None = '{"id":1}', *, xid: int = 1) -> Change:
    """Make a change of the table 7."""
    return Change(position, xid, 7, action, record)


@pytest.mark.parametrize(
    "batch",
    [
        Batch(0),
        Batch(2**63 - 1),
        Batch(2, (change(1), change(2, "truncate", None))),
        Batch(5, (change(5, "update", '{"a":"quote \\" , 🦆 \\u0000 \x85","b":1.10}', xid=2**62),)),
    ],
)
def test_batch_that_went_through_a_message_is_the_same(batch: Batch) -> None:
    assert Batch.from_message(batch.to_message()) == batch


def test_message_holds_strings_alone() -> None:
    message = Batch(1, (change(1, record='{"n":1e400}'),)).to_message()
    assert message.keys() == {"type", "batch"}
    assert all(isinstance(value, str) for value in message.values())


def sizes(lengths: Sequence[int], most: int) -> list[tuple[int, list[int]]]:
    """Cut changes with records of these lengths; return each batch's head and positions."""
    changes = [change(position, record="x" * length) for position, length in enumerate(lengths, 1)]
    return [(batch.head, [one.position for one in batch.changes]) for batch in in_batches(changes, most)]


@pytest.mark.parametrize(
    ("lengths", "expected"),
    [
        ([], []),
        ([1], [(1, [1])]),
        ([5, 5], [(2, [1, 2])]),
        ([5, 6], [(1, [1]), (2, [2])]),
        ([10, 10], [(1, [1]), (2, [2])]),
        ([4, 4, 4, 4], [(2, [1, 2]), (4, [3, 4])]),
        ([11], [(1, [])]),
        ([3, 11, 3], [(1, [1]), (2, []), (3, [3])]),
        ([11, 11, 1], [(1, []), (2, []), (3, [3])]),
        ([0, 0, 10, 0], [(4, [1, 2, 3, 4])]),
    ],
)
def test_batches_hold_at_most_ten_characters(lengths: list[int], expected: list[tuple[int, list[int]]]) -> None:
    assert sizes(lengths, 10) == expected


def test_truncate_takes_no_room() -> None:
    changes = [change(1, record="x" * 10), change(2, "truncate", None)]
    assert list(in_batches(changes, 10)) == [Batch(2, tuple(changes))]


@pytest.mark.parametrize(
    ("actions", "expected"),
    [
        ("create", "create"),
        ("update", "update"),
        ("delete", "delete"),
        ("create update", "create"),
        ("create update update", "create"),
        ("update update", "update"),
        ("update delete", "delete"),
        ("delete create", "update"),
        ("delete create update", "update"),
        ("delete create delete", "delete"),
        ("update delete create", "update"),
        ("create delete create", "create"),
        ("create delete create update", "create"),
        ("create delete", None),
        ("create update delete", None),
        ("create delete create delete", None),
    ],
)
def test_actions_of_one_transaction_on_one_row_leave_one(actions: str, expected: str | None) -> None:
    changes = [
        change(position, action, f'{{"version":{position}}}') for position, action in enumerate(actions.split(), 1)
    ]
    states = final_states(changes, key=lambda _: "the row")
    last = changes[-1]
    assert states == ([change(last.position, expected, last.record)] if expected else [])


def test_transactions_rows_and_tables_are_kept_apart() -> None:
    changes = [
        Change(1, 1, 7, "create", '{"id":1}'),
        Change(2, 2, 7, "update", '{"id":1}'),
        Change(3, 1, 7, "create", '{"id":2}'),
        Change(4, 1, 8, "delete", '{"id":1}'),
    ]
    assert final_states(changes, key=lambda one: json.loads(one.record or "")["id"]) == changes


def test_states_come_in_the_order_of_their_last_change() -> None:
    changes = [change(1, record="a"), change(2, record="b"), change(3, "update", "a"), change(4, "update", "c")]
    states = final_states(changes, key=lambda one: one.record)
    assert [(state.position, state.action, state.record) for state in states] == [
        (2, "create", "b"),
        (3, "create", "a"),
        (4, "update", "c"),
    ]
