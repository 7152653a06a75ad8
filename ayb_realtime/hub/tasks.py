"""The hub's tasks: none ends unnoticed, and all end together."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

logger = logging.getLogger(__package__)

# How long a task may take to end once it is cancelled.
CANCEL_SECONDS = 1.0

Result = TypeVar("Result")


class Tasks:
    """Runs coroutines as tasks, until ``stop``.

    on_failure: called when one has failed.
    has_failed: whether one has.
    """

    def __init__(self, on_failure: Callable[[], object]) -> None:
        self.has_failed = False
        self._on_failure = on_failure
        self._tasks: set[asyncio.Task[Any]] = set()

    def spawn(self, work: Coroutine[Any, Any, Result]) -> asyncio.Task[Result]:
        """Run this as a task, and return that."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    async def stop(self) -> None:
        """Cancel every task, and wait for it.

        A layer may answer a cancellation with a question to a Redis that does not answer: so it is cancelled again.
        """
        while tasks := list(self._tasks):
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=CANCEL_SECONDS)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            logger.error("a part of the hub has failed; every stream ends", exc_info=task.exception())
            self.has_failed = True
            self._on_failure()
