"""What waits in memory for its delivery is bounded, in changes and in how large they are."""

from typing import Any, cast

import pytest

from ayb_realtime.hub import feed
from ayb_realtime.hub.feed import Feed
from ayb_realtime.log.changes import Action, Batch, Change


@pytest.mark.parametrize("characters", [0, 100, 200_000])
def test_what_waits_is_bounded_and_the_rest_is_left_to_the_log(characters: int) -> None:
    the_feed = Feed(cast("Any", None))
    for position in range(1, 10_001):
        the_feed.accept(Batch(position, (Change(position, 1, Action.CREATE, "x" * characters),)))
    waiting = list(the_feed._waiting)
    assert the_feed.head == 10_000
    assert [change.position for change in waiting] == list(range(1, len(waiting) + 1))
    assert len(waiting) <= feed.WAITING_CHANGES
    assert sum(change.characters for change in waiting) < feed.WAITING_CHARACTERS + max(1, characters)
    # As much as fits, and what comes later does not leave a gap.
    assert (
        len(waiting) == feed.WAITING_CHANGES or sum(change.characters for change in waiting) >= feed.WAITING_CHARACTERS
    )
