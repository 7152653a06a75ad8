"""Reads a stream, as a browser does, into values of Python. Pure. ``change_stream`` uses it."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any, Literal, cast

from ayb_realtime.wire import records, sse


@dataclass(frozen=True)
class Change:
    """What happened to a row, as the identity may see it.

    text: the row as JSON text, as a browser gets it: the columns that the identity may read; of a delete, its key.
    position: after which to go on: ``changes(…, after=position)``.
    """

    action: Literal["create", "update", "delete"]
    table: str
    text: str
    position: int

    @cached_property
    def record(self) -> dict[str, Any]:
        """The row as Python has it: numbers with a fraction are Decimal; times and UUIDs are text."""
        return cast(dict[str, Any], json.loads(self.text, parse_float=Decimal))


@dataclass(frozen=True)
class Reset:
    """What the caller knows of these tables may be out of date: read them again. Changes go on after ``position``.

    reason: in the words of docs/protocol.md.
    position: 0 where a snapshot of these tables follows.
    """

    reason: str
    tables: tuple[str, ...]
    position: int


@dataclass(frozen=True)
class Snapshot:
    """Some rows of a table as they are now, which the identity may see and its filter matches.

    text: the rows as a JSON array, in the key's order; [] if there are none.
    position: 0: no position is told before ``Ready``.
    """

    table: str
    text: str
    position: int = 0

    @cached_property
    def records(self) -> list[dict[str, Any]]:
        """The rows as Python has them, as ``Change.record`` is."""
        return cast(list[dict[str, Any]], json.loads(self.text, parse_float=Decimal))


@dataclass(frozen=True)
class Ready:
    """All rows of all tables have been given; what follows are the changes after ``position``."""

    position: int


Value = Change | Reset | Snapshot | Ready


class Reader:
    """Takes the pieces of a stream, and returns the values that are whole.

    position: the newest that the stream has named.
    retry_seconds: how long it has said to wait before another one is opened.
    has_expired: whether it has said that its credentials no longer hold.
    """

    def __init__(self) -> None:
        self.position = 0
        self.retry_seconds = 0.0
        self.has_expired = False
        self._pieces: list[bytes] = []

    def take(self, piece: bytes) -> Iterator[Value]:
        """Yield what the events say that end in this piece: large ones are cut, so a piece may be a part of one."""
        self._pieces.append(piece)
        if b"\n\n" not in piece and not piece.startswith(b"\n"):
            return
        *events, rest = b"".join(self._pieces).split(b"\n\n")
        self._pieces = [rest]
        for fields in map(sse.decode, events):
            self.position = int(fields.get("id", self.position))
            self.has_expired |= fields.get("event") == "expired"
            if "retry" in fields:
                self.retry_seconds = int(fields["retry"]) / 1000
            if value := _value(fields, self.position):
                yield value


def _value(fields: Mapping[str, str], position: int) -> Value | None:
    """Return what an event says; None for those that say nothing about a row or a table."""
    match fields:
        case {"event": "reset", "data": data}:
            said = json.loads(data)
            return Reset(said["reason"], tuple(said["tables"]), position)
        case {"event": "snapshot", "data": data}:
            parts = records.split(data)
            return Snapshot(json.loads(parts["table"]), parts["records"], position)
        case {"event": "ready"}:
            return Ready(position)
        case {"data": data} if "event" not in fields:
            # Not parsed: a json column may be nested deeper than a parser can go.
            parts = records.split(data)
            return Change(json.loads(parts["action"]), json.loads(parts["table"]), parts["record"], position)
    return None
