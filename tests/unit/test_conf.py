"""The settings, read at access time."""

import re
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings
from rest_framework.authentication import SessionAuthentication
from rest_framework_simplejwt.authentication import JWTAuthentication

from ayb_realtime.conf import Conf, conf
from ayb_realtime.hub.lifetime import rechecking
from ayb_realtime.identity import default_identity


def test_without_settings_the_defaults_hold(settings: Any) -> None:
    if hasattr(settings, "AYB_REALTIME"):
        del settings.AYB_REALTIME
    assert {name: getattr(conf, name.lower()) for name in Conf.defaults} == {
        **Conf.defaults,
        "AUTHENTICATION_CLASSES": [JWTAuthentication, SessionAuthentication],
        "IDENTITY": default_identity,
        "HUB_DATABASE": "default",
        "RELAY_DATABASE": "default",
        "RELAY_IN_PROCESS": False,
    }


def test_every_setting_has_a_property_with_its_type(settings: Any) -> None:
    settings.AYB_REALTIME = {}
    assert {name.lower() for name in Conf.defaults} == {
        name for name, value in vars(Conf).items() if isinstance(value, property)
    }
    plain = Conf.defaults.keys() - {
        "AUTHENTICATION_CLASSES",
        "IDENTITY",
        "HUB_DATABASE",
        "RELAY_DATABASE",
        "RELAY_IN_PROCESS",
    }
    assert {name: type(getattr(conf, name.lower())) for name in plain} == {
        name: type(Conf.defaults[name]) for name in plain
    }


@pytest.mark.parametrize(
    ("name", "given", "read"),
    [
        ("DATABASE", "replica", "replica"),
        ("HUB_DATABASE", "replica", "replica"),
        ("RELAY_DATABASE", "direct", "direct"),
        ("CHANNEL_LAYER", "realtime", "realtime"),
        ("CHANNEL_LAYER", None, None),
        ("ANONYMOUS", True, True),
        ("HEARTBEAT_SECONDS", 3, 3.0),
        ("RETRY_MILLISECONDS", 500, 500),
        ("BUFFER_BYTES", 1, 1),
        ("CHECK_TIMEOUT_SECONDS", 0.5, 0.5),
        ("POOL_SIZE", 9, 9),
        ("AUTHENTICATED_ROLE", "Blog's «readers»", "Blog's «readers»"),
        ("ANONYMOUS_ROLE", "x" * 63, "x" * 63),
        ("METRICS_TOKEN", "x" * 16, "x" * 16),
    ],
)
def test_overridden_setting_is_read_and_then_forgotten(name: str, given: object, read: object) -> None:
    before = getattr(conf, name.lower())
    with override_settings(AYB_REALTIME={name: given}):
        value = getattr(conf, name.lower())
        assert value == read
        assert type(value) is type(read)
    assert getattr(conf, name.lower()) == before


@pytest.mark.parametrize(
    ("given", "debug", "read"), [(None, True, True), (None, False, False), (False, True, False), (True, False, True)]
)
def test_relay_runs_in_the_process_while_debugging_unless_told(given: object, debug: bool, read: bool) -> None:
    with override_settings(AYB_REALTIME={"RELAY_IN_PROCESS": given}, DEBUG=debug):
        assert conf.relay_in_process is read


@pytest.mark.parametrize("given", [0, None])
async def test_open_streams_are_not_rechecked_where_that_is_switched_off(given: object) -> None:
    with override_settings(AYB_REALTIME={"RECHECK_SECONDS": given}):
        assert conf.recheck_seconds is None
        # It ends, rather than asking over and over.
        await rechecking.run(lambda: pytest.fail("asked"))


@pytest.mark.parametrize("given", [0, -1, "x", float("nan"), float("inf"), [1]])
@pytest.mark.parametrize(
    "name",
    [
        "HEARTBEAT_SECONDS",
        "RETRY_MILLISECONDS",
        "BUFFER_BYTES",
        "CHECK_TIMEOUT_SECONDS",
        "POOL_SIZE",
        "RECHECK_SECONDS",
        "KEEP_HOURS",
    ],
)
def test_number_that_would_stop_or_flood_what_it_is_for_is_refused(name: str, given: object) -> None:
    if (name, given) == ("RECHECK_SECONDS", 0):  # It switches rechecking off.
        return
    told = rf"AYB_REALTIME\['{name}'\] is {re.escape(repr(given))}; it has to be a number above 0"
    with override_settings(AYB_REALTIME={name: given}), pytest.raises(ImproperlyConfigured, match=told):
        getattr(conf, name.lower())


def test_limits_that_a_site_does_not_name_keep_their_defaults_and_none_is_no_limit() -> None:
    with override_settings(AYB_REALTIME={"LIMITS": {"tables": 7, "streams": None}}):
        assert conf.limits == {**Conf.defaults["LIMITS"], "tables": 7, "streams": float("inf")}


def test_limits_are_read_again_when_the_dictionary_of_a_site_has_changed() -> None:
    given = {"tables": 7}
    with override_settings(AYB_REALTIME={"LIMITS": given}):
        assert conf.limits["tables"] == 7
        given["tables"] = 8
        assert conf.limits["tables"] == 8


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"user_stream": 3}, r"AYB_REALTIME\['LIMITS'\] has no limit user_stream\. It has: streams, user_streams, "),
        ({"tables": 0}, r"AYB_REALTIME\['LIMITS'\]\['tables'\] is 0; it has to be a number above 0"),
        ({"tables": "x"}, r"AYB_REALTIME\['LIMITS'\]\['tables'\] is 'x'; it has to be a number above 0"),
        (None, r"AYB_REALTIME\['LIMITS'\] is None; it has to be a dictionary"),
    ],
)
def test_limit_that_is_none_is_refused(given: object, told: str) -> None:
    with override_settings(AYB_REALTIME={"LIMITS": given}), pytest.raises(ImproperlyConfigured, match=told):
        _ = conf.limits


@pytest.mark.parametrize("name", ["AUTHENTICATED_ROLE", "ANONYMOUS_ROLE"])
@pytest.mark.parametrize("given", ["", "é" * 32, "a\0b", None])
def test_what_cannot_be_the_name_of_a_role_is_refused(name: str, given: object) -> None:
    with (
        override_settings(AYB_REALTIME={name: given}),
        pytest.raises(ImproperlyConfigured, match="it has to be the name of a role"),
    ):
        getattr(conf, name.lower())


@pytest.mark.parametrize("given", ["x" * 15, None, 7, b"x" * 16])
def test_token_that_could_be_guessed_is_refused(given: object) -> None:
    with override_settings(AYB_REALTIME={"METRICS_TOKEN": given}), pytest.raises(ImproperlyConfigured, match="16 char"):
        _ = conf.metrics_token


def test_unknown_setting_is_refused_with_the_known_ones() -> None:
    with (
        override_settings(AYB_REALTIME={"HEARTBEAT": 3, "Z": 1}),
        pytest.raises(ImproperlyConfigured, match=r"no setting HEARTBEAT, Z\..*BUFFER_BYTES.*HEARTBEAT_SECONDS"),
    ):
        _ = conf.database
