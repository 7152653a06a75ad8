"""The relay's outbox: few messages, each position at most once, and the head at the end."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ayb_realtime.log.changes import Action, Announcement, Change
from ayb_realtime.relay import outbox as outbox_module
from ayb_realtime.relay.outbox import Outbox


def change(position: int, action: Action = Action.CREATE, record: str | None = '{"id":1}') -> Change:
    """Make a change of the table 7."""
    return Change(position, 7, action, record)


def taken(outbox: Outbox) -> list[tuple[int, list[int]]]:
    """Take what is in an outbox; return each message's head and positions."""
    return [
        (announcement.head, [one.position for one in announcement.changes]) for announcement in iter(outbox.take, None)
    ]


def sizes(lengths: Sequence[int]) -> list[tuple[int, list[int]]]:
    """Return the messages of changes with records of these lengths."""
    outbox = Outbox()
    outbox.put(
        Announcement(len(lengths), tuple(change(at, record="x" * length) for at, length in enumerate(lengths, 1)))
    )
    return taken(outbox)


@pytest.mark.parametrize(
    ("lengths", "expected"),
    [
        ([], [(0, [])]),
        ([1], [(1, [1])]),
        ([5, 5], [(2, [1, 2])]),
        ([5, 6], [(1, [1]), (2, [2])]),
        ([10, 10], [(1, [1]), (2, [2])]),
        ([4, 4, 4, 4], [(2, [1, 2]), (4, [3, 4])]),
        ([11], [(1, []), (1, [])]),
        ([3, 11, 3], [(1, [1]), (2, []), (3, [3])]),
        ([11, 11, 1], [(1, []), (2, []), (3, [3])]),
        ([0, 0, 10, 0], [(4, [1, 2, 3, 4])]),
    ],
)
def test_messages_hold_at_most_ten_characters(
    lengths: list[int], expected: list[tuple[int, list[int]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_module, "MESSAGE_CHARACTERS", 10)
    assert sizes(lengths) == expected


def test_message_names_the_first_trace_of_what_waited_for_it() -> None:
    outbox = Outbox()
    for position, trace in ((1, None), (2, "a"), (3, "b")):
        outbox.put(Announcement(position, (change(position),), None, trace))
    assert [each.trace for each in iter(outbox.take, None)] == ["a"]
    outbox.put(Announcement(4, (change(4),)))
    assert [each.trace for each in iter(outbox.take, None)] == [None]


def test_truncate_takes_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_module, "MESSAGE_CHARACTERS", 10)
    outbox = Outbox()
    outbox.put(Announcement(2, (change(1, record="x" * 10), change(2, Action.TRUNCATE, None))))
    assert taken(outbox) == [(2, [1, 2])]


def test_what_is_in_the_log_alone_is_announced_too() -> None:
    outbox = Outbox()
    outbox.put(Announcement(9, (change(1), change(2))))
    outbox.put(Announcement(10, (change(10),)))
    assert taken(outbox) == [(2, [1, 2]), (10, [10])]
    outbox.put(Announcement(19, (change(11), change(12))))
    assert taken(outbox) == [(19, [11, 12])]


def test_batches_that_wait_become_one_message() -> None:
    outbox = Outbox()
    for position in (1, 2, 3):
        outbox.put(Announcement(position, (change(position),)))
    outbox.put(Announcement(3))
    assert taken(outbox) == [(3, [1, 2, 3])]
    assert outbox.take() is None


@pytest.mark.parametrize(("limit", "most"), [("WAITING_CHARACTERS", 8), ("WAITING_CHANGES", 1)])
def test_more_than_may_wait_is_left_to_the_log(limit: str, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_module, limit, most)
    outbox = Outbox()
    outbox.put(Announcement(1, (change(1),)))
    outbox.put(Announcement(2, (change(2),)))
    assert taken(outbox) == [(2, [])]
    outbox.put(Announcement(3, (change(3),)))
    assert taken(outbox) == [(3, [3])]


@given(
    st.lists(st.one_of(st.just("take"), st.just("fail"), st.integers(0, 14), st.lists(st.integers(0, 14))), max_size=20)
)
def test_outbox_tells_each_position_at_most_once_in_order_and_the_head_at_last(steps: list[object]) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name, most in (("MESSAGE_CHARACTERS", 10), ("WAITING_CHARACTERS", 60), ("WAITING_CHANGES", 8)):
            monkeypatch.setattr(outbox_module, name, most)
        outbox, head, announcements = Outbox(), 0, []
        for step in steps:
            if step == "take":
                announcements.append(outbox.take())
            elif step == "fail":
                outbox.leave_to_log()
            elif isinstance(step, int):  # So many that only the log holds them.
                head += step
                outbox.put(Announcement(head))
            elif isinstance(step, list):
                new = tuple(change(head + at, record="x" * length) for at, length in enumerate(step, 1))
                head += len(step)
                outbox.put(Announcement(head, new))
        announcements += iter(outbox.take, None)
    told = [announcement for announcement in announcements if announcement]
    assert all(
        announcement.is_valid() and sum(one.characters for one in announcement.changes) <= 10 for announcement in told
    )
    positions = [one.position for announcement in told for one in announcement.changes]
    assert positions == sorted(set(positions))
    assert [announcement.head for announcement in told] == sorted(announcement.head for announcement in told)
    assert max((announcement.head for announcement in told), default=0) == head


def test_enabled_table_names_its_trigger() -> None:
    assert change(1, Action.ENABLE, '{"trigger" : 4294967295}').trigger == 2**32 - 1
