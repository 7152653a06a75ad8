"""Roles that no policy binds, and privileges that subscribers lack."""

import pytest
from django.db import Error, transaction

from tests.integration.checks.conftest import Run, follow, messages, one


def test_table_without_row_security_is_warned_of(run: Run) -> None:
    run("alter table posts disable row level security")
    assert one("W008").msg == "public.posts is streamed, and row-level security is off: every user sees every row."


@pytest.mark.parametrize(("attribute", "what"), [("superuser", "is a superuser"), ("bypassrls", "has BYPASSRLS")])
@pytest.mark.parametrize("role", ["ayb_authenticated", "ayb_anonymous"])
def test_role_that_no_policy_binds_is_an_error(run: Run, role: str, attribute: str, what: str) -> None:
    try:
        with transaction.atomic():
            run(f"alter role {role} {attribute}")
    except Error:  # Only a superuser can make another role a superuser.
        assert messages() == []
        return
    message = one("E009")
    assert message.is_serious()
    assert f"The role {role}, as which subscribers read, {what}" in message.msg
    assert message.hint is not None
    follow(run, message.hint)


def test_role_that_owns_a_streamed_table_is_an_error(run: Run) -> None:
    run("grant create on schema public to ayb_authenticated; alter table posts owner to ayb_authenticated")
    message = one("E010")
    assert message.is_serious()
    assert "has the rights of ayb_authenticated, who owns public.posts" in message.msg
    run("set role ayb_authenticated; alter table posts force row level security; reset role")
    one("E010")


def test_role_that_has_the_rights_of_an_owner_is_an_error(run: Run) -> None:
    run("create role shopkeeper; grant create on schema public to shopkeeper; grant shopkeeper to current_user")
    run("alter table posts owner to shopkeeper; grant shopkeeper to ayb_anonymous")
    message = one("E010")
    assert "The role ayb_anonymous, as which subscribers read, has the rights of shopkeeper" in message.msg
    run("revoke shopkeeper from ayb_anonymous")
    assert messages() == []


@pytest.mark.parametrize(
    ("statement", "lacking"),
    [
        ("revoke select on posts from ayb_authenticated", "SELECT the columns id"),
        (
            "revoke select on posts from ayb_authenticated; grant select (title, body) on posts to ayb_authenticated",
            "SELECT the columns id",
        ),
    ],
)
def test_privileges_that_are_gone_are_warned_of(run: Run, statement: str, lacking: str) -> None:
    run(statement)
    message = one("W011")
    assert f"public.posts is streamed, but ayb_authenticated may not {lacking}" in message.msg
    assert message.hint is not None
    follow(run, message.hint)


def test_schema_that_subscribers_may_not_use_is_warned_of(run: Run) -> None:
    run("create schema sales; create table sales.orders (id int primary key)")
    run("select ayb_realtime.enable_v1('sales.orders'); alter table sales.orders enable row level security")
    assert messages() == []
    run("revoke usage on schema sales from ayb_authenticated")
    message = one("W011")
    assert "sales.orders is streamed, but ayb_authenticated may not use the schema sales" in message.msg
    assert message.hint is not None
    follow(run, message.hint)
