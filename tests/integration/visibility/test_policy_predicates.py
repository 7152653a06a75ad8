"""Which conditions of a policy require a column to equal settings."""

import pytest

from ayb_realtime.identity import AUTHENTICATED_ROLE
from ayb_realtime.visibility import shortlist
from tests.integration.scenario import USER, MakeTable, Owner
from tests.integration.visibility.conftest import checking

COLUMNS = """id int primary key, owner text, "Owner" varchar(9), u uuid, i int, s smallint, b bigint, shown boolean,
    c char(9), n numeric, other text, doc jsonb"""


@pytest.mark.parametrize(
    ("column", "condition"),
    [
        ("owner", f"owner = {USER}"),
        ("owner", f"{USER} = owner"),
        ("Owner", f'"Owner" = {USER}'),
        ("u", f"u = {USER}::uuid"),
        ("i", f"i = {USER}::int"),
        ("i", f"i = {USER}::bigint"),
        ("s", f"s = {USER}::int"),
        ("b", f"b = {USER}::smallint"),
        ("i", f"i::text = {USER}"),
        ("u", f"u::text = {USER}"),
        ("shown", f"shown = {USER}::boolean"),
        ("owner", "owner = current_setting('ayb.user_id', true)"),
        ("owner", "owner = current_setting('AYB.User_Id')"),
        ("u", "u = nullif(current_setting('ayb.user_id', true), '')::uuid"),
        ("owner", f"owner = coalesce(nullif({USER}, ''), 'nobody')"),
        ("owner", f"owner = (select {USER})"),
        ("i", f"i = (select {USER}::int)"),
        ("owner", "owner = current_setting('ayb.claims')::json ->> 'sub'"),
        ("owner", f"owner = {USER}::varchar(2)"),
        ("owner", "owner = 'it''s'"),
        ("owner", f"owner = {USER} and shown"),
        ("owner", f"shown and (id > 1 and (owner = {USER} and other like '%'))"),
        ("owner", f"exists (select from pg_class where relname = owner) and owner = {USER}"),
        ("owner", f"(owner, id) = ({USER}, 1)"),
        ("", f"owner = {USER} or shown"),
        ("", f"shown or (owner = {USER} and shown)"),
        ("", f"not owner = {USER}"),
        ("", f"(owner = {USER}) is not false"),
        ("", f"case when shown then owner = {USER} end and id > 0"),
        ("", f"owner <> {USER}"),
        ("", f"owner is not distinct from {USER}"),
        ("", f"owner in ({USER}, 'x')"),
        ("", f"owner = any (array[{USER}])"),
        ("", f"lower(owner) = {USER}"),
        ("", f"owner = lower({USER})"),
        ("", f"owner = {USER} || ''"),
        ("", f"owner = {USER} || other"),
        ("", "owner = other"),
        ("", f"{USER} = 'x'"),
        ("", "owner = current_setting(other)"),
        ("", f"coalesce(owner, {USER}) = {USER}"),
        ("", f"owner = coalesce(other, {USER})"),
        ("", "owner = current_user"),
        ("", f"c = {USER}"),
        ("", f"n = {USER}::numeric"),
        ("", f"i = {USER}::numeric"),
        ("", f"b::int = {USER}::int"),
        ("", f"owner::varchar(2) = {USER}"),
        ("", f'owner collate "C" = {USER}'),
        ("", f"doc ->> 'owner' = {USER}"),
        ("", f"owner = (select {USER} from pg_class limit 1)"),
        ("", f"owner = (select {USER} where shown)"),
        ("", "true"),
        ("", "shown"),
    ],
)
async def test_condition_is_a_route_where_it_requires_a_column_to_equal_settings(
    owner: Owner, make_table: MakeTable, column: str, condition: str
) -> None:
    make_table("notes", COLUMNS, policy=condition)
    async with checking("notes") as (connection, table):
        equalities = await shortlist.derive_equalities(connection, table, AUTHENTICATED_ROLE)
    assert [equality.column for equality in equalities or ()] == [column] * bool(column)
