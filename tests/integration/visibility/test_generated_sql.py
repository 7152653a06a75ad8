"""The SQL that the database generates for a table from templates."""

import re
from pathlib import Path

import psycopg
import pytest

from ayb_realtime.identity import AUTHENTICATED_ROLE
from ayb_realtime.visibility.old_rows import OldRowsCheck
from ayb_realtime.wire.records import Row
from tests.integration.scenario import MakeTable, Owner, person
from tests.integration.visibility.conftest import checking

EXAMPLES = Path(__file__).parent / "generated"


def test_check_function_is_its_template_filled_in(owner: Owner, make_table: MakeTable) -> None:
    # A name that looks like a placeholder is not filled in.
    make_table("memos", 'team text, "{{table_literal}}" int, primary key (team, "{{table_literal}}")', policy="true")
    owner.execute("select ayb_realtime.make_check_function_v1('memos'::regclass, %s)", [AUTHENTICATED_ROLE])
    made = "select 'memos'::regclass::oid::int, prosrc from pg_proc where prosrc ~ 'public.memos.*ayb_authenticated'"
    (relation, source) = owner.execute(made.encode()).fetchone() or (0, "")
    source = re.sub(rf"\b{relation}\b", "16384", source)
    # The digest is of a text with the table's oid.
    assert re.sub(r"'[0-9a-f]{32}'", "'digest'", source) == (EXAMPLES / "check_function.sql").read_text()


async def test_query_for_old_rows_is_its_template_filled_in(owner: Owner, make_table: MakeTable) -> None:
    body = "begin raise notice 'asked'; return true; end"
    owner.execute(f"create function tells() returns boolean language plpgsql stable as $${body}$$")
    try:
        policy = "author = current_setting('ayb.user_id') and tells()"
        make_table("memos", "id int primary key, author text", policy=policy)
        notices: list[str] = []

        async with checking("memos") as (connection, target):
            await connection.execute("set local client_min_messages = notice")
            connection.add_notice_handler(lambda notice: notices.append(notice.context or ""))
            row = Row('{"id":1,"author":"1"}')
            await OldRowsCheck(connection, target, True).answer([({1: row}, [person(1)])])
        queries = {query for context in notices for query in re.findall(r'SQL statement "(.*)"\n', context, re.DOTALL)}
        assert queries == {(EXAMPLES / "visible_before.sql").read_text()}
    finally:
        owner.execute("drop table memos; drop function tells()")


def test_check_function_answers_no_call_that_expects_another_text(owner: Owner, make_table: MakeTable) -> None:
    make_table("memos", "id int primary key, secret text", policy="true")
    make = "select ayb_realtime.make_check_function_v1('memos'::regclass, 'ayb_authenticated')"
    calls = []
    for change in ("select", "revoke select on memos from ayb_authenticated; grant select (id) on memos to public"):
        owner.execute(change.encode())
        calls.append((owner.execute(make.encode()).fetchone() or ("",))[0])
    former, current = (f"select identity from {call} '[]', 1, '{{}}', '{{}}')" for call in calls)
    assert owner.execute(current.encode()).fetchall() == [(1,), (0,)]
    with pytest.raises(psycopg.DatabaseError) as refused:
        owner.execute(former.encode())
    assert refused.value.sqlstate == "AYB01"
