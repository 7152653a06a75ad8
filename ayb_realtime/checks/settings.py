"""Checks of the settings, which run with every command or with ``check --deploy``."""

from collections.abc import Sequence
from typing import Any

from channels.exceptions import InvalidChannelLayerError
from channels.layers import BaseChannelLayer, InMemoryChannelLayer
from django.apps import AppConfig, apps
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning  # noqa: A004 - Django's names
from django.db import connections
from django.utils.module_loading import import_string
from rest_framework.settings import api_settings

from ayb_realtime.asgi import Realtime
from ayb_realtime.checks.registration import register
from ayb_realtime.conf import conf
from ayb_realtime.relay.outlets import configured_layer

Apps = Sequence[AppConfig] | None


def _layer() -> BaseChannelLayer | None:
    """Return the Channels layer; None if there is none, which check_channel_layer reports unless it is meant."""
    try:
        return configured_layer()
    except InvalidChannelLayerError:
        return None


@register(Tags.async_support)
def check_channel_layer(app_configs: Apps, **kwargs: Any) -> list[CheckMessage]:
    """Require the Channels layer that is named: without it the relay does not start, and no change gets a position."""
    if conf.channel_layer is None:
        return []
    reason = ""
    try:
        if configured_layer() is not None:
            return []
    except InvalidChannelLayerError as error:
        reason = f" ({error})"
    return [
        Error(
            f"There is no Channels layer {conf.channel_layer!r}{reason}, so the relay does not start, and no event"
            " arrives.",
            hint=f'Add it to CHANNEL_LAYERS: {{"{conf.channel_layer}": {{"BACKEND":'
            ' "channels_redis.pubsub.RedisPubSubChannelLayer", "CONFIG": {"hosts": ["redis://127.0.0.1:6379"]}}},'
            ' or do without Redis: AYB_REALTIME = {"CHANNEL_LAYER": None}.',
            id="ayb_realtime.E002",
        )
    ]


@register(Tags.async_support, deploy=True)
def check_memory_layer(app_configs: Apps, **kwargs: Any) -> list[CheckMessage]:
    """Warn of a layer that does not leave its process. A check cannot know how many processes there will be."""
    if not isinstance(_layer(), InMemoryChannelLayer):
        return []
    return [
        Warning(
            f"The Channels layer {conf.channel_layer!r} is the in-memory one, which does not leave its process."
            " Processes other than the relay's find every change late, by asking the log.",
            hint="Configure channels_redis.pubsub.RedisPubSubChannelLayer, or none: AYB_REALTIME = {'CHANNEL_LAYER':"
            " None}, so that the processes LISTEN in Postgres. If `manage.py runrealtime --serve` is the"
            " only process that serves the site, add ayb_realtime.W003 to SILENCED_SYSTEM_CHECKS.",
            id="ayb_realtime.W003",
        )
    ]


@register(Tags.async_support)
def check_socket_timeout(app_configs: Apps, **kwargs: Any) -> list[CheckMessage]:
    """Warn of a socket timeout shorter than an idle receive. redis-py 8 sets one by default."""
    layer: Any = _layer()
    # Only channels_redis.core waits on the server by a command that blocks.
    waits_seconds = getattr(type(layer), "brpop_timeout", None)
    if waits_seconds is None:
        return []
    # The connection is made but not opened: redis-py works out the timeout from the host and the URL's query.
    timeouts = [layer.create_pool(index).make_connection().socket_timeout for index in range(len(layer.hosts))]
    return [
        Warning(
            f"Host {number} of the Channels layer {conf.channel_layer!r} has a socket_timeout of {seconds:g} s, but an"
            f" idle connection of channels_redis.core waits for {waits_seconds} s: it fails over and over.",
            hint='Write it as {"address": "redis://…", "socket_timeout": None}, or use'
            " channels_redis.pubsub.RedisPubSubChannelLayer.",
            id="ayb_realtime.W004",
        )
        for number, seconds in enumerate(timeouts, 1)
        if seconds is not None and seconds <= waits_seconds
    ]


@register(Tags.async_support)
def check_asgi(app_configs: Apps, **kwargs: Any) -> list[CheckMessage]:
    """Warn if the project has no ASGI application: under WSGI there are no streams."""
    if getattr(settings, "ASGI_APPLICATION", None):
        return []
    return [
        Warning(
            "ASGI_APPLICATION is not set. `runrealtime --serve` needs it, and so does a `runserver` that can stream;"
            ' under WSGI a stream is answered with 500, "streaming not supported".',
            hint='Set it, such as ASGI_APPLICATION = "mysite.asgi.application", and serve the site by ASGI.',
            id="ayb_realtime.W005",
        )
    ]


@register(Tags.async_support, deploy=True)
def check_streams_leave_django(app_configs: Apps, **kwargs: Any) -> list[CheckMessage]:
    """Warn if asgi.py does not make a ``Realtime``: each stream then costs four times the memory, and a thread."""
    path = getattr(settings, "ASGI_APPLICATION", None)
    if not path:
        return []
    import_string(path)
    if Realtime.is_used:
        return []
    return [
        Warning(
            f"{path} is not inside ayb_realtime.asgi.Realtime, so each open stream holds a thread and a request.",
            hint=f"In {path.rpartition('.')[0]}: application = Realtime(get_asgi_application())",
            id="ayb_realtime.W024",
        )
    ]


@register(Tags.async_support)
def check_connection_age(app_configs: Apps, **kwargs: Any) -> list[CheckMessage]:
    """Warn of persistent connections. Source: Django's "Databases", persistent connections, "Caveats".

    Measured: after ten clients had sent 15 requests each through uvicorn, 42 connections stayed open; with
    CONN_MAX_AGE = 0 none did.
    """
    return [
        Warning(
            f"The database {alias!r} has CONN_MAX_AGE = {database['CONN_MAX_AGE']}. Under ASGI each request runs in a"
            " thread of its own, so no other request uses its connection, which yet stays open: connections pile up,"
            " up to the server's limit.",
            hint='Set it to 0. Where connecting costs too much, have a pool: "OPTIONS": {"pool": True}.',
            id="ayb_realtime.W006",
        )
        for alias, database in connections.settings.items()
        if database["CONN_MAX_AGE"] != 0 and connections[alias].vendor != "sqlite"
    ]


@register(Tags.async_support)
def check_cross_origin_headers(app_configs: Apps, **kwargs: Any) -> list[CheckMessage]:
    """Warn if django-cors-headers keeps pages of other origins from sending what a stream is asked for with."""
    if not apps.is_installed("corsheaders"):
        return []
    # Its default has "authorization", but not "last-event-id".
    allowed = {str(name).lower() for name in getattr(settings, "CORS_ALLOW_HEADERS", ["authorization"])}
    missing = [name for name in ("authorization", "last-event-id") if name not in allowed]
    if not missing:
        return []
    return [
        Warning(
            f"CORS_ALLOW_HEADERS lacks {' and '.join(missing)}: browsers do not let pages of other origins send"
            " such a request, so a stream of theirs never comes back.",
            hint="from corsheaders.defaults import default_headers\n"
            'CORS_ALLOW_HEADERS = [*default_headers, "last-event-id"]',
            id="ayb_realtime.W029",
        )
    ]


@register(Tags.async_support, deploy=True)
def check_proxies(app_configs: Apps, **kwargs: Any) -> list[CheckMessage]:
    """Warn if nothing says how many proxies to trust: then a client's address is a guess."""
    if api_settings.NUM_PROXIES is not None:
        return []
    return [
        Warning(
            "REST_FRAMEWORK does not set NUM_PROXIES, so a client's address is the last public one in X-Forwarded-For,"
            " or the peer's. A client in a private network can choose it, and escape the limits of its address.",
            hint='REST_FRAMEWORK = {"NUM_PROXIES": 1} behind one proxy that adds to the header, as in'
            " docs/deployment.md; 0 if clients connect directly.",
            id="ayb_realtime.W048",
        )
    ]
