"""One answer for all who ask at the same time. Pure."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

Answer = TypeVar("Answer")


class SingleFlight(Generic[Answer]):
    """Asks a question once for everybody who is waiting, so that thousands who come at once cost one query, or two.

    Nobody gets an answer to a question that was put before they came: it may be of yesterday.

    ask: puts the question.
    """

    def __init__(self, ask: Callable[[], Awaitable[Answer]]) -> None:
        self._ask = ask
        self._turn = asyncio.Lock()
        self._next: asyncio.Task[Answer] | None = None

    async def get(self) -> Answer:
        """Return the answer to a question that is put from now on. Raises what ``ask`` raises."""
        if self._next is None:
            self._next = asyncio.create_task(self._answer())
        # Whoever goes away does not take the answer from the others.
        return await asyncio.shield(self._next)

    async def _answer(self) -> Answer:
        async with self._turn:
            self._next = None
            return await self._ask()
