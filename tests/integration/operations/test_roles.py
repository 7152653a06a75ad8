"""The subscribers' roles: created, granted, or reported as missing."""

from typing import Any
from uuid import uuid4

import psycopg
import pytest
from django.contrib.auth.models import AnonymousUser

from ayb_realtime.identity import identify
from ayb_realtime.operations import EnableRealtime
from example_project.blog.models import User
from tests.integration.operations.conftest import OURS, acting_as, backwards, forwards, may_select, triggers
from tests.integration.scenario import MakeTable, Owner

ROLES = ("ayb_authenticated", "ayb_anonymous")


def without_roles(owner: Owner) -> None:
    """Rename the subscribers' roles until the transaction is rolled back."""
    for role in ROLES:
        owner.execute(f"alter role {role} rename to hidden_{uuid4().hex}".encode())


def may_act_as(owner: Owner, role: str) -> bool:
    """Tell whether the current user may act as a role."""
    kind = "set" if owner.info.server_version >= 160000 else "member"
    return owner.execute("select pg_has_role(current_user, %s, %s)", [role, kind]).fetchone() == (True,)


def test_missing_roles_are_made_and_can_be_acted_as(owner: Owner, make_table: MakeTable) -> None:
    make_table("notes", "id int primary key", enable=False)
    with owner.transaction(force_rollback=True):
        without_roles(owner)
        owner.execute("select ayb_realtime.enable_v1('notes')")
        made = owner.execute(
            "select rolname, rolcanlogin, rolsuper, rolbypassrls, rolcreaterole from pg_roles"
            " where rolname = any(%s) order by 1 desc",
            [list(ROLES)],
        ).fetchall()
        assert made == [(role, False, False, False, False) for role in ROLES]
        assert all(may_act_as(owner, role) for role in ROLES)
        assert may_select(owner, "notes")


def test_roles_of_the_sites_own_are_made_and_granted_in_place_of_ours(
    owner: Owner, make_table: MakeTable, settings: Any
) -> None:
    settings.AYB_REALTIME = {"AUTHENTICATED_ROLE": "Blog's 100%", "ANONYMOUS_ROLE": "Blog's others"}
    make_table("notes", "id int primary key", enable=False)
    selects = "select has_table_privilege(%s, 'notes', 'select')"
    try:
        forwards(EnableRealtime(table="notes"))
        assert [identify(user).role for user in (User(), AnonymousUser())] == ["Blog's 100%", "Blog's others"]
        assert all(may_act_as(owner, role) for role in ("Blog's 100%", "Blog's others"))
        assert owner.execute(selects, ["Blog's 100%"]).fetchone() == (True,)
        assert owner.execute(selects, [ROLES[0]]).fetchone() == (False,)
        backwards(EnableRealtime(table="notes"))
        assert owner.execute(selects, ["Blog's 100%"]).fetchone() == (False,)
    finally:
        owner.execute("""revoke usage on schema public from "Blog's 100%"; drop role "Blog's 100%", "Blog's others" """)


@pytest.mark.parametrize("missing", [False, True])
def test_user_who_may_not_make_the_roles_is_told_what_to_run(owner: Owner, plain_role: str, missing: bool) -> None:
    if missing:
        without_roles(owner)
    make_roles = "select ayb_realtime.create_roles_v1()"
    refusing = pytest.raises(psycopg.errors.InsufficientPrivilege)
    with acting_as(owner, plain_role), refusing as refused, owner.transaction():
        owner.execute(make_roles)
    assert refused.value.diag.message_primary == (
        f'ayb_realtime needs the roles "ayb_authenticated" and "ayb_anonymous", and "{plain_role}" may not make them '
        "or act as them."
    )
    hint = refused.value.diag.message_hint or ""
    advice, _, statements = hint.partition(": ")
    assert advice == "Run this once as a superuser, then migrate again"
    assert statements.count("CREATE ROLE") == (2 if missing else 0)
    # Just that, and it works.
    owner.execute(statements.encode())
    with acting_as(owner, plain_role):
        owner.execute(make_roles)
        assert all(may_act_as(owner, role) for role in ROLES)
        # If Postgres separates the two, the user does not inherit the subscribers' privileges.
        inherits = owner.execute("select pg_has_role(current_user, 'ayb_authenticated', 'usage')").fetchone()
        assert inherits == (owner.info.server_version < 160000,)


@pytest.mark.parametrize(("role", "power"), [("ayb_authenticated", "superuser"), ("ayb_anonymous", "bypassrls")])
def test_role_made_beforehand_that_policies_do_not_hold_is_refused(
    owner: Owner, make_table: MakeTable, role: str, power: str
) -> None:
    make_table("notes", "id int primary key", enable=False)
    make_powerful = f"alter role {role} {power}".encode()
    with owner.transaction(force_rollback=True):
        if owner.execute("select rolsuper from pg_roles where rolname = current_user").fetchone() != (True,):
            # Then only a superuser can have done so, as when these tests run as one.
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                owner.execute(make_powerful)
            return
        owner.execute(make_powerful)
        refusing = pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match=f'hold .* role "{role}"')
        with refusing as refused, owner.transaction():
            owner.execute("select ayb_realtime.enable_v1('notes')")
        advice, _, statement = (refused.value.diag.message_hint or "").partition(": ")
        assert advice == "Run this as a superuser, then migrate again"
        # Just that, and it works.
        owner.execute(statement.encode())
        owner.execute("select ayb_realtime.enable_v1('notes')")


def test_schema_that_subscribers_cannot_be_let_into_is_reported(owner: Owner, plain_role: str) -> None:
    owner.execute("create schema sales")
    owner.execute(f"grant usage, create on schema sales to {plain_role}".encode())
    owner.execute(f"grant ayb_authenticated, ayb_anonymous to {plain_role}".encode())
    with acting_as(owner, plain_role):
        owner.execute("create table sales.orders (id int primary key)")
        with pytest.raises(psycopg.errors.InsufficientPrivilege) as refused, owner.transaction():
            owner.execute("select ayb_realtime.enable_v1('sales.orders')")
    assert refused.value.diag.message_primary == "subscribers may not use the schema sales, and you may not let them"
    hint = refused.value.diag.message_hint or ""
    assert hint == "Run this as its owner, then migrate again: GRANT USAGE ON SCHEMA sales TO ayb_authenticated;"
    owner.execute(hint.partition(": ")[2].encode())
    with acting_as(owner, plain_role):
        owner.execute("select ayb_realtime.enable_v1('sales.orders')")
        assert triggers(owner, "sales.orders") == OURS


def test_schema_of_a_type_that_hubs_cannot_be_let_into_is_reported(owner: Owner, plain_role: str) -> None:
    owner.execute(f"create role hub_{plain_role}".encode())
    owner.execute(f"grant execute on function ayb_realtime.make_check_function_v1 to hub_{plain_role}".encode())
    owner.execute("create schema sales; create type sales.kind as enum ('a')")
    owner.execute("grant usage on schema sales to ayb_authenticated")
    owner.execute(f"grant usage, create on schema sales to {plain_role}".encode())
    owner.execute(f"grant ayb_authenticated, ayb_anonymous to {plain_role}".encode())
    with acting_as(owner, plain_role):
        owner.execute("create table sales.orders (kind sales.kind primary key)")
        with pytest.raises(psycopg.errors.InsufficientPrivilege) as refused, owner.transaction():
            owner.execute("select ayb_realtime.enable_v1('sales.orders')")
    told = refused.value.diag.message_primary or ""
    assert f"hub_{plain_role} may not use the schema sales, which has a type of the table sales.orders, and you" in told
    advice, _, statement = (refused.value.diag.message_hint or "").partition(": ")
    assert advice == "Run this as its owner, then migrate again"
    # Just that, and it works.
    owner.execute(statement.encode())
    with acting_as(owner, plain_role):
        owner.execute("select ayb_realtime.enable_v1('sales.orders')")
        assert triggers(owner, "sales.orders") == OURS
