"""What the view reads from a request's parameters."""

import pytest

from ayb_realtime.views import _table_names


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
