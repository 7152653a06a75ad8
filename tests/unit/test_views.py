"""What the view reads from a request's parameters."""

import pytest

from ayb_realtime.exceptions import PositionUnavailable
from ayb_realtime.views import _position, _table_names


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
    ],
)
def test_names_are_trimmed_and_kept_once_in_their_order(parameter: str, names: list[str]) -> None:
    assert _table_names(parameter) == names


def test_no_parameter_differs_from_one_with_blanks_only() -> None:
    assert _table_names("") is None
    assert _table_names(",") == []
    assert _table_names(" , ,\t") == []


@pytest.mark.parametrize(("text", "position"), [("0", 0), ("1041", 1041), ("0007", 7), ("9" * 19, 10**19 - 1)])
def test_position_is_read(text: str, position: int) -> None:
    assert _position(text) == position


@pytest.mark.parametrize("text", ["", "-1", "+1", "1.0", "1e3", " 1", "1_000", "x", "٣", "²", "9" * 20, "1" * 100_000])
def test_text_that_is_no_position_is_refused(text: str) -> None:
    with pytest.raises(PositionUnavailable, match="not a position"):
        _position(text)
