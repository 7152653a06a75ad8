"""The window hands out every position once, in order, and says which part of the log must be read."""

import random

import pytest

from ayb_realtime.hub.hearing import window as window_module
from ayb_realtime.hub.hearing.window import Gap, Window
from ayb_realtime.log import slices
from ayb_realtime.log.changes import Action, Announcement, Change
from ayb_realtime.log.slices import Slice


@pytest.fixture(autouse=True)
def short_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a slice end at every tenth position."""
    monkeypatch.setattr(slices, "SLICE_CHANGES", 10)


def announcement(first: int, last: int, head: int | None = None, *, characters: int = 0) -> Announcement:
    """Make an announcement of the changes from one position to another."""
    changes = tuple(Change(at, 7, Action.CREATE, "x" * characters) for at in range(first, last + 1))
    return Announcement(last if head is None else head, changes)


def read(first: int, last: int) -> Slice:
    """Make what a reader of the log returns."""
    return Slice(announcement(first, last).changes, last)


def positions(window: Window) -> list[int]:
    """Return the positions of all changes that wait."""
    return [change.position for taken in iter(window.take, None) for change in taken.changes]


def at(position: int) -> Window:
    """Make a window that begins after a position."""
    window = Window()
    window.skip_to(position)
    return window


def test_new_window_has_nothing_and_misses_nothing() -> None:
    window = at(7)
    assert (window.position, window.reached, window.head) == (7, 7, 7)
    assert window.take() is None
    assert window.open_gap() is None


def test_changes_that_follow_each_other_are_handed_out_in_slices() -> None:
    window = at(7)
    window.offer(announcement(8, 9))
    window.offer(announcement(10, 20))
    assert window.open_gap() is None
    first = window.take()
    assert first is not None
    assert ([change.position for change in first.changes], first.upto) == (list(range(8, 18)), 17)
    assert window.position == 17
    assert positions(window) == [18, 19, 20]
    assert window.position == 20


@pytest.mark.parametrize("late", [announcement(1, 5), announcement(1, 0, head=3), announcement(5, 7)])
def test_late_batch_changes_nothing(late: Announcement) -> None:
    window = at(7)
    window.offer(announcement(8, 9))
    window.offer(late)
    assert (window.head, window.reached) == (9, 9)
    assert positions(window) == [8, 9]


def test_batch_that_came_in_part_before_is_taken_from_there_on() -> None:
    window = at(7)
    window.offer(announcement(8, 9))
    window.offer(announcement(7, 12))
    assert positions(window) == [8, 9, 10, 11, 12]


@pytest.mark.parametrize("heard", [announcement(10, 12), announcement(1, 0, head=12)])
def test_what_did_not_come_is_a_gap_which_ends_with_the_slice(heard: Announcement) -> None:
    window = at(7)
    window.offer(heard)
    assert window.take() is None
    assert window.open_gap() == Gap(7, 10)


def test_gap_ends_at_the_head_if_that_comes_first() -> None:
    window = at(7)
    window.raise_head(9)
    assert window.open_gap() == Gap(7, 9)


def test_what_is_not_shown_yet_waits() -> None:
    window = at(7)
    window.shown = 7
    window.offer(announcement(8, 9, head=30))
    assert window.take() is None
    assert window.open_gap() is None
    window.shown = 8
    assert positions(window) == [8]
    assert window.position == 8
    window.shown = 12
    assert positions(window) == [9]
    assert window.open_gap() == Gap(9, 10)


def test_gap_ends_where_nothing_more_is_shown() -> None:
    window = at(1)
    window.shown = 3
    window.raise_head(9)
    assert window.open_gap() == Gap(1, 3)
    window.fill(Gap(1, 3), read(2, 3))
    assert window.open_gap() is None


def test_older_head_says_nothing() -> None:
    window = at(7)
    window.raise_head(5)
    assert window.head == 7


def test_gap_is_open_once() -> None:
    window = at(7)
    window.raise_head(9)
    assert window.open_gap() is not None
    assert window.open_gap() is None


def test_what_waits_is_handed_out_before_a_gap_is_opened() -> None:
    window = at(7)
    window.offer(announcement(8, 8, head=20))
    assert window.open_gap() is None
    assert positions(window) == [8]
    assert window.open_gap() == Gap(8, 10)


def test_what_comes_behind_a_gap_meanwhile_waits() -> None:
    window = at(7)
    window.raise_head(9)
    gap = window.open_gap()
    assert gap is not None
    window.offer(announcement(10, 11))
    assert window.position == 7
    window.fill(gap, read(8, 9))
    assert window.position == 9
    assert positions(window) == [10, 11]


@pytest.mark.parametrize("upto", [8, 30])
def test_gap_that_is_filled_in_part_or_beyond_is_followed_by_another_from_there(upto: int) -> None:
    window = at(7)
    window.raise_head(9)
    gap = window.open_gap()
    assert gap is not None
    window.offer(announcement(10, 11))
    window.fill(gap, Slice((), upto))
    assert (window.position, window.reached) == (upto, upto)
    assert window.take() is None
    window.raise_head(35)
    assert window.open_gap() == Gap(upto, 10 if upto == 8 else 35)


def test_gap_that_could_not_be_read_is_opened_again() -> None:
    window = at(7)
    window.raise_head(9)
    assert window.open_gap() == Gap(7, 9)
    window.go_back(7)
    assert window.open_gap() == Gap(7, 9)


def test_what_was_handed_out_can_be_read_again() -> None:
    window = at(7)
    window.offer(announcement(8, 12))
    assert window.take() is not None
    window.offer(announcement(13, 14))
    window.go_back(7)
    assert window.take() is None
    assert window.open_gap() == Gap(7, 10)


def test_false_head_is_forgotten_by_a_skip_to_the_true_one() -> None:
    window = at(7)
    window.raise_head(1000)
    assert window.open_gap() is not None
    window.skip_to(7)
    assert (window.head, window.position, window.reached) == (7, 7, 7)
    assert window.open_gap() is None
    window.offer(announcement(8, 8))
    assert positions(window) == [8]


@pytest.mark.parametrize("characters", [0, 100, 200_000])
def test_what_waits_is_bounded_and_the_rest_is_left_to_the_log(characters: int) -> None:
    window = Window()
    for position in range(1, 10_001):
        window.offer(announcement(position, position, characters=characters))
    waiting = list(window._waiting)
    size = sum(change.characters for change in waiting)
    assert window.head == 10_000
    assert [change.position for change in waiting] == list(range(1, len(waiting) + 1))
    assert len(waiting) <= window_module.WAITING_CHANGES
    assert size < window_module.WAITING_CHARACTERS + max(1, characters)
    # It takes as much as fits, and what arrives later leaves no gap.
    assert len(waiting) == window_module.WAITING_CHANGES or size >= window_module.WAITING_CHARACTERS
    assert positions(window) == list(range(1, len(waiting) + 1))
    assert window.open_gap() is not None


def test_room_is_free_again_once_it_was_handed_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(window_module, "WAITING_CHARACTERS", 10)
    window = Window()
    window.offer(announcement(1, 5, characters=5))
    assert positions(window) == [1, 2]
    window.go_back(2)
    window.offer(announcement(3, 5, characters=5))
    assert positions(window) == [3, 4]


@pytest.mark.parametrize("seed", range(100))
def test_each_position_is_handed_out_once_in_order_whatever_the_layer_does(seed: int) -> None:
    chance, end = random.Random(seed), 50
    window, handed_out = Window(), list[int]()
    gap = None
    while window.position < end:
        first = chance.randint(1, end)
        step = chance.choice(["offer", "offer", "head", "take", "gap", "fill", "fail", "redo"])
        if step == "offer":
            window.offer(announcement(first, chance.randint(first, end)))
        elif step == "head":
            window.raise_head(first)
        elif step == "take" and gap is None and (taken := window.take()):
            handed_out += [change.position for change in taken.changes]
        elif step == "gap" and gap is None:
            gap = window.open_gap()
        elif step == "fill" and gap is not None:
            upto = chance.choice([gap.upto, chance.randint(gap.after + 1, gap.upto)])
            window.fill(gap, read(gap.after + 1, upto))
            handed_out += range(gap.after + 1, upto + 1)
            gap = None
        elif step == "fail" and gap is not None:
            window.go_back(gap.after)
            gap = None
        elif step == "redo" and gap is None and chance.random() < 0.2:
            back = chance.randint(0, window.position)
            window.go_back(back)
            del handed_out[back:]
        assert handed_out == list(range(1, window.position + 1))
        assert window.position <= window.reached <= max(window.head, window.position)
