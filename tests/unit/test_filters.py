"""How the ``filter`` parameter is read."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ayb_realtime.exceptions import InvalidParameter
from ayb_realtime.filters import LONGEST_PATTERN, MOST_CONDITIONS, MOST_VALUES, OPERATORS, Clause, Filter, parse

NAMES = ["posts", "tenant.posts", "comments"]


def clauses(text: str) -> Filter:
    return parse([text], ["posts"]).get("posts", frozenset())


@pytest.mark.parametrize(
    ("text", "clause"),
    [
        ("status=eq.published", Clause("status", "=", ("published",))),
        (" status =eq. x ", Clause("status", "=", (" x ",))),
        ("price=lt.10.5", Clause("price", "<", ("10.5",))),
        ("price=gte.-1", Clause("price", ">=", ("-1",))),
        ("title=neq.", Clause("title", "<>", ("",))),
        ("title=eq.a=b.c", Clause("title", "=", ("a=b.c",))),
        (r"title=eq.a\,b\|c\\d\e", Clause("title", "=", (r"a,b|c\d\e",))),
        ("title=eq.a|b", Clause("title", "=", ("a|b",))),
        (r"title=in.a|b\|c||a|d\,e", Clause("title", "=", ("a", "b|c", "", "d,e"))),
        (r"title=like.50\%", Clause("title", "~~", (r"50\%",))),
        (r"title=like.\\\\_", Clause("title", "~~", (r"\\_",))),
        ("title=ilike.%a", Clause("title", "~~*", ("%a",))),
        ("title=is.null", Clause("title", "is", ("null",))),
        ("title=eq.null", Clause("title", "is", ("null",))),
        ("title=neq.null", Clause("title", "is", ("not_null",))),
        ("title=in.null", Clause("title", "=", ("null",))),
        ("done=is.true", Clause("done", "is", ("true",))),
        (r"a\,b=eq.1", Clause("a,b", "=", ("1",))),
        ("a.b=eq.1", Clause("a.b", "=", ("1",))),
        ("posts.a=eq.1", Clause("a", "=", ("1",))),
    ],
)
def test_condition_is_read(text: str, clause: Clause) -> None:
    assert clauses(text) == {clause}


def test_conditions_of_all_parameters_hold() -> None:
    assert parse(["a=eq.1,posts.b=eq.2", "", "tenant.posts.c=eq.3"], NAMES) == {
        "posts": {Clause("a", "=", ("1",)), Clause("b", "=", ("2",))},
        "tenant.posts": {Clause("a", "=", ("1",)), Clause("c", "=", ("3",))},
        "comments": {Clause("a", "=", ("1",))},
    }
    assert parse([], NAMES) == parse([" "], NAMES) == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("status", "not column=operator.value: 'status'"),
        ("title=eq.Hello, world", "not column=operator.value: ' world'"),
        ("a=eq.1,", "not column=operator.value: ''"),
        ("=eq.1", "not column=operator.value"),
        ("status=published", "status: unknown operator: published"),
        ("status=EQ.x", "status: unknown operator: EQ"),
        ("status=~~.x", "status: unknown operator: ~~"),
        ("done=is.maybe", "done: is.maybe"),
        ("done=is", "done: is."),
        ("a=eq.\0", "NUL"),
        (",".join(f"a=gt.{n}" for n in range(MOST_CONDITIONS + 1)), "more than 20 conditions on a table"),
        (f"a=in.{'|'.join(map(str, range(MOST_VALUES + 1)))}", "more than 1000 values"),
        (f"a=ilike.%{'b' * LONGEST_PATTERN}", "a: a pattern of more than 100 characters"),
    ],
)
def test_refusal_names_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(InvalidParameter, match=f"^filter: {re.escape(message)}"):
        clauses(text)


def escaped(value: str) -> str:
    return re.sub(r"([,|\\])", r"\\\1", value)


VALUES = st.text(alphabet=st.sampled_from("ab,|\\.=%_ é\"'{}"), max_size=8)


@given(st.lists(st.tuples(st.sampled_from("xyz"), st.sampled_from(["eq", "neq", "like"]), VALUES), max_size=4))
def test_each_value_can_be_written(written: list[tuple[str, str, str]]) -> None:
    text = ",".join(f"{column}={operator}.{escaped(value)}" for column, operator, value in written)
    assert clauses(text) == {Clause(column, OPERATORS[operator], (value,)) for column, operator, value in written}


@given(st.lists(VALUES, min_size=1, max_size=4, unique=True))
def test_each_list_of_values_can_be_written(values: list[str]) -> None:
    assert clauses(f"x=in.{'|'.join(escaped(value) for value in values)}") == {Clause("x", "=", tuple(values))}


@given(st.text(alphabet=st.sampled_from("ax,|\\.=eqin "), max_size=30))
def test_what_is_not_refused_has_conditions(text: str) -> None:
    try:
        found = clauses(text)
    except InvalidParameter:
        return
    assert bool(found) == bool(text.strip())
    assert all(clause.column and clause.values for clause in found)
