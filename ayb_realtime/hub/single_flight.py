"""One call for all callers that wait at the same time. Pure."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from ayb_realtime.rests import Rest

Answer = TypeVar("Answer")


class SingleFlight(Generic[Answer]):
    """Makes one call for all callers that wait, so that thousands of simultaneous callers cost one or two queries.

    A caller never gets the result of a call that began before the caller asked: it may be out of date.

    ask: makes the call.
    """

    def __init__(self, ask: Callable[[], Awaitable[Answer]]) -> None:
        self._ask = ask
        self._lock = asyncio.Lock()
        self._next: asyncio.Task[Answer] | None = None
        self._rest = Rest()

    async def get(self) -> Answer:
        """Return the result of a call that begins from now on. Raises what ``ask`` raises."""
        if self._next is None:
            self._next = asyncio.create_task(self._answer())
        # A caller that is cancelled must not cancel the call for the others.
        return await asyncio.shield(self._next)

    async def _answer(self) -> Answer:
        async with self._lock:
            if (pause := self._rest.seconds_left) > 0:
                await asyncio.sleep(pause)
            self._next = None
            with self._rest.after():
                return await self._ask()
