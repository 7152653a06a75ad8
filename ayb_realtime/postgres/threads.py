"""Threads for calls of Django's ORM. Calls in quick succession share a thread's database connections.

The view authenticates in them. What must always hold: there are no more connections than threads, and no connection
stays open while there is nothing to do.
"""

import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from threading import Condition
from typing import Any, ParamSpec, TypeVar

from django.db import connections

# How long an idle thread waits for another call. Requests that arrive "at once" are milliseconds apart.
LINGER_SECONDS = 0.1

P = ParamSpec("P")
Result = TypeVar("Result")


class ConnectionThreads(ThreadPoolExecutor):
    """An executor whose threads close their connections when no more calls come.

    A new connection costs more than most calls. Thousands of simultaneous calls open only a few; a single call opens
    its own. After a call that raises, its thread's connections are closed, whatever state they are in.
    """

    def __init__(self, count: int) -> None:
        self._begin(count)
        if hasattr(os, "register_at_fork"):
            # A forked process, such as Channels' live server in tests, would wait for threads that it does not have.
            os.register_at_fork(after_in_child=partial(self._begin, count))

    def _begin(self, count: int) -> None:
        super().__init__(count, thread_name_prefix="ayb_realtime")
        self._calls: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._changed = Condition()
        self._unused = count
        self._lingering = 0

    def submit(self, fn: Callable[P, Result], /, *args: P.args, **kwargs: P.kwargs) -> Future[Result]:
        """Call this in one of the threads."""
        future: Future[Result] = Future()
        with self._changed:
            self._calls.append((future, partial(fn, *args, **kwargs)))
            if len(self._calls) <= self._lingering:
                self._changed.notify()
            elif self._unused:
                self._unused -= 1
                super().submit(self._work)
        return future

    def _work(self) -> None:
        """Make one call after the other, until no more come."""
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
        """Wait a little for a call; None: there is none."""
        with self._changed:
            self._lingering += 1
            self._changed.wait_for(lambda: self._calls, LINGER_SECONDS)
            self._lingering -= 1
            if self._calls:
                return self._calls.popleft()
            # A call that comes from here on starts a new turn, which may have to wait for this thread.
            self._unused += 1
            return None
