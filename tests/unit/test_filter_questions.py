"""What Postgres is asked about filters, and what it is not asked."""

import json

import pytest

from ayb_realtime.filters import Clause
from ayb_realtime.identity import Identity
from ayb_realtime.visibility.filter_index import FilteredIdentity, FilterIndex, Truth
from ayb_realtime.visibility.filter_questions import LONGEST_LIKE_TEXT, SHARE, pieces, seconds_of_attempt
from ayb_realtime.wire.records import Row

ANN = Identity("reader", (("app.user", "ann"),))


@pytest.mark.parametrize(("operator", "asked"), [("=", [1, 2]), ("~~", [1]), ("~~*", [1])])
def test_long_text_is_not_compared_with_patterns_since_nothing_could_end_that(operator: str, asked: list[int]) -> None:
    wanted = frozenset({Clause("body", operator, ("a%",))})
    index = FilterIndex([(ANN, FilteredIdentity(ANN.role, ANN.settings, wanted))])
    rows = {1: Row(json.dumps({"body": "a"})), 2: Row(json.dumps({"body": "a" * LONGEST_LIKE_TEXT}))}
    truths = {position: Truth() for position in rows}
    (piece,) = pieces(index, rows, truths)
    assert list(piece.texts) == asked
    assert index.matches(truths).failed == ({wanted: {2}} if asked == [1] else {})


def test_question_about_few_rows_gets_little_time() -> None:
    assert seconds_of_attempt(1) == 0.1
    assert 0.1 < seconds_of_attempt(40) < seconds_of_attempt(1000) == 2 * SHARE
