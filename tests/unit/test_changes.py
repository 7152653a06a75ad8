"""Changes on their way through the layer."""

from collections.abc import Sequence

import pytest

from ayb_realtime.changes import Batch, Change, in_messages


def change(position: int, action: str = "create", record: str | None = '{"id":1}') -> Change:
    """Make a change of the table 7."""
    return Change(position, 7, action, record)


@pytest.mark.parametrize(
    "batch",
    [
        Batch(0),
        Batch(2**63 - 1),
        Batch(2, (change(1), change(2, "truncate", None))),
        Batch(5, (change(5, "update", '{"a":"quote \\" , 🦆 \\u0000 \x85","b":1.10}'),)),
    ],
)
def test_batch_that_went_through_a_message_is_the_same(batch: Batch) -> None:
    assert Batch.from_message(batch.to_message()) == batch


def test_message_holds_strings_alone() -> None:
    message = Batch(1, (change(1, record='{"n":1e400}'),)).to_message()
    assert message.keys() == {"type", "batch"}
    assert all(isinstance(value, str) for value in message.values())


def sizes(lengths: Sequence[int], most: int) -> list[tuple[int, list[int]]]:
    """Cut changes with records of these lengths; return each message's head and positions."""
    changes = [change(position, record="x" * length) for position, length in enumerate(lengths, 1)]
    batch = Batch(len(changes), tuple(changes))
    return [(message.head, [one.position for one in message.changes]) for message in in_messages(batch, most)]


@pytest.mark.parametrize(
    ("lengths", "expected"),
    [
        ([], [(0, [])]),
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
def test_messages_hold_at_most_ten_characters(lengths: list[int], expected: list[tuple[int, list[int]]]) -> None:
    assert sizes(lengths, 10) == expected


def test_truncate_takes_no_room() -> None:
    changes = [change(1, record="x" * 10), change(2, "truncate", None)]
    assert list(in_messages(Batch(2, tuple(changes)), 10)) == [Batch(2, tuple(changes))]


def test_what_is_in_the_log_alone_is_announced_last() -> None:
    beginning = (change(1), change(2))
    assert list(in_messages(Batch(9, beginning), 100)) == [Batch(2, beginning), Batch(9)]
