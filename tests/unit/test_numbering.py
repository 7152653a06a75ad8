"""How long the numbering pauses, and when it falls asleep. Time and the log are made up."""

import asyncio
from itertools import repeat
from unittest.mock import AsyncMock, Mock

import pytest

from ayb_realtime.log.changes import Announcement
from ayb_realtime.relay import numbering
from ayb_realtime.relay.numbering import QUIET_LOOKS, Numbering


class Log:
    """A log that answers each look with so many new changes, after so many seconds. During each look a writer notifies.

    past: whether the writers that may not know that the relay sleeps have ended, question by question; then they have.
    pauses: in seconds, each that nothing can end early.
    """

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        found: list[int],
        look_seconds: float = 0.001,
        past: tuple[bool, ...] = (),
    ) -> None:
        self.pauses: list[float] = []
        self.stay_awake, self.fall_asleep = AsyncMock(), AsyncMock(return_value=1)
        self.is_past = AsyncMock(side_effect=[*past, *repeat(True, 100)])
        self._now = 0.0
        self._head = 0
        self._found = found
        self._look_seconds = look_seconds
        monkeypatch.setattr(numbering, "queries", self)
        monkeypatch.setattr(numbering, "monotonic", lambda: self._now)
        monkeypatch.setattr(asyncio, "sleep", self._sleep)

    async def next_batch(self, writer: Mock) -> Announcement | None:
        self._now += self._look_seconds
        if not self._found:
            raise EndOfTestError
        writer.notify()
        found = self._found.pop(0)
        self._head += found
        return Announcement(self._head) if found else None

    async def _sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self._now += seconds

    async def number(self) -> None:
        """Number until nothing is left of the log."""
        relay = Numbering(Mock(), 0)
        with pytest.raises(EndOfTestError):
            await relay.run(Mock(notify=relay.wake.set))


class EndOfTestError(Exception):
    """The log has nothing more to say."""


# The first look ends the start, the second is asleep, and the third, after another notification, wakes the relay.
AWOKEN = [0, 1, 1]


@pytest.mark.parametrize(("look_seconds", "pause_seconds"), [(0.0005, 0.002), (0.003, 0.012), (0.1, 0.02)])
async def test_awake_relay_pauses_in_proportion_to_a_look(
    monkeypatch: pytest.MonkeyPatch, look_seconds: float, pause_seconds: float
) -> None:
    log = Log(monkeypatch, [*AWOKEN, 9, 9], look_seconds)
    await log.number()
    assert log.pauses == pytest.approx([pause_seconds] * 2)


async def test_relay_stays_awake_while_looks_find_several_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    awake = [5, 1, 0, 1, 2, *[0, 1, 0, 1, 0, 1][:QUIET_LOOKS]]
    log = Log(monkeypatch, [*AWOKEN, *awake])
    await log.number()
    assert len(log.pauses) == len(awake)
    assert log.fall_asleep.await_count == 2


async def test_relay_that_falls_asleep_looks_at_once_when_notified(monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log(monkeypatch, [0, 1, 1, 0], past=(False, False, False))
    await log.number()
    assert log.pauses == []
    assert log.is_past.await_count == 4
