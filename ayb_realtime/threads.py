"""Threads for calls of Django's ORM, which share their database connections while there are calls that wait.

The view authenticates in them. What must always hold: no more connections than threads, and none once nothing waits.
"""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from threading import Lock
from typing import Any, ParamSpec, TypeVar

from django.db import connections

P = ParamSpec("P")
Result = TypeVar("Result")


class ConnectionThreads(ThreadPoolExecutor):
    """An executor whose threads close their connections when they find no more to do.

    A new connection costs more than most calls: thousands of calls that come at once make a few, and one that comes by
    itself makes its own. After a call that fails its thread's connections are closed, whatever state they are in.
    """

    def __init__(self, count: int) -> None:
        super().__init__(count, thread_name_prefix="ayb_realtime")
        self._lock = Lock()
        self._calls: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._unused = count

    def submit(self, fn: Callable[P, Result], /, *args: P.args, **kwargs: P.kwargs) -> Future[Result]:
        """Call this in one of the threads."""
        future: Future[Result] = Future()
        with self._lock:
            self._calls.append((future, partial(fn, *args, **kwargs)))
            if not self._unused:
                return future
            self._unused -= 1
        super().submit(self._work)
        return future

    def _work(self) -> None:
        """Make one call after the other, until none waits."""
        while found := self._next():
            future, call = found
            if not future.set_running_or_notify_cancel():
                continue
            try:
                result = call()
            except BaseException as error:  # noqa: BLE001 - it is raised where the result is awaited
                connections.close_all()
                future.set_exception(error)
            else:
                future.set_result(result)
        connections.close_all()

    def _next(self) -> tuple[Future[Any], Callable[[], Any]] | None:
        with self._lock:
            if self._calls:
                return self._calls.popleft()
            # From here on whoever comes starts another turn, which may have to wait for this thread.
            self._unused += 1
            return None
