"""What a policy's condition implies, if it is understood completely."""

import pytest

from ayb_realtime.visibility.policy_predicates import Equality, derive_equality

COLUMNS = frozenset({"owner", "team", "Odd Name"})
USER = "current_setting('ayb.user_id'::text)"
READ_USER = "current_setting ( 'ayb.user_id' :: text )"


@pytest.mark.parametrize(
    ("condition", "column", "settings"),
    [
        (f"(owner = {USER})", "owner", {"ayb.user_id"}),
        (f"({USER} = owner)", "owner", {"ayb.user_id"}),
        (f"((owner)::text = {USER})", "owner", {"ayb.user_id"}),
        (f'("Odd Name" = {USER})', "Odd Name", {"ayb.user_id"}),
        ("(owner = ( SELECT current_setting('AYB.User_ID'::text, true) AS current_setting))", "owner", {"ayb.user_id"}),
        (f"((owner = {USER}) AND (NOT hidden))", "owner", {"ayb.user_id"}),
        (f"(active AND (team = COALESCE(NULLIF({USER}, ''::text), 'none'::text)))", "team", {"ayb.user_id"}),
        ("(owner = ((current_setting('a.claims'::text))::json ->> 'sub'::text))", "owner", {"a.claims"}),
        ("(owner = 'ann'::text)", "owner", set()),
    ],
)
def test_equality_of_a_column_and_settings_is_derived(condition: str, column: str, settings: set[str]) -> None:
    equality = derive_equality(condition, COLUMNS)
    assert equality is not None
    assert (equality.column, equality.settings) == (column, frozenset(settings))


def test_expression_of_the_equality_is_the_side_without_the_column() -> None:
    equality = Equality("owner", READ_USER, frozenset({"ayb.user_id"}))
    assert derive_equality(f"(owner = {USER})", COLUMNS) == equality


@pytest.mark.parametrize(
    "condition",
    [
        "",
        "true",
        f"((owner = {USER}) OR shared)",
        f"(NOT (owner = {USER}))",
        f"((owner = {USER}) AND shared IS NULL)",
        f"(owner <> {USER})",
        f"(author = {USER})",
        "(owner = team)",
        "(owner = lower(current_setting('ayb.user_id'::text)))",
        "(owner = evil.current_setting('ayb.user_id'::text))",
        f"(owner = ({USER})::evil.text)",
        "(owner = ( SELECT m.id FROM members m))",
        "(owner = current_setting(name))",
        "(owner = (CURRENT_USER)::text)",
        f"(owner = {'(' * 2000}{USER}{')' * 2000})",
        f"(owner = NULLIF({USER}, '{'x' * 10_000}'::text))",
    ],
    ids=lambda condition: condition[:40],
)
def test_condition_that_is_not_understood_implies_nothing(condition: str) -> None:
    assert derive_equality(condition, COLUMNS) is None
