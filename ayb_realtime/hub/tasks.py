"""The hub's tasks. A failure of one is logged and ends every stream; ``stop`` ends them all."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

logger = logging.getLogger(__package__)

# How long a task may take to end once it is cancelled.
CANCEL_SECONDS = 1.0

Result = TypeVar("Result")


class Tasks:
    """Keeps tasks, from ``spawn`` until they end or ``stop`` is called.

    on_failure: called when a task has failed.
    has_failed: whether a task has failed.
    """

    def __init__(self, on_failure: Callable[[], object]) -> None:
        self.has_failed = False
        self._on_failure = on_failure
        self._tasks: set[asyncio.Task[Any]] = set()

    def spawn(self, work: Coroutine[Any, Any, Result]) -> asyncio.Task[Result]:
        """Run a coroutine as a task, and return the task."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    async def stop(self) -> None:
        """Cancel every task, and wait until all have ended.

        A cancelled layer may first wait for a Redis that does not answer. So tasks are cancelled again until they end.
        """
        while tasks := list(self._tasks):
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=CANCEL_SECONDS)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            name = getattr(task.get_coro(), "__qualname__", "?")
            logger.error(
                "the hub's task %s has failed; every stream ends",
                name,
                exc_info=task.exception(),
                extra={"event_name": "hub_fails"},
            )
            self.has_failed = True
            self._on_failure()
