"""The open streams of all processes, for Django's admin. Each hub tells of its own when it is asked to.

What must always hold: while no one asks, this costs nothing; what is told opens, refreshes and resumes no stream; and
only what a process with this site's SECRET_KEY has told is believed.
"""

import os
import socket
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Any

from django.core import signing
from django.utils.crypto import salted_hmac

from ayb_realtime.conf import conf
from ayb_realtime.disconnecting import Name, ask
from ayb_realtime.identity import Identity
from ayb_realtime.postgres.database import own_cursor
from ayb_realtime.postgres.sql_files import statement

SALT = "ayb_realtime.open_streams"
MAX_SECONDS = 60

# What stands in the table ``disconnect`` in place of a user's model: no model's label is without a dot.
STREAM = "stream"
ALL: Name = ("streams", "")


@dataclass(frozen=True, slots=True)
class OpenStream:
    """An open stream.

    handle: names it, to end it. The id that its client knows does not follow from it.
    user: None for an anonymous one.
    role, settings: its identity.
    tables: their names, with the schema.
    has_filters: whether it is sent only some of the rows that its user may see.
    opened_at: in seconds since the epoch.
    position: everything up to it has been put into its buffer.
    is_read: whether its client has been handed everything that was.
    """

    handle: str
    user: Name | None
    role: str
    settings: tuple[tuple[str, str], ...]
    tables: Sequence[str]
    has_filters: bool
    opened_at: float
    position: int
    is_read: bool

    @property
    def identity(self) -> Identity:
        """Who it is to Postgres."""
        return Identity(self.role, self.settings)


@dataclass(frozen=True, slots=True)
class Process:
    """A process that has open streams.

    name: its host and its process id.
    count: how many streams it has. streams: of these, as many as it tells of.
    """

    name: str
    count: int
    streams: Sequence[OpenStream]


def handle(client_id: str) -> str:
    """Return what names a stream."""
    return salted_hmac(SALT, client_id, algorithm="sha256").hexdigest()[:32]


def ask_to_tell() -> None:
    """Let each process tell of its streams, within about a second. Raises django.db.Error."""
    ask(ALL)


def end(named: str) -> None:
    """End the stream with this handle, as ``disconnect`` ends those of a user. Raises django.db.Error."""
    ask((STREAM, named))


def told(count: int, streams: Sequence[OpenStream]) -> str:
    """Return what this process tells of its streams."""
    fields = [f"{socket.gethostname()}:{os.getpid()}", count, [astuple(stream) for stream in streams]]
    return signing.dumps(fields, salt=SALT, compress=True)


def processes() -> list[Process]:
    """Return what the processes have told in the last seconds. Raises django.db.Error."""
    with own_cursor(conf.database) as cursor:
        cursor.execute(statement("told_open_streams"))
        texts = [text for (text,) in cursor.fetchall()]
    found = []
    for text in texts:
        try:
            name, count, streams = signing.loads(text, salt=SALT, max_age=MAX_SECONDS)
        except signing.BadSignature:
            continue
        found.append(Process(name, count, [_read(*fields) for fields in streams]))
    return found


def _read(named: str, user: Sequence[str] | None, role: str, settings: Sequence[Any], *rest: Any) -> OpenStream:
    """Make a stream of what JSON has left of it."""
    name = (user[0], user[1]) if user else None
    return OpenStream(named, name, role, tuple((key, value) for key, value in settings), *rest)
