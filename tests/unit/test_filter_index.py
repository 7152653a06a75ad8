"""Which filters match, once it is known which comparisons hold."""

from hypothesis import given
from hypothesis import strategies as st

from ayb_realtime.filters import Clause, Filter
from ayb_realtime.identity import Identity
from ayb_realtime.visibility.answers import Answers, SharedView
from ayb_realtime.visibility.filter_index import FilteredIdentity, FilterIndex, Matches, Truth, with_filtered

ANN, BOB = Identity("reader", (("app.user", "ann"),)), Identity("reader", (("app.user", "bob"),))
TESTS = [(column, operator, value) for column in "ab" for operator in ("=", "<") for value in "12"]

CLAUSES = st.builds(Clause, st.sampled_from("ab"), st.sampled_from("=<"), st.sampled_from([("1",), ("2",), ("1", "2")]))
FILTERS = st.lists(st.frozensets(CLAUSES, min_size=1, max_size=3), max_size=5, unique=True)
# What each test of a row comes to; None: there was no answer.
ROWS = st.fixed_dictionaries({test: st.sampled_from([True, False, None]) for test in TESTS})


def index(*streams: tuple[Identity, Filter]) -> FilterIndex:
    return FilterIndex((each, FilteredIdentity(each.role, each.settings, wanted)) for each, wanted in streams)


def value(wanted: Filter, row: dict[tuple[str, str, str], bool | None]) -> bool | None:
    """Evaluate a filter as SQL does, with no answer for null."""
    clauses = []
    for clause in wanted:
        found = [row[test] for test in clause.tests()]
        clauses.append(True if True in found else None if None in found else False)
    return False if False in clauses else None if None in clauses else True


@given(FILTERS, st.lists(ROWS, max_size=3))
def test_filters_match_as_sql_has_it(
    filters: list[Filter], rows: list[dict[tuple[str, str, str], bool | None]]
) -> None:
    truths = {
        at: Truth({test for test in TESTS if row[test]}, {test for test in TESTS if row[test] is None})
        for at, row in enumerate(rows)
    }
    matches = index(*((ANN, wanted) for wanted in filters)).matches(truths)
    for wanted in filters:
        values = [value(wanted, row) for row in rows]
        assert matches.matched.get(wanted, set()) == {at for at, each in enumerate(values) if each}
        assert matches.failed.get(wanted, set()) == {at for at, each in enumerate(values) if each is None}


def test_values_of_all_filters_are_compared_together() -> None:
    wanted = [frozenset({Clause("room", "=", (str(n),)), Clause("gone", "is", ("null",))}) for n in range(500)]
    found = index(*((ANN, each) for each in wanted), (BOB, wanted[0]))
    assert found.values == {("room", "="): [str(n) for n in range(500)]}
    assert found.states == [("gone", "is", "null")]


def test_null_true_and_false_are_read_from_the_record() -> None:
    states = ("null", "not_null", "true", "false")
    found = index(*((ANN, frozenset({Clause("a", "is", (state,))})) for state in states))

    def held(text: str) -> set[str]:
        return {state for _, _, state in found.truth({"a": text}).holds}

    assert held("null") == {"null"}
    assert held("true") == {"not_null", "true"}
    assert held("false") == {"not_null", "false"}
    assert held('"true"') == {"not_null"}
    assert found.truth({"b": "null"}).failed == set(found.states)


def test_filtered_identity_sees_what_is_visible_and_matches() -> None:
    wanted = frozenset({Clause("a", "=", ("1",))})
    ann, bob = (FilteredIdentity(each.role, each.settings, wanted) for each in (ANN, BOB))
    indexes = {"reader": index((ANN, wanted), (BOB, wanted))}
    answers = Answers([SharedView({1: None, 2: "x", 3: None}, [ANN]), SharedView({2: "x"}, [BOB])], {BOB: [4]})
    found = with_filtered(answers, indexes, {"reader": Matches({wanted: {1, 4}}, {wanted: {2, 3}})})
    assert found.visible_to(ann) == {1: None}
    assert found.visible_to(bob) == {}
    assert found.visible_to(ANN) == {1: None, 2: "x", 3: None}
    # An error about a row that BOB does not see says nothing to BOB.
    assert {each: set(positions) for each, positions in found.unanswered.items()} == {
        BOB: {4}, ann: {2, 3}, bob: {2, 4},
    }  # fmt: skip


def test_filter_that_cannot_be_evaluated_any_more_is_locked_out() -> None:
    wanted = frozenset({Clause("a", "=", ("1",))})
    kept, refused = index((ANN, wanted), (ANN, frozenset({Clause("b", "=", ("1",))}))).without({("a", "=")})
    assert refused == {wanted}
    assert kept.comparands() == [("b", "=")]
    found = with_filtered(Answers(), {"reader": index((ANN, wanted))}, {"reader": Matches(refused={wanted})})
    assert found.locked_out == {FilteredIdentity(ANN.role, ANN.settings, wanted)}


def test_no_filters_leave_answers_as_they_are() -> None:
    answers = Answers([SharedView({1: None}, [ANN])])
    assert with_filtered(answers, {}, {}) is answers
