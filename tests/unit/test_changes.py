"""Changes that are sent through the layer."""

import json

import pytest

from ayb_realtime.exceptions import InvalidMessage
from ayb_realtime.log.changes import Action, Announcement, Change


def change(position: int, action: Action = Action.CREATE, record: str | None = '{"id":1}') -> Change:
    """Make a change of the table 7."""
    return Change(position, 7, action, record)


@pytest.mark.parametrize(
    "announcement",
    [
        Announcement(0),
        Announcement(2**63 - 1),
        Announcement(2, (change(1), change(2, Action.TRUNCATE, None))),
        Announcement(9, (change(1), change(2)), 1790000000.25),
        Announcement(9, (change(1),), None, f"00-{1:032x}-{2:016x}-01"),
        Announcement(5, (change(5, Action.UPDATE, '{"a":"quote \\" , 🦆 \\u0000 \x85","b":1.10}'),)),
    ],
)
def test_announcement_that_went_through_text_is_the_same(announcement: Announcement) -> None:
    assert announcement.to_text().isascii()
    read = Announcement.from_text(announcement.to_text())
    assert (read, read.committed_at, read.trace) == (announcement, announcement.committed_at, announcement.trace)


ROW = [1, 7, "create", "{}", None]
ODD: list[object] = [7, [], {}]


@pytest.mark.parametrize(
    "body",
    [
        *(None, 7, "", [], {}, [1], [1, None], [1, 7], [1, [7]], [1, [[]]], [1, [ROW[:3]]], [1, [[*ROW, None]]]),
        *([head, []] for head in (-1, True, 1.0, "1", None)),
        *([9, [[position, *ROW[1:]]]] for position in ("1", True, 1.0, 0, -1, 10, None)),
        *([9, [[1, relation, *ROW[2:]]]] for relation in ("7", [7], True, None)),
        *([9, [[1, 7, action, *ROW[3:]]]] for action in (7, None, ["create"], "vanish")),
        *([9, [[1, 7, "create", record, None]]] for record in ODD),
        *([9, [[1, 7, "create", "{}", before]]] for before in ODD),
        *([9, [ROW, [position, *ROW[1:]]]] for position in (0, 1, 3)),
        *([9, [ROW], None, *traces] for traces in ([7], [["00"]], ["00", None])),
        *([9, [ROW], committed_at] for committed_at in (7, "1.0", True, float("nan"), float("inf"))),
    ],
)
def test_text_that_is_no_batch_is_refused(body: object) -> None:
    whole = [*body, None] if isinstance(body, list) and len(body) == 2 else body  # with when its changes committed
    with pytest.raises(InvalidMessage):
        Announcement.from_text(json.dumps(whole))


@pytest.mark.parametrize("text", ["", "[", "nothing", "[" * 100_000, "\ud800"])
def test_text_that_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(InvalidMessage):
        Announcement.from_text(text)
