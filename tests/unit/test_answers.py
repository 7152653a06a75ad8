"""Answers: identities that see the same rows share one view from the database's reply on."""

from ayb_realtime.identity import Identity
from ayb_realtime.visibility.answers import Answers, SharedView, merged, united
from ayb_realtime.visibility.current_rows import read_views

ANN, BOB, CYD = (Identity("reader", (("ayb.user_id", name),)) for name in ("ann", "bob", "cyd"))
CROWD = [Identity("reader", (("ayb.user_id", str(n)),)) for n in range(500)]


def test_reply_for_many_that_see_the_same_is_one_view() -> None:
    odd = [1, 3]
    replies = [
        *((n + 1, odd if n % 2 else [2], None, "") for n in range(500)),
        (0, [1, 2, 3], [None, "{}", None], ""),
    ]
    views, policy_errors = read_views(replies, [7, 8, 9], CROWD)
    assert views == [SharedView({8: "{}"}, CROWD[::2]), SharedView({7: None, 9: None}, CROWD[1::2])]
    assert policy_errors == {}


def test_reply_for_a_run_is_for_each_of_its_identities() -> None:
    replies = [(300, [1], None, ""), (302, [], None, "22012"), (500, [1], None, ""), (0, [1], [None], "")]
    views, policy_errors = read_views(replies, [7], CROWD)
    assert views == [SharedView({7: None}, CROWD[:300] + CROWD[302:]), SharedView({}, CROWD[300:302])]
    assert policy_errors == dict.fromkeys(CROWD[300:302], "22012")


def test_reply_with_a_failure_shows_nothing_and_says_to_whom() -> None:
    replies = [(1, [], None, "22012"), (2, [1], None, ""), (0, [1], [None], "")]
    assert read_views(replies, [7], [ANN, BOB]) == (
        [SharedView({}, [ANN]), SharedView({7: None}, [BOB])],
        {ANN: "22012"},
    )


def test_row_that_could_not_be_read_after_it_was_shown_is_not_visible() -> None:
    views, _ = read_views([(1, [1, 2], None, ""), (0, [2], [None], "")], [7, 8], [ANN])
    assert views == [SharedView({8: None}, [ANN])]


def test_views_of_several_parts_become_one_for_each_content() -> None:
    views = [
        SharedView({1: None}, [ANN, BOB]),
        SharedView({1: None}, [CYD]),
        SharedView({2: "{}"}, [BOB, CYD]),
        SharedView({}, CROWD),
    ]
    assert merged(views) == [SharedView({1: None}, [ANN]), SharedView({1: None, 2: "{}"}, [BOB, CYD])]


def test_row_is_hidden_only_where_there_was_an_answer() -> None:
    answers = Answers([SharedView({1: None}, [ANN])], unanswered={ANN: [2], BOB: [3]}, locked_out={CYD})
    assert answers.hidden_from(ANN, {1, 2, 3}) == {3}
    assert answers.hidden_from(BOB, {1, 2, 3}) == {1, 2}
    assert answers.hidden_from(CYD, {1, 2, 3}) == set()
    assert answers.visible_to(BOB) == {}


def test_answers_of_one_that_was_asked_for_all_are_those_of_all() -> None:
    assert Answers([SharedView({1: None}, [ANN])], {ANN: [2]}, {ANN}, {ANN: "22012"}).for_all([ANN, BOB]) == Answers(
        [SharedView({1: None}, [ANN, BOB])], {ANN: [2], BOB: [2]}, {ANN, BOB}, {ANN: "22012", BOB: "22012"}
    )
    assert Answers().for_all([ANN]) == Answers([], {}, frozenset(), {})


def test_answers_about_different_identities_are_united() -> None:
    one = Answers([SharedView({1: None}, [ANN])], unanswered={BOB: [1]})
    other = Answers(locked_out={CYD}, policy_errors={CYD: "22012"})
    assert united([one, other]) == Answers([SharedView({1: None}, [ANN])], {BOB: [1]}, {CYD}, {CYD: "22012"})


def test_view_is_added_to_what_its_identities_see() -> None:
    answers = Answers([SharedView({1: None}, [ANN])], unanswered={BOB: [1]}).with_view(
        SharedView({2: None}, [ANN, BOB])
    )
    assert answers.by_identity == {ANN: {1: None, 2: None}, BOB: {2: None}}
    assert answers.unanswered == {BOB: [1]}
