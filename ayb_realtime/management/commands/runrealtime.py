"""``manage.py runrealtime``: relay changes to the web processes; with ``--serve`` serve the site, too."""

import asyncio
import logging
import signal
from collections.abc import Callable, Coroutine
from typing import Any

import psycopg
from channels.layers import BaseChannelLayer, InMemoryChannelLayer
from django.apps import apps
from django.conf import settings
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.management import BaseCommand, CommandError, CommandParser
from django.db import connections

from ayb_realtime.asgi import Realtime
from ayb_realtime.conf import conf
from ayb_realtime.counts import NO_CLIENT, has_prometheus_client
from ayb_realtime.exceptions import RESTORE_LOG, CannotListen, NotificationsUnheard
from ayb_realtime.management.status_line import CLEAR, StatusLine
from ayb_realtime.postgres import database
from ayb_realtime.relay import leadership
from ayb_realtime.relay.outlets import configured_layer
from ayb_realtime.relay.relay import Relay

NO_LAYER = """There is no Channels layer {alias!r}, so the relay cannot reach the web processes. Add to the settings:

    CHANNEL_LAYERS = {{
        "{alias}": {{
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {{"hosts": ["redis://127.0.0.1:6379"]}},
        }}
    }}

Or do without Redis: AYB_REALTIME = {{"CHANNEL_LAYER": None}}. The web processes then LISTEN in Postgres."""

IN_MEMORY = """The Channels layer {alias!r} is the in-memory one, which does not leave this process: web processes would
hear nothing from this relay, and find every change late, in the log. Either configure a Redis layer
(pip install django-ayb-realtime[redis]), or none: AYB_REALTIME = {{"CHANNEL_LAYER": None}}, or serve the site from this
process too: runrealtime --serve 127.0.0.1:8000"""


class Command(BaseCommand):
    """Relay until SIGTERM or SIGINT."""

    help = "Relay the changes of streamed tables to the web processes. Run one, or more: one leads, others stand by."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the command's own arguments."""
        parser.add_argument(
            "--serve",
            metavar="[HOST:]PORT",
            help="serve the site (ASGI_APPLICATION) from this process too, with Daphne",
        )
        parser.add_argument(
            "--database",
            help="alias in DATABASES of a direct connection, if the usual one uses a pooler in transaction mode",
        )
        parser.add_argument(
            "--check",
            action="store_true",
            help="say in one line how the relay is doing, and fail if none numbers: for a container's health check",
        )
        parser.add_argument(
            "--metrics",
            metavar="[HOST:]PORT",
            help="answer Prometheus at this address, to anyone who reaches it; needs django-ayb-realtime[metrics]",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Check the layer, then relay."""
        _log_to_console()
        alias = _postgres_alias(options["database"] or conf.relay_database)
        try:
            if options["check"]:
                self.stdout.write(asyncio.run(_check(alias)))
                return
            if options["metrics"]:
                _serve_metrics(options["metrics"], alias)
            relay = Relay(self._layer(serves=bool(options["serve"])), lambda: database.connect(alias, is_patient=True))
            status_line = StatusLine(self.stdout, relay, alias, serves=bool(options["serve"]))
            run = status_line.run_relay if self.stdout.isatty() else relay.run
            if options["serve"]:
                self._serve(options["serve"], run)
            else:
                asyncio.run(_until_signalled(run()))
        except (psycopg.errors.InvalidSchemaName, psycopg.errors.UndefinedTable) as error:
            raise CommandError(
                f"{error.diag.message_primary}. First run: manage.py migrate. If it has nothing to apply: {RESTORE_LOG}"
            ) from error
        except psycopg.errors.InsufficientPrivilege as error:
            raise CommandError(
                f"{error.diag.message_primary}. Grant the relay's login what it needs: manage.py realtime_roles"
            ) from error
        except (psycopg.Error, NotificationsUnheard) as error:
            raise CommandError(str(error)) from error
        except OSError as error:  # TimeoutError, which has no text, is one.
            raise CommandError(f"The relay has failed: {str(error) or type(error).__name__}") from error

    def _layer(self, *, serves: bool) -> BaseChannelLayer | None:
        layer, alias = configured_layer(), conf.channel_layer
        if layer is None and alias is not None:
            raise CommandError(NO_LAYER.format(alias=alias))
        if isinstance(layer, InMemoryChannelLayer) and not serves:
            raise CommandError(IN_MEMORY.format(alias=alias))
        return layer

    def _serve(self, address: str, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
        # Twisted installs its reactor on import, which is for this mode alone.
        from daphne.management.commands.runserver import get_default_application

        from ayb_realtime.server import serve

        host, port = _host_and_port("--serve", address)
        application = get_default_application()
        if settings.DEBUG and apps.is_installed("django.contrib.staticfiles"):
            application = ASGIStaticFilesHandler(application)
        try:
            serve(Realtime(application), host, port, run(), self._announce)
        except CannotListen as error:
            raise CommandError(
                f"Cannot serve on {host}:{port}: {error}. Choose another port: --serve {host}:PORT"
            ) from error

    def _announce(self, url: str) -> None:
        self.stdout.write(f"{CLEAR if self.stdout.isatty() else ''}Serving on {url} (Ctrl-C stops it)")
        self.stdout.flush()


def _log_to_console() -> None:
    """Log to the console if the project has not configured logging; Django shows only warnings by default."""
    logger = logging.getLogger("ayb_realtime")
    if not logger.hasHandlers():
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)


def _postgres_alias(alias: str) -> str:
    if alias not in connections:
        raise CommandError(f"DATABASES has no {alias!r}. It has: {', '.join(connections)}.")
    if connections[alias].vendor != "postgresql":
        raise CommandError(f"The database {alias!r} is {connections[alias].vendor}; the relay needs PostgreSQL.")
    return alias


def _host_and_port(option: str, address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    if not port.isdecimal() or int(port) > 65535:
        raise CommandError(f"{option} takes [HOST:]PORT, such as 127.0.0.1:8000, not {address!r}")
    return host.strip("[]") or "127.0.0.1", int(port)


def _serve_metrics(address: str, alias: str) -> None:
    host, port = _host_and_port("--metrics", address)
    if not has_prometheus_client():
        raise CommandError(NO_CLIENT)
    from ayb_realtime import metrics

    try:
        metrics.serve(host, port, alias)
    except OSError as error:
        raise CommandError(
            f"Cannot serve the metrics on {host}:{port}: {error}. Choose another port: --metrics {host}:PORT"
        ) from error


async def _check(alias: str) -> str:
    async with await database.connect(alias) as connection:
        status, trouble = await leadership.trouble(connection)
    log = f"position {status.head}, {status.waiting} changes wait to be numbered"
    if trouble:
        raise CommandError(f"{trouble}. The log: {log}")
    return f"A relay leads, seen {status.unseen_seconds:.1f} s ago by Postgres as process {status.leader}: {log}"


async def _until_signalled(work: Coroutine[Any, Any, None]) -> None:
    task = asyncio.ensure_future(work)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        return
