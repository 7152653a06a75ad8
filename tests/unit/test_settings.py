"""The checks of the settings: which message, and when."""

from pathlib import Path
from typing import Any

import pytest
from django.core.checks import CheckMessage, Tags, run_checks
from django.db import connections

from ayb_realtime.asgi import Realtime

OTHERS = ["django.contrib.auth", "django.contrib.contenttypes", "ayb_realtime", "example_project.blog"]
REDIS = "redis://127.0.0.1:6379"
PUBSUB = {"BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer", "CONFIG": {"hosts": [REDIS]}}


@pytest.fixture(autouse=True)
def sound(settings: Any) -> None:
    """Settings without a finding of any check."""
    settings.INSTALLED_APPS = OTHERS
    settings.CHANNEL_LAYERS = {"default": PUBSUB}
    settings.AYB_REALTIME = {}
    settings.REST_FRAMEWORK = {"NUM_PROXIES": 1}


def messages(*, deploy: bool = False) -> list[CheckMessage]:
    """Return the findings of the checks with the tag ``async_support``."""
    return run_checks(tags=[Tags.async_support], include_deployment_checks=deploy)


def found(*, deploy: bool = False) -> list[str]:
    """Return the ids of the findings; each must have a hint."""
    assert all(message.hint for message in messages(deploy=deploy))
    return [str(message.id) for message in messages(deploy=deploy)]


def test_sound_settings_are_not_spoken_of() -> None:
    assert found(deploy=True) == []


async def plain(scope: Any, receive: Any, send: Any) -> None:
    """An ASGI application of a site that does not use ``Realtime``."""


@pytest.mark.parametrize(("deploy", "expected"), [(True, ["ayb_realtime.W024"]), (False, [])])
def test_streams_that_stay_in_django_are_warned_of_before_a_deploy(
    settings: Any, monkeypatch: pytest.MonkeyPatch, deploy: bool, expected: list[str]
) -> None:
    monkeypatch.setattr(Realtime, "is_used", False)
    settings.ASGI_APPLICATION = f"{__name__}.plain"
    assert found(deploy=deploy) == expected
    Realtime(plain)
    assert found(deploy=deploy) == []


@pytest.mark.parametrize(("proxies", "expected"), [(None, ["ayb_realtime.W048"]), (0, []), (1, [])])
def test_unknown_number_of_proxies_is_warned_of_before_a_deploy(
    settings: Any, proxies: int | None, expected: list[str]
) -> None:
    settings.REST_FRAMEWORK = {"NUM_PROXIES": proxies}
    assert found(deploy=True) == expected
    assert found() == []


def test_no_layer_is_an_error(settings: Any) -> None:
    settings.AYB_REALTIME = {"CHANNEL_LAYER": "realtime"}
    (message,) = messages()
    assert (message.id, message.is_serious()) == ("ayb_realtime.E002", True)
    assert "There is no Channels layer 'realtime'" in message.msg
    settings.CHANNEL_LAYERS = {"realtime": PUBSUB}
    assert found() == []


def test_no_layer_that_is_meant_is_not_spoken_of(settings: Any) -> None:
    settings.AYB_REALTIME = {"CHANNEL_LAYER": None}
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    assert found(deploy=True) == []


def test_layer_whose_backend_cannot_be_imported_is_an_error(settings: Any) -> None:
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "no_such_module.Layer"}}
    (message,) = messages(deploy=True)
    assert message.id == "ayb_realtime.E002"
    assert "no_such_module.Layer" in message.msg


@pytest.mark.parametrize(("deploy", "expected"), [(True, ["ayb_realtime.W003"]), (False, [])])
def test_layer_in_memory_is_warned_of_before_a_deploy(settings: Any, deploy: bool, expected: list[str]) -> None:
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    assert found(deploy=deploy) == expected


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        (REDIS, True),
        (("127.0.0.1", 6379), True),
        ({"address": REDIS}, True),
        ({"address": REDIS, "socket_timeout": 5}, True),
        (f"{REDIS}?socket_timeout=2", True),
        ({"master_name": "main", "sentinels": [("127.0.0.1", 26379)]}, True),
        ({"address": REDIS, "socket_timeout": None}, False),
        ({"address": REDIS, "socket_timeout": 60}, False),
        (f"{REDIS}?socket_timeout=60", False),
        ({"master_name": "main", "sentinels": [("127.0.0.1", 26379)], "socket_timeout": None}, False),
    ],
)
def test_socket_that_times_out_before_an_idle_receive_is_warned_of(settings: Any, host: Any, expected: bool) -> None:
    settings.CHANNEL_LAYERS = {
        "default": {"BACKEND": "channels_redis.core.RedisChannelLayer", "CONFIG": {"hosts": [host]}}
    }
    assert found() == ["ayb_realtime.W004"] * expected


def test_each_host_is_looked_at(settings: Any) -> None:
    hosts = [{"address": REDIS, "socket_timeout": None}, REDIS]
    settings.CHANNEL_LAYERS = {
        "default": {"BACKEND": "channels_redis.core.RedisChannelLayer", "CONFIG": {"hosts": hosts}}
    }
    (message,) = messages()
    assert message.msg.startswith("Host 2 of the Channels layer 'default' has a socket_timeout of 5 s")


@pytest.mark.parametrize("application", [None, ""])
def test_project_without_asgi_is_warned_of(settings: Any, application: str | None) -> None:
    settings.ASGI_APPLICATION = application
    assert found() == ["ayb_realtime.W005"]
    del settings.ASGI_APPLICATION
    assert found() == ["ayb_realtime.W005"]


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0, []), (600, ["ayb_realtime.W006"]), (None, ["ayb_realtime.W006"])]
)
def test_connections_that_outlast_their_request_are_warned_of(
    monkeypatch: pytest.MonkeyPatch, seconds: int | None, expected: list[str]
) -> None:
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", seconds)
    assert found() == expected


@pytest.fixture
def corsheaders(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed app with the name of django-cors-headers, of which the check reads nothing but the settings."""
    (tmp_path / "corsheaders").mkdir()
    (tmp_path / "corsheaders" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    settings.INSTALLED_APPS = [*OTHERS, "corsheaders"]


@pytest.mark.parametrize(
    ("allowed", "missing"),
    [
        (["Authorization", "Last-Event-ID"], ""),
        (["accept", "authorization"], "lacks last-event-id:"),
        (["last-event-id"], "lacks authorization:"),
        ((), "lacks authorization and last-event-id:"),
    ],
)
@pytest.mark.usefixtures("corsheaders")
def test_headers_that_pages_of_other_origins_may_not_send_are_named(settings: Any, allowed: Any, missing: str) -> None:
    settings.CORS_ALLOW_HEADERS = allowed
    assert found() == (["ayb_realtime.W029"] if missing else [])
    assert all(missing in message.msg for message in messages())


@pytest.mark.usefixtures("corsheaders")
def test_default_of_cors_headers_lacks_the_position(settings: Any) -> None:
    (message,) = messages()
    assert "lacks last-event-id:" in message.msg


@pytest.mark.usefixtures("corsheaders")
def test_cors_headers_that_are_no_list_are_a_warning_and_no_error(settings: Any) -> None:
    settings.CORS_ALLOW_HEADERS = None
    assert found() == ["ayb_realtime.W021"]
