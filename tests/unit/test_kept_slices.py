"""A slice that was read for one stream serves another if it fits."""

import pytest

from ayb_realtime.hub.replaying import kept_slices
from ayb_realtime.hub.replaying.kept_slices import KeptSlices
from ayb_realtime.log import slices
from ayb_realtime.log.changes import Action, Change
from ayb_realtime.log.slices import Slice


def read(upto: int, *, skipped: frozenset[int] = frozenset(), characters: int = 1) -> Slice:
    """Make a slice of one change."""
    return Slice((Change(upto, 7, Action.CREATE, "x" * characters),), upto, skipped)


def test_slice_is_kept_by_the_position_before_it() -> None:
    kept, ten = KeptSlices(), read(10)
    kept.put(3, ten)
    assert kept.get(3, 10, {7}) is ten
    assert kept.get(4, 10, {7}) is None


@pytest.mark.parametrize(("upto", "fits"), [(9, False), (10, True), (11, True)])
def test_slice_that_ends_later_does_not_serve(upto: int, fits: bool) -> None:
    kept = KeptSlices()
    kept.put(3, read(10))
    assert (kept.get(3, upto, {7}) is not None) == fits


@pytest.mark.parametrize(("relations", "fits"), [({7}, True), ({7, 8}, False), ({8}, False), (set(), True)])
def test_slice_without_the_changes_of_a_table_serves_no_stream_of_it(relations: set[int], fits: bool) -> None:
    kept = KeptSlices()
    kept.put(3, read(10, skipped=frozenset({8, 9})))
    assert (kept.get(3, 10, relations) is not None) == fits


def test_slice_that_is_read_again_takes_the_place_of_the_first() -> None:
    kept, again = KeptSlices(), read(10)
    kept.put(3, read(10, skipped=frozenset({8})))
    kept.put(3, again)
    assert kept.get(3, 10, {8}) is again


def test_large_slice_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "SLICE_CHARACTERS", 5)
    kept = KeptSlices()
    kept.put(3, read(10, characters=5))
    kept.put(4, read(10, characters=6))
    assert kept.get(3, 10, set()) is not None
    assert kept.get(4, 10, set()) is None


def test_slice_that_was_kept_longest_is_dropped_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_slices, "KEPT_SLICES", 2)
    kept = KeptSlices()
    for after in (1, 2, 3):
        kept.put(after, read(10))
    assert [after for after in (1, 2, 3) if kept.get(after, 10, set())] == [2, 3]
    kept.clear()
    assert kept.get(3, 10, set()) is None
