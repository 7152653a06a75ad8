"""Which of the streams that resume get on next. Pure: it decides, the replay does the I/O.

Identities take turns, and so do the slices that the streams of one identity are at. So a client that comes back again
and again holds up no other, and neither do thousands of streams of one identity.
"""

from collections.abc import Hashable, Iterable, Mapping, Set
from typing import Generic, Protocol, TypeVar

from ayb_realtime.log.slices import slice_number

# A stream that is at most this far behind the hub joins it between two deliveries.
NEAR_CHANGES = 50


class HasPosition(Protocol):
    """A stream, of which only the position matters here."""

    position: int


Stream = TypeVar("Stream", bound=HasPosition)
Identity = TypeVar("Identity", bound=Hashable)


class Turns(Generic[Identity]):
    """Remembers at which slice each identity had its last turn."""

    def __init__(self) -> None:
        # Identity → the number of the slice of its last turn. The identity whose turn was longest ago comes first.
        self._last: dict[Identity, int] = {}

    def __len__(self) -> int:
        return len(self._last)

    def join(self, identity: Identity) -> None:
        """Let an identity take turns, after those that wait already. May be called again."""
        self._last.setdefault(identity, -1)

    def keep(self, identities: Set[Identity]) -> None:
        """Forget every identity but these."""
        self._last = {identity: last for identity, last in self._last.items() if identity in identities}

    def next_slice(self, numbers: Mapping[Identity, Set[int]]) -> int:
        """Give the identity whose last turn was longest ago its turn; return the number of the slice that it chooses.

        numbers: identity → the slices that its streams are at. It chooses the next one after that of its last turn, and
        after the last one the first. Identities that would have chosen the same slice have had a turn, too.
        """
        chosen = {
            identity: min((number for number in own if number > self._last[identity]), default=min(own))
            for identity, own in numbers.items()
        }
        choice = next(chosen[identity] for identity in self._last if identity in chosen)
        for identity, number in chosen.items():
            if number == choice:
                del self._last[identity]
                self._last[identity] = number
        return choice


def far_and_near(streams: Iterable[Stream], position: int) -> tuple[list[Stream], list[Stream]]:
    """Return the streams that are far behind the hub's position, and those that are near or there.

    Streams ahead of the hub are neither: they wait for it.
    """
    behind = [stream for stream in streams if stream.position <= position]
    far = [stream for stream in behind if stream.position < position - NEAR_CHANGES]
    near = [stream for stream in behind if stream.position >= position - NEAR_CHANGES]
    return far, near


def at_slice(streams: Iterable[Stream], number: int) -> list[Stream]:
    """Return the streams that are at this slice."""
    return [stream for stream in streams if slice_number(stream.position) == number]
