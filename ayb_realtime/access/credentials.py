"""Takes tokens and tickets out of a request's query, before anything logs or reports them.

An EventSource cannot set headers, so its token is in the address, which servers write to access logs and which error
reports, Sentry and OpenTelemetry show. ``asgi.Realtime`` calls this before Django, and the views for sites without it.
What must always hold: afterwards both are in ``Credentials`` alone, and what shows that object does not show them.
"""

from collections.abc import Iterable, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from traceback import clear_frames
from typing import Any
from urllib.parse import parse_qsl

# Where in the scope, or in WSGI's environment, they are kept.
KEY = "ayb_realtime.access.credentials"
# Our paths have this in them, whatever prefix the site gives them.
PATH = "/api/realtime"
NAMES = frozenset({"token", "ticket"})
HIDDEN = "***"

Header = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Credentials:
    """What was in a request's query. "": nothing.

    parts: how they were written there, by how they are written now.
    """

    token: str = field(default="", repr=False)
    ticket: str = field(default="", repr=False)
    parts: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    def restored(self, headers: Iterable[Header]) -> list[Header]:
        """Return a redirect's headers with the client's own query, if they lead to another address of a stream."""
        return [(name, self._restore(value) if name.lower() == b"location" else value) for name, value in headers]

    def _restore(self, location: bytes) -> bytes:
        address, question, query = location.partition(b"?")
        for hidden, part in self.parts if PATH.encode() in address else ():
            query = query.replace(hidden.encode(), part.encode("latin-1"), 1)
        return address + question + query


def take(query: str) -> tuple[str, Credentials]:
    """Return a query without what is secret in it, and that. The last of several counts, as in Django."""
    kept, found, parts = [], {}, []
    for part in query.split("&"):
        pairs = parse_qsl(part, keep_blank_values=True)
        name, value = pairs[0] if pairs else ("", "")
        if name in NAMES:
            found[name] = value
        if name in NAMES and value:
            parts.append((f"{name}={HIDDEN}", part))
            kept.append(f"{name}={HIDDEN}")
        else:
            kept.append(part)
    return "&".join(kept), Credentials(**found, parts=tuple(parts))


def take_out(scope: MutableMapping[str, Any]) -> Credentials:
    """Take them out of the scope of a request to one of our paths, in place: the server logs from the same object."""
    if PATH not in scope.get("path", ""):
        return Credentials()
    query, found = take(scope["query_string"].decode("latin-1"))
    scope["query_string"] = query.encode("latin-1")
    return found


def hide_in(request: Any) -> None:
    """Take them out of a request of Django's, unless ``take_out`` has done so before Django saw it."""
    kept = getattr(request, "scope", request.META)
    if KEY not in kept:
        query, kept[KEY] = take(request.META["QUERY_STRING"])
        request.META["QUERY_STRING"] = query
        if "query_string" in kept:
            kept["query_string"] = query.encode()
        request.__dict__.pop("GET", None)  # It is cached.


def of(request: Any) -> Credentials:
    """Return what was, or still is, in a request's query."""
    given: Credentials | None = getattr(request, "scope", request.META).get(KEY)
    if given is None:
        return Credentials(request.GET.get("token", ""), request.GET.get("ticket", ""))
    return given


@contextmanager
def out_of_reports() -> Iterator[None]:
    """Clear the variables of what fails in this block, which had credentials: error reports show those of each frame.

    The traceback stays.
    """
    try:
        yield
    except Exception as error:
        forget(error)
        raise


def forget(error: BaseException | None) -> None:
    """Clear the variables of the frames that an error has left, and those of its causes."""
    while error is not None:
        clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__
