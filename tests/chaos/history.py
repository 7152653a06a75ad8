"""What the writers committed and what the subscribers received, as lines of JSON in files. Pure.

Times are those of CLOCK_MONOTONIC, which all processes of a machine share.
"""

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Self

# The audience of a comment is its team, in this form; that of a post is "all" once published, before that its author.
TEAM = "team "
ALL = "all"
# Before a user's id: that user may see it, but need not.
MAYBE = "maybe "

# The file of transactions, in a run's folder.
HISTORY = "transactions.jsonl"


@dataclass(frozen=True, slots=True)
class Write:
    """One statement's effect on one row.

    version: of the row. The row itself counts it, so that Postgres' row locks decide the order.
    token: unique to this version; the title or body carries it.
    audience: who may see this version: ``ALL``, a user's id, or ``TEAM`` and a number.
    at: just before the statement was sent.
    """

    table: str
    pk: int
    version: int
    action: str
    token: str
    audience: str
    at: float


@dataclass(frozen=True, slots=True)
class Membership:
    """That a user was added to a team or removed from it."""

    team: int
    user: str
    granted: bool


@dataclass(frozen=True, slots=True)
class Transaction:
    """A transaction that committed, or whose outcome the writer does not know.

    started, finished: when COMMIT was sent, and when its answer came; infinite if none came.
    """

    name: str
    started: float
    finished: float
    writes: tuple[Write, ...] = ()
    memberships: tuple[Membership, ...] = ()

    def to_line(self) -> str:
        """Write it as a line of JSON."""
        finished = None if math.isinf(self.finished) else self.finished
        writes = [(w.table, w.pk, w.version, w.action, w.token, w.audience, w.at) for w in self.writes]
        memberships = [(m.team, m.user, m.granted) for m in self.memberships]
        return json.dumps([self.name, self.started, finished, writes, memberships]) + "\n"

    @classmethod
    def from_line(cls, line: str) -> Self:
        """Read what ``to_line`` wrote."""
        name, started, finished, writes, memberships = json.loads(line)
        return cls(
            name,
            started,
            math.inf if finished is None else finished,
            tuple(Write(*fields) for fields in writes),
            tuple(Membership(*fields) for fields in memberships),
        )


@dataclass(frozen=True, slots=True)
class Event:
    """One event that a stream received.

    at: when it arrived.
    kind: ``connected``, ``change``, ``reset`` or another event name of the server's; ``connecting``: the client
        connects, for the first time or after it had left by itself; ``reload``: it drops what it has; ``row``: one of a
        snapshot.
    token, version: of the record; empty for a delete, which carries only the primary key.
    """

    at: float
    id: int
    kind: str
    action: str = ""
    table: str = ""
    pk: int = 0
    token: str = ""
    version: int = 0

    def to_line(self) -> str:
        """Write it as a line of JSON."""
        fields = [self.at, self.id, self.kind, self.action, self.table, self.pk, self.token, self.version]
        return json.dumps(fields[:3] if self.kind not in ("change", "row") else fields) + "\n"

    @classmethod
    def from_line(cls, line: str) -> Self:
        """Read what ``to_line`` wrote."""
        return cls(*json.loads(line))


def split_text(text: Any) -> tuple[str, int]:
    """Return the token and the version in a title or body; for text that no writer wrote, the text itself and 0."""
    token, _, version = str(text).rpartition(" ")
    return (token, int(version)) if version.isdecimal() else (str(text), 0)


def read_events(lines: Iterable[str]) -> Iterator[Event]:
    """Read a stream's file. An incomplete last line, which the end of its process cut off, is ignored."""
    return (Event.from_line(line) for line in lines if line.endswith("\n"))
