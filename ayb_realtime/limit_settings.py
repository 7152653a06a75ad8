"""The setting ``LIMITS``: its defaults, and what may be in it and in others. ``conf`` reads it, ``limits`` counts."""

import math
from collections.abc import Callable
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

# docs/deployment.md says what each of them counts.
DEFAULT_LIMITS = {
    "streams": 20_000,
    "user_streams": 100,
    "user_opens_per_second": 10,
    "user_filter_values": 5_000,
    "address_streams": 1_000,
    "address_opens_per_second": 100,
    "tables": 100,
    "query_bytes": 16 * 1024,
    "header_bytes": 16 * 1024,
    "body_bytes": 10 * 1024 * 1024,
    "waiting_bytes": 256 * 1024 * 1024,
}


# What was given last, and what it means: each request asks for its limits a dozen times.
_last: tuple[Any, dict[str, float]] = (None, {})


def read_limits(given: Any) -> dict[str, float]:
    """Return all limits, those that a site does not give by their defaults; given as None: infinity.

    Raises ImproperlyConfigured.
    """
    global _last
    before, limits = _last
    if given != before or before is None:
        limits = _read(given)
        _last = dict(given), limits
    return limits


def _read(given: Any) -> dict[str, float]:
    if not isinstance(given, dict):
        raise ImproperlyConfigured(f"AYB_REALTIME['LIMITS'] is {given!r}; it has to be a dictionary.")
    if unknown := sorted(map(str, given.keys() - DEFAULT_LIMITS.keys())):
        raise ImproperlyConfigured(
            f"AYB_REALTIME['LIMITS'] has no limit {', '.join(unknown)}. It has: {', '.join(DEFAULT_LIMITS)}."
        )
    return {
        name: math.inf if most is None else positive(f"AYB_REALTIME['LIMITS'][{name!r}]", most)
        for name, most in {**DEFAULT_LIMITS, **given}.items()
    }


def positive(name: str, given: Any) -> float:
    """Return a number above 0. Raises ImproperlyConfigured, which says what is wrong with the setting of this name."""
    try:
        number = float(given)
    except (TypeError, ValueError):
        number = 0.0
    if not 0 < number < math.inf:
        raise ImproperlyConfigured(f"{name} is {given!r}; it has to be a number above 0.")
    return number


def token(name: str, given: Any) -> str:
    """Return a secret, or "" for none. Raises ImproperlyConfigured if it could be guessed."""
    if not isinstance(given, str) or 0 < len(given) < 16:
        raise ImproperlyConfigured(f"AYB_REALTIME[{name!r}] has to be empty, or a str of 16 characters or more.")
    return given


def imported(name: str, given: Any) -> Callable[..., Any]:
    """Return what can be called, given as itself or by its dotted path. Raises ImproperlyConfigured."""
    try:
        found = import_string(given) if isinstance(given, str) else given
    except ImportError as error:
        raise ImproperlyConfigured(f"AYB_REALTIME[{name!r}] is {given!r}, and cannot be imported: {error}.") from error
    if not callable(found):
        raise ImproperlyConfigured(f"AYB_REALTIME[{name!r}] is {given!r}, and cannot be called.")
    return found  # type: ignore[no-any-return]


def place(given: dict[str, Any]) -> tuple[Any, ...]:
    """Return where a database is, as the settings say."""
    return *map(given.get, ("HOST", "PORT", "NAME")), given.get("OPTIONS", {}).get("service")
