"""PUBLIC may call none of our functions, and none of them reads a table that is not streamed."""

from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest

from ayb_realtime.identity import AUTHENTICATED_ROLE
from tests.integration.scenario import MakeTable, Owner, let_call_what_hubs_call

# What PUBLIC may call, and which functions run with their owner's rights. To add one here is a decision.
PUBLIC: set[str] = set()
DEFINERS = {
    "capture_v1",
    "content_v1",
    "log_enabled_v1",
    "make_check_function_v1",
    "make_check_functions_v1",
    "unusable_schemas_v1",
}


def test_public_may_call_no_function_and_these_run_with_their_owners_rights(
    owner: Owner, make_table: MakeTable
) -> None:
    make_table("notes", "id int primary key")
    owner.execute("select ayb_realtime.make_check_function_v1('notes'::regclass, %s)", [AUTHENTICATED_ROLE])
    functions = owner.execute(
        """
        select p.proname, p.prosecdef, exists (
                   select from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) as g where g.grantee = 0)
          from pg_proc p
         where p.pronamespace = 'ayb_realtime'::regnamespace
        """
    ).fetchall()
    assert {name for name, _, is_public in functions if is_public} == PUBLIC
    assert {name for name, is_definer, _ in functions if is_definer} == DEFINERS
    assert any(name.startswith("check_1_") for name, _, _ in functions)


SECRET = "select texts from ayb_realtime.current_values_v1('secrets'::regclass, '{word}', '[{\"n\": 1, \"k1\": 1}]')"


def test_table_that_is_not_streamed_is_refused(owner: Owner, make_table: MakeTable) -> None:
    make_table("secrets", "id int primary key", enable=False)
    make = f"select ayb_realtime.make_check_function_v1('secrets'::regclass, '{AUTHENTICATED_ROLE}')"
    with pytest.raises(psycopg.errors.WrongObjectType):
        owner.execute(make.encode())
    owner.execute("select ayb_realtime.enable_v1('secrets')")
    owner.execute(make.encode())


def test_log_of_a_table_that_is_not_streamed_gets_nothing(owner: Owner, make_table: MakeTable) -> None:
    make_table("secrets", "id int primary key, mood ayb_realtime.streamed_table", enable=False)
    owner.execute("select ayb_realtime.log_enabled_v1('secrets'::regclass)")
    for name in ("change", "content", "layout"):
        query = f"select from ayb_realtime.{name} where relation = 'secrets'::regclass"
        assert not owner.execute(query.encode()).fetchall()


def test_column_whose_text_a_user_writes_is_not_read_with_our_rights(owner: Owner, make_table: MakeTable) -> None:
    owner.execute(
        """
        create type mood as enum ('bad');
        create function told(mood) returns text language plpgsql as $$ begin raise 'ran'; end $$;
        create cast (mood as text) with function told(mood);
        """
    )
    try:
        make_table("secrets", "id int primary key, word mood")
        owner.execute("insert into secrets values (1, 'bad')")
        with pytest.raises(psycopg.errors.FeatureNotSupported):
            owner.execute(SECRET.encode())
    finally:
        owner.execute("drop type mood cascade")


@pytest.fixture
def late_hub(owner: Owner) -> Iterator[str]:
    """A role that may name our objects, and no more yet."""
    name = f"late_{uuid4().hex}"
    owner.execute(f"create role {name}; grant {name} to current_user".encode())
    owner.execute(f"grant usage on schema ayb_realtime to {name}".encode())
    yield name
    owner.execute(f"drop owned by {name}; drop role {name}".encode())


def test_role_that_gets_the_hubs_rights_later_gets_those_on_check_functions(
    owner: Owner, make_table: MakeTable, late_hub: str
) -> None:
    make_table("notes", "id int primary key")
    make = f"select ayb_realtime.make_check_function_v1('notes'::regclass, '{AUTHENTICATED_ROLE}')"
    may_call = f"""
        select bool_and(has_function_privilege('{late_hub}', p.oid, 'execute')) from pg_proc p
         where p.pronamespace = 'ayb_realtime'::regnamespace and p.prosrc ~ '"public.notes"'
    """
    is_made = f"select is_made from ayb_realtime.check_function_v1('notes'::regclass, '{AUTHENTICATED_ROLE}')"
    ((call,),) = owner.execute(make.encode()).fetchall()
    assert owner.execute(may_call.encode()).fetchone() == (False,)
    let_call_what_hubs_call(owner, late_hub)
    owner.execute(f"set role {late_hub}".encode())
    assert owner.execute(is_made.encode()).fetchone() == (False,)
    assert owner.execute(make.encode()).fetchone() == (call,)
    assert owner.execute(is_made.encode()).fetchone() == (True,)
    owner.execute("reset role")
    assert owner.execute(may_call.encode()).fetchone() == (True,)
