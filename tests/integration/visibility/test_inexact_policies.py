"""Policies that read more than the row cannot be evaluated for a row that is gone, and a check says so."""

from collections.abc import Iterator
from typing import Any

import pytest

from ayb_realtime.checks.policies import check_old_rows
from tests.integration.scenario import OWN, MakeTable, Owner
from tests.integration.visibility.conftest import reasons

INEXACT = {
    "ctid is not null": "the policy p reads a system column",
    "tableoid = 'notes'::regclass": "the policy p reads a system column",
    "exists (select from seen where seen.id = notes.id)": "the policy p reads the table itself",
    "exists (select from seen_again s where s.id = notes.id)": "the policy p reads the table itself",
    "reads_again(id)": "the policy p reads the table itself",
    "reads_by_name(id)": "the policy p reads the table itself",
    "calls_another(id)": "the policy p reads the table itself",
    "of_row(notes)": "the policy p reads the table itself",
    "id operator(pg_catalog.=) any (array(select id from parent))": "the policy p reads the table itself",
    "guarded()": "the policy p reads the table itself",
    "query_to_xml('select 1 from notes', true, false, '') is not null": "the policy p runs SQL that cannot be seen",
    "dynamic(id)": "the policy p calls the function dynamic, which may run any SQL",
}


@pytest.fixture
def readers(owner: Owner, make_table: MakeTable) -> Iterator[None]:
    """A table and objects that read it: a parent, views, functions of each kind, another table's policy."""
    make_table("parent", "id int", enable=False)
    make_table("notes", "primary key (id), author text", policy="true", suffix="inherits (parent)")
    owner.execute("create view seen as select * from notes; create view seen_again as select id from seen")
    make_table("guards", "id int", policy="exists (select from seen)", enable=False)
    make_table("noted", "notes_id int", enable=False)
    functions = {
        "reads_again(n int)": "sql stable begin atomic select exists (select from notes where notes.id = n); end",
        "reads_by_name(n int)": 'plpgsql as $$ begin return exists (select from Public."notes" where id = n); end $$',
        "calls_another(n int)": "sql as $$ select reads_by_name(n) $$",
        "of_row(n notes)": "sql as $$ select exists (select from seen s where s.id = n.id) $$",
        "guarded()": "sql as $$ select exists (select from guards) $$",
        "dynamic(n int)": "plpgsql as $$ begin execute 'select 1'; return true; end $$",
        "harmless(n int)": "sql as $$ select exists (select from noted where notes_id = n) -- not of notes_seen $$",
    }
    for function, body in functions.items():
        owner.execute(f"create function {function} returns boolean language {body}".encode())
    yield
    owner.execute(f"drop function if exists {', '.join(functions)} cascade".encode())


@pytest.mark.usefixtures("readers")
async def test_policy_that_reads_more_than_the_row_is_known_for_it(owner: Owner) -> None:
    for policy, reason in INEXACT.items():
        owner.execute(f"alter policy p on notes using ({policy})".encode())
        assert await reasons("notes") == reason, policy
    for policy in ("harmless(id)", OWN, "notes is not null"):
        owner.execute(f"alter policy p on notes using ({policy})".encode())
        assert await reasons("notes") is None, policy
    owner.execute("create policy w on notes for insert with check (dynamic(id))")
    assert await reasons("notes") is None


@pytest.mark.usefixtures("readers")
def test_check_names_the_tables_and_what_becomes_of_their_deletes(owner: Owner, settings: Any) -> None:
    assert warnings() == []
    settings.AYB_REALTIME = {"DELETE_VISIBILITY": "policy"}
    assert warnings() == []
    owner.execute("alter policy p on notes using (calls_another(id))")
    told = "Whose a deleted row of public.notes was cannot be told: the policy p reads the table itself. Its deletes"
    assert warnings() == [("ayb_realtime.W050", f"{told} are withheld from everyone.")]
    settings.AYB_REALTIME = {"DELETE_VISIBILITY": "policy", "INEXACT_DELETES": "everyone"}
    assert warnings() == [("ayb_realtime.W050", f"{told} are told to everyone.")]
    settings.AYB_REALTIME = {}
    assert warnings() == []


def warnings() -> list[tuple[str | None, str]]:
    """Return what the check says."""
    return [(each.id, each.msg) for each in check_old_rows(None, databases=["default"])]
