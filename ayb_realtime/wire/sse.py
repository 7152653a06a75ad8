"""Server-sent events as bytes. Pure. Source: WHATWG HTML, "Server-sent events", event stream format."""

import re
from functools import lru_cache

from ayb_realtime.exceptions import InvalidField

_line_end = re.compile(r"\r\n|\r|\n")
# Only at the start of a line: lines of data start with "data:".
_id = re.compile(rb"^id: .*\n", re.MULTILINE)
_forbidden = re.compile(r"[\r\n\0]")


def encode(data: str, *, event: str = "", id: str = "") -> bytes:  # noqa: A002 - the field's name
    """Encode one server-sent event.

    data: any text; CR, LF and CRLF each start a new ``data:`` line.
    Returns UTF-8 bytes that end in one blank line.
    Raises InvalidField if ``event`` or ``id`` holds CR, LF or NUL.
    """
    lines = []
    for name, value in (("id", id), ("event", event)):
        if _forbidden.search(value):
            raise InvalidField(f"the field {name!r} of a server-sent event may not hold CR, LF or NUL")
        if value:
            lines.append(f"{name}: {value}\n")
    # Most data is one line: to look for its end costs less than to split there.
    split = _line_end.split(data) if "\n" in data or "\r" in data else [data]
    lines += [f"data: {line}\n" for line in split]
    return "".join([*lines, "\n"]).encode()


def decode(event: bytes) -> dict[str, str]:
    """Return the fields of one of the events that are written here, less the blank line that ends it."""
    fields: dict[str, str] = {}
    for line in event.decode().split("\n"):
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        fields[name] = f"{fields[name]}\n{value}" if name == "data" and name in fields else value
    return fields


@lru_cache(maxsize=4)
def heartbeat(position: int | None) -> bytes:
    """Encode a comment and the position, without an event, so that a client that resumes starts from here."""
    return b": heartbeat\n\n" if position is None else f": heartbeat\nid: {position}\n\n".encode()


def without_ids(events: bytes) -> bytes:
    """Return the same events without their ids. After them the client still has the id that it had before."""
    return _id.sub(b"", events)


def retry(milliseconds: int) -> bytes:
    """Tell the client how long to wait before it reconnects."""
    return f"retry: {milliseconds}\n".encode()
