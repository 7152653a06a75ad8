"""What the writers committed and what the subscribers received, as lines of JSON in files. Pure.

Times are those of CLOCK_MONOTONIC, which all processes of a machine share.
"""

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Self

# A comment's audience is its team, written so; a post's is "all" once it is published, else its author's id.
TEAM = "team "
ALL = "all"
# Before a user's id: they may see it, and need not.
MAYBE = "maybe "

# The file of transactions, in a run's folder.
HISTORY = "transactions.jsonl"


@dataclass(frozen=True, slots=True)
class Write:
    """One statement's effect on one row.

    version: of the row, counted in the row itself, so that Postgres' row locks give the order.
    token: unique to this version; the title or body carries it.
    audience: who may see this version: ``ALL``, a user's id, or ``TEAM`` and a number.
    at: before the statement was sent.
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
    """A user was put into a team, or taken out of it."""

    team: int
    user: str
    granted: bool


@dataclass(frozen=True, slots=True)
class Transaction:
    """A transaction that committed, or of which the writer does not know it yet.

    started, finished: when COMMIT was sent, and when its answer came; infinite where none came.
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
    kind: ``connected``, ``change`` or ``reset``, or another name that the server gave; ``connecting`` where it is the
        client that comes, for the first time or back from having left by itself.
    token, version: of the record; empty for a delete, which carries the primary key alone.
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
        return json.dumps(fields[:3] if self.kind != "change" else fields) + "\n"

    @classmethod
    def from_line(cls, line: str) -> Self:
        """Read what ``to_line`` wrote."""
        return cls(*json.loads(line))


def split_text(text: Any) -> tuple[str, int]:
    """Return the token and the version in a title or body; of one that no writer wrote, the text itself and 0."""
    token, _, version = str(text).rpartition(" ")
    return (token, int(version)) if version.isdecimal() else (str(text), 0)


def read_events(lines: Iterable[str]) -> Iterator[Event]:
    """Read a stream's file; a last line without an end was cut off by the end of its process."""
    return (Event.from_line(line) for line in lines if line.endswith("\n"))
