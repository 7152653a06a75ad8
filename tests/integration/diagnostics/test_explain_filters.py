"""What explain says about a stream's filter, and whether a row matches it."""

import pytest

from ayb_realtime.diagnostics.explain import Step
from tests.integration.diagnostics.conftest import OWN, steps
from tests.integration.scenario import MakeTable, Owner, person

ACCEPTED = Step(True, "The filter can be compared for the subscriber.")
MATCHES = Step(True, "It matches the filter.")
DOES_NOT = Step(False, "It does not match the filter: no create or update of it is sent.")


@pytest.fixture
def notes(owner: Owner, make_table: MakeTable) -> None:
    """A table with a row of person 1."""
    make_table("notes", "id int primary key, author int, title text, secret text", policy=OWN)
    owner.execute("insert into notes values (42, 1, 'a, b', 'x')")


async def after_visible(*filters: str, person_id: int = 1) -> list[Step]:
    """Return the steps after that which shows the row."""
    found = await steps("notes", "42", identity=person(person_id), filters=filters)
    assert ACCEPTED in found
    (place,) = [n for n, step in enumerate(found) if step.found.startswith(("It is visible", "It is not visible"))]
    return found[place + 1 :]


@pytest.mark.usefixtures("notes")
async def test_row_that_matches_says_so_and_each_condition_holds() -> None:
    assert await after_visible(r"title=in.c|a\, b,notes.author=lt.2", "secret=is.not_null") == [
        Step(None, "The condition author < 2 holds for it."),
        Step(None, "The condition secret is not_null holds for it."),
        Step(None, "The condition title = c or a, b holds for it."),
        MATCHES,
    ]


@pytest.mark.usefixtures("notes")
async def test_row_that_does_not_match_stops_there_and_names_the_condition() -> None:
    assert await after_visible("title=like.a%,author=gt.5") == [
        Step(None, "The condition author > 5 does not hold for it."),
        Step(None, "The condition title ~~ a% holds for it."),
        DOES_NOT,
    ]


@pytest.mark.usefixtures("notes")
async def test_row_that_is_hidden_is_not_compared() -> None:
    assert await after_visible("title=eq.x", person_id=2) == []


@pytest.mark.usefixtures("notes")
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nothing=eq.1", "filter: unknown column: notes.nothing"),
        ("id=eq.x", 'filter: notes.id: invalid input syntax for type integer: "x"'),
        ("title", r"filter: not column=operator.value: 'title'. A comma in a value is written \,"),
        ("secret=eq.x", "filter: unknown column: notes.secret"),
    ],
)
async def test_filter_that_a_request_would_be_refused_for_is_told_as_there(
    owner: Owner, text: str, message: str
) -> None:
    owner.execute("revoke select on notes from ayb_authenticated")
    owner.execute("grant select (id, author, title) on notes to ayb_authenticated")
    refused = Step(False, f"A request with this filter is answered with 400: {message}")
    for key in ((), ("42",)):
        found = await steps("notes", *key, filters=[text])
        assert refused in found
        assert ACCEPTED not in found


# LIKE for an enum, which fails for what is happy.
MOOD = """
create type mood as enum ('sad', 'happy');
create function like_mood(mood mood, pattern text) returns boolean language plpgsql as $$
begin
    return 1 / (mood <> 'happy')::int = 1;
end $$;
create operator ~~ (leftarg = mood, rightarg = text, function = like_mood);
"""


async def test_row_that_postgres_cannot_compare_has_no_answer(owner: Owner, make_table: MakeTable) -> None:
    owner.execute(MOOD)
    try:
        make_table("notes", "id int primary key, author int, mood mood", policy=OWN)
        owner.execute("insert into notes values (42, 1, 'happy'), (43, 1, 'sad')")
        assert (await steps("notes", "43", filters=["mood=like.%"]))[-1] == MATCHES
        assert (await steps("notes", "42", filters=["mood=like.%,author=eq.1"]))[-3:] == [
            Step(None, "The condition author = 1 holds for it."),
            Step(None, "The condition mood ~~ % has no answer for it."),
            Step(False, "Postgres cannot compare it with the filter: a reset is sent."),
        ]
    finally:
        owner.execute("drop type mood cascade")
