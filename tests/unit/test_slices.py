"""Where slices end, and how much they hold."""

import pytest

from ayb_realtime.log import slices
from ayb_realtime.log.changes import Action, Change
from ayb_realtime.log.slices import Slice, first_changes, slice_end, slice_number


@pytest.fixture(autouse=True)
def short_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a slice hold ten changes, or a hundred characters."""
    monkeypatch.setattr(slices, "SLICE_CHANGES", 10)
    monkeypatch.setattr(slices, "SLICE_CHARACTERS", 100)


def changes(*characters: int) -> list[Change]:
    """Make changes with records of these lengths."""
    return [Change(at, 7, Action.CREATE, "x" * length) for at, length in enumerate(characters, 1)]


@pytest.mark.parametrize(
    ("after", "number", "end"), [(0, 0, 10), (1, 0, 10), (9, 0, 10), (10, 1, 20), (2**62, None, None)]
)
def test_slice_ends_at_the_next_multiple(after: int, number: int | None, end: int | None) -> None:
    assert after < slice_end(after) <= after + 10
    assert slice_end(after) % 10 == 0
    if number is not None:
        assert (slice_number(after), slice_end(after)) == (number, end)


@pytest.mark.parametrize(
    ("characters", "count"),
    [([], 0), ([1], 1), ([500], 1), ([500, 1], 1), ([1, 500], 1), ([50, 50, 1], 2), ([0] * 10, 10), ([0] * 11, 10)],
)
def test_first_changes_are_as_many_as_a_slice_holds_and_at_least_one(characters: list[int], count: int) -> None:
    assert len(first_changes(changes(*characters))) == count


def test_size_of_a_slice_is_that_of_its_records_as_they_are_and_were() -> None:
    assert Slice([Change(1, 7, Action.UPDATE, "new", "older"), Change(2, 7, Action.TRUNCATE, None)], 2).characters == 8
