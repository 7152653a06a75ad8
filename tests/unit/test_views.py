"""What the view reads from a request's parameters."""

import pytest

from ayb_realtime.hub.admission import listed


@pytest.mark.parametrize(
    ("parameter", "names"),
    [
        ("posts", ["posts"]),
        ("posts,comments", ["posts", "comments"]),
        (" posts , comments ", ["posts", "comments"]),
        ("comments,posts,comments, posts", ["comments", "posts"]),
        (",posts,,", ["posts"]),
        ("Posts,posts", ["Posts", "posts"]),
        ('say "hi"', ['say "hi"']),
        (" , ,\t", []),
    ],
)
def test_names_are_trimmed_and_kept_once_in_their_order(parameter: str, names: list[str]) -> None:
    assert listed(parameter) == names
