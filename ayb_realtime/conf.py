"""The ``AYB_REALTIME`` settings, read at access time, so that ``override_settings`` works."""

from collections.abc import Callable
from typing import Any, ClassVar

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import connections

from ayb_realtime.limit_settings import DEFAULT_LIMITS, imported, place, positive, read_limits, token


class Conf:
    """The dictionary ``settings.AYB_REALTIME``, typed. Raises ImproperlyConfigured for what cannot be used."""

    defaults: ClassVar[dict[str, Any]] = {
        "DATABASE": "default",
        "HUB_DATABASE": None,
        "RELAY_DATABASE": None,
        "CHANNEL_LAYER": "default",
        "ANONYMOUS": False,
        "AUTHENTICATED_ROLE": "ayb_authenticated",
        "ANONYMOUS_ROLE": "ayb_anonymous",
        "AUTHENTICATION_CLASSES": (
            "rest_framework_simplejwt.authentication.JWTAuthentication",
            "rest_framework.authentication.SessionAuthentication",
        ),
        "RELAY_IN_PROCESS": None,
        "IDENTITY": "ayb_realtime.identity.default_identity",
        "HEARTBEAT_SECONDS": 15.0,
        "RETRY_MILLISECONDS": 2000,
        "BUFFER_BYTES": 1024 * 1024,
        "LIMITS": DEFAULT_LIMITS,
        "CHECK_TIMEOUT_SECONDS": 2.0,
        "POOL_SIZE": 4,
        "RECHECK_SECONDS": 30.0,
        "KEEP_HOURS": 24.0,
        "DELETE_VISIBILITY": "everyone",
        "INEXACT_DELETES": "withhold",
        "METRICS_TOKEN": "",
        "TRACING": False,
    }

    def _read(self, name: str) -> Any:
        given = getattr(settings, "AYB_REALTIME", {})
        if unknown := sorted(given.keys() - self.defaults.keys()):
            raise ImproperlyConfigured(
                f"AYB_REALTIME has no setting {', '.join(unknown)}. It has: {', '.join(sorted(self.defaults))}."
            )
        return given.get(name, self.defaults[name])

    def _choose(self, name: str, *values: str) -> str:
        if (given := self._read(name)) not in values:
            allowed = " or ".join(map(repr, values))
            raise ImproperlyConfigured(f"AYB_REALTIME[{name!r}] is {given!r}; it has to be {allowed}.")
        return str(given)

    def _role(self, name: str) -> str:
        given = self._read(name)
        if not isinstance(given, str) or "\0" in given or not 0 < len(given.encode("utf-8", "replace")) <= 63:
            raise ImproperlyConfigured(f"AYB_REALTIME[{name!r}] is {given!r}; it has to be the name of a role.")
        return given

    def _positive(self, name: str) -> float:
        return positive(f"AYB_REALTIME[{name!r}]", self._read(name))

    @property
    def database(self) -> str:
        """Alias in ``DATABASES`` of the Postgres whose tables are streamed."""
        return str(self._read("DATABASE"))

    @property
    def hub_database(self) -> str:
        """Alias where the hub reads the log and checks rows: ``database``, the same by another login, or a standby."""
        return str(self._read("HUB_DATABASE") or self.database)

    @property
    def relay_database(self) -> str:
        """Alias in ``DATABASES`` by which the relay reaches ``database``: the same, or another login's."""
        return str(self._read("RELAY_DATABASE") or self.database)

    def hub_primary(self) -> str:
        """Alias by which the hub reaches the server where changes are written: its own, unless that is a standby."""
        return self.database if self.hub_reads_standby() else self.hub_database

    def hub_reads_standby(self) -> bool:
        """Whether the hub reads on another server than the one that is written to, and not just by another login."""
        hub, own = (connections.settings.get(alias, {}) for alias in (self.hub_database, self.database))
        return self.hub_database != self.database and (hub.get("USER") == own.get("USER") or place(hub) != place(own))

    @property
    def channel_layer(self) -> str | None:
        """Alias in ``CHANNEL_LAYERS`` of the layer between the relay and the web processes; None: NOTIFY and LISTEN."""
        given = self._read("CHANNEL_LAYER")
        return None if given is None else str(given)

    @property
    def anonymous(self) -> bool:
        """Whether a request without a token may stream, as the role ``ANONYMOUS_ROLE``."""
        return bool(self._read("ANONYMOUS"))

    @property
    def authenticated_role(self) -> str:
        """The role under which the rows of users are read. Roles are known to all databases of a server."""
        return self._role("AUTHENTICATED_ROLE")

    @property
    def anonymous_role(self) -> str:
        """The role under which rows are read for requests without credentials."""
        return self._role("ANONYMOUS_ROLE")

    @property
    def relay_in_process(self) -> bool:
        """Whether each web process runs a relay, which stands by if another leads; None: while ``DEBUG`` is on."""
        given = self._read("RELAY_IN_PROCESS")
        return settings.DEBUG if given is None else bool(given)

    @property
    def authentication_classes(self) -> list[Callable[[], Any]]:
        """Django REST framework's classes that authenticate a request, in this order, as classes or dotted paths."""
        return [imported("AUTHENTICATION_CLASSES", given) for given in self._read("AUTHENTICATION_CLASSES")]

    @property
    def identity(self) -> Callable[..., Any]:
        """Maps a user to an identity: ``(user, claims) -> Identity``, given as a callable or by its dotted path."""
        return imported("IDENTITY", self._read("IDENTITY"))

    @property
    def heartbeat_seconds(self) -> float:
        """How long a stream may be silent before it sends a comment, which keeps proxies from closing it."""
        return self._positive("HEARTBEAT_SECONDS")

    @property
    def retry_milliseconds(self) -> int:
        """How long a browser waits before it reconnects."""
        return int(self._positive("RETRY_MILLISECONDS"))

    @property
    def buffer_bytes(self) -> int:
        """How much may wait for a slow reader. Beyond that the stream ends, and the client resumes."""
        return int(self._positive("BUFFER_BYTES"))

    @property
    def limits(self) -> dict[str, float]:
        """How much clients may ask for, by the names that docs/deployment.md explains; given as None: infinity.

        A setting of the site names only what differs from the defaults.
        """
        return read_limits(self._read("LIMITS"))

    @property
    def check_timeout_seconds(self) -> float:
        """How long a check may take: who sees the rows of one table in a slice of changes."""
        return self._positive("CHECK_TIMEOUT_SECONDS")

    @property
    def pool_size(self) -> int:
        """How many database connections a web process has for its streams, besides those that only deliver."""
        return int(self._positive("POOL_SIZE"))

    @property
    def recheck_seconds(self) -> float | None:
        """How often the hub asks whether the users and sessions of its streams still may stream; None: never."""
        return self._positive("RECHECK_SECONDS") if self._read("RECHECK_SECONDS") else None

    @property
    def keep_hours(self) -> float:
        """How long the log keeps a change (at least seven eighths of it), and so how late a client can resume."""
        return self._positive("KEEP_HOURS")

    @property
    def delete_visibility(self) -> str:
        """Who receives deletes: ``"everyone"`` who may SELECT, or with ``"policy"`` whom policies show the old row."""
        return self._choose("DELETE_VISIBILITY", "everyone", "policy")

    @property
    def inexact_deletes(self) -> str:
        """With ``"policy"``, who receives a delete if it is not known who saw the row: none, or ``"everyone"``."""
        return self._choose("INEXACT_DELETES", "withhold", "everyone")

    @property
    def metrics_token(self) -> str:
        """What a scraper has to send as a bearer token to be shown the metrics; empty: there are none to be seen."""
        return token("METRICS_TOKEN", self._read("METRICS_TOKEN"))

    @property
    def tracing(self) -> bool:
        """Whether the relay and the hubs record spans of OpenTelemetry, as docs/monitoring.md lists them."""
        return bool(self._read("TRACING"))


conf = Conf()
