"""Identities: what they may hold, and what the setting ``IDENTITY`` calls."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from ayb_realtime.exceptions import InvalidIdentity
from ayb_realtime.identity import ANONYMOUS_ROLE, AUTHENTICATED_ROLE, SETTINGS_BYTES, Identity, identify
from example_project.blog.models import User

SOMEBODY = User(email="somebody@example.com")


def of_an_organisation(user: AbstractBaseUser | None, claims: Mapping[str, Any]) -> Identity:
    """Return an identity that consists only of its organisation."""
    role = AUTHENTICATED_ROLE if user else ANONYMOUS_ROLE
    return Identity(role, (("ayb.claims", json.dumps({"org": claims.get("org")})),))


def test_default_identity_is_the_users_id_and_email() -> None:
    settings = (("ayb.user_id", str(SOMEBODY.pk)), ("ayb.user_email", "somebody@example.com"))
    assert identify(SOMEBODY) == Identity("ayb_authenticated", settings)


@pytest.mark.parametrize("nobody", [None, AnonymousUser()])
def test_user_of_none_is_anonymous_in_a_session_too(nobody: AnonymousUser | None) -> None:
    assert identify(nobody) == Identity("ayb_anonymous", (("ayb.user_id", ""), ("ayb.user_email", "")))


@pytest.mark.parametrize("given", [of_an_organisation, f"{__name__}.of_an_organisation"])
def test_callable_or_its_path_is_asked(given: object) -> None:
    with override_settings(AYB_REALTIME={"IDENTITY": given}):
        assert identify(SOMEBODY, {"org": "acme"}) == Identity(
            "ayb_authenticated", (("ayb.claims", '{"org": "acme"}'),)
        )
        assert identify(AnonymousUser()) == Identity("ayb_anonymous", (("ayb.claims", '{"org": null}'),))


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("nowhere.to.be.found", "'nowhere.to.be.found', and cannot be imported: No module named 'nowhere'"),
        ("no_path", "cannot be imported"),
        (f"{__name__}.SOMEBODY", "cannot be called"),
        (42, "is 42, and cannot be called"),
    ],
)
def test_identity_that_is_not_callable_is_reported(given: object, told: str) -> None:
    with override_settings(AYB_REALTIME={"IDENTITY": given}), pytest.raises(ImproperlyConfigured, match=told):
        identify(SOMEBODY)


def test_callable_that_returns_no_identity_is_reported() -> None:
    with (
        override_settings(AYB_REALTIME={"IDENTITY": lambda user, claims: {"role": "ayb_authenticated"}}),
        pytest.raises(InvalidIdentity, match="returned dict and not an Identity"),
    ):
        identify(SOMEBODY)


@pytest.mark.parametrize(
    "name", ["ayb.claims", "app.user_id", "_a._b", "a1.b$2", "ayb.role", "x.search_path", "plpgsql_like.name"]
)
def test_name_of_two_parts_is_a_setting(name: str) -> None:
    assert Identity("reader", ((name, "value"),)).settings == ((name, "value"),)


@pytest.mark.parametrize(
    "name",
    [
        "role",
        "search_path",
        "session_authorization",
        "session_replication_role",
        "row_security",
        "plpgsql.variable_conflict",
        "Ayb.claims",
        "ayb.Claims",
        "ayb.a.b",
        "ayb.",
        ".claims",
        "ayb..claims",
        "",
        "ayb.1",
        "1.ayb",
        "ayb.a-b",
        "ayb.a b",
        " ayb.a",
        "ayb.a\n",
        "ayb.a\0",
        "ayb.é",
        "ayb.a;drop",
        "ayb.a'",
        7,
        None,
        b"ayb.claims",
    ],
)
def test_other_name_is_refused(name: Any) -> None:
    with pytest.raises(InvalidIdentity, match="is not a setting's name"):
        Identity("reader", ((name, "value"),))


@pytest.mark.parametrize("value", [42, None, b"bytes", {"org": 1}, "secret\0", "secret\ud800", "\udfff"])
def test_value_that_postgres_cannot_hold_is_refused_and_not_told(value: Any) -> None:
    with pytest.raises(InvalidIdentity, match=r"the value of ayb\.claims has to be a str") as refused:
        Identity("reader", (("ayb.claims", value),))
    assert "secret" not in str(refused.value)


def test_setting_that_is_there_twice_is_refused() -> None:
    with pytest.raises(InvalidIdentity, match=r"twice: ayb\.a, ayb\.b, ayb\.a"):
        Identity("reader", (("ayb.a", "1"), ("ayb.b", "2"), ("ayb.a", "1")))


def test_size_is_counted_in_bytes_of_all_settings() -> None:
    fits = "é" * ((SETTINGS_BYTES - len("ayb.a") - len("ayb.b")) // 4)
    Identity("reader", (("ayb.a", fits), ("ayb.b", fits)))
    with pytest.raises(InvalidIdentity, match="more than 16384 bytes"):
        Identity("reader", (("ayb.a", fits), ("ayb.b", f"{fits}éé")))


@pytest.mark.parametrize(
    "settings", [{"ayb.a": "1"}, [("ayb.a", "1")], (["ayb.a", "1"],), ("ab",), None, (("ayb.a",),)]
)
def test_settings_in_another_shape_are_refused(settings: Any) -> None:
    with pytest.raises(InvalidIdentity, match="a tuple of tuples"):
        Identity("reader", settings)


@pytest.mark.parametrize("role", ["reader", "Odd Role", 'a "quoted" one', "é" * 31, "None"])
def test_role_is_any_name(role: str) -> None:
    assert Identity(role, ()).role == role


@pytest.mark.parametrize("role", ["", "none", "a" * 64, "é" * 32, "a\0", "\ud800", None, 10, b"reader"])
def test_role_that_is_no_name_is_refused(role: Any) -> None:
    with pytest.raises(InvalidIdentity, match="is not the name of a role"):
        Identity(role, ())
