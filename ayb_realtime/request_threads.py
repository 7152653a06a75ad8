"""Lends threads to requests, one after another, for what of Django and its middleware is not async. ``asgi`` uses it.

By itself asgiref starts a thread for each request, and another one that waits for its end. What must always hold: a
request has one thread from its beginning to its end, and has it alone.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import Context
from typing import Any, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

from asgiref.sync import SyncToAsync, ThreadSensitiveContext

# How long a thread waits for another request.
LINGER_SECONDS = 1.0

P = ParamSpec("P")
Result = TypeVar("Result")


class _Thread(ThreadPoolExecutor):
    """One thread, which begins with the first call. returned_at: when a request last returned it."""

    def __init__(self) -> None:
        super().__init__(1, "ayb_realtime_request")
        self.returned_at = 0.0
        self._last: Future[Any] | None = None

    def submit(self, fn: Callable[P, Result], /, *args: P.args, **kwargs: P.kwargs) -> Future[Result]:
        """Call this in the thread."""
        self._last = future = super().submit(fn, *args, **kwargs)
        return future

    @property
    def is_idle(self) -> bool:
        """Whether all calls have ended."""
        return self._last is None or self._last.done()


class _Threads:
    """Those of an event loop that no request has, the one that was returned last at the end."""

    def __init__(self) -> None:
        self._idle: list[_Thread] = []
        self._dismissing = False

    def lend(self) -> _Thread:
        return self._idle.pop() if self._idle else _Thread()

    def take_back(self, thread: _Thread) -> None:
        if not thread.is_idle:  # The client has gone, and a call goes on.
            thread.shutdown(wait=False)
            return
        thread.returned_at = asyncio.get_running_loop().time()
        self._idle.append(thread)
        self._dismiss_later()

    def _dismiss_later(self) -> None:
        if self._idle and not self._dismissing:
            self._dismissing = True
            asyncio.get_running_loop().call_later(LINGER_SECONDS, self._dismiss, context=Context())

    def _dismiss(self) -> None:
        """End the threads that no request has had lately."""
        self._dismissing = False
        since = asyncio.get_running_loop().time() - LINGER_SECONDS
        while self._idle and self._idle[0].returned_at <= since:
            self._idle.pop(0).shutdown(wait=False)
        self._dismiss_later()


# Where asgiref looks for the thread of a request. If a version of it looks elsewhere, it starts its own as before.
_executors: Any = getattr(SyncToAsync, "context_to_thread_executor", {})
_threads: WeakKeyDictionary[asyncio.AbstractEventLoop, _Threads] = WeakKeyDictionary()


class OwnThread:
    """A block whose thread-sensitive calls run in a thread that is lent to it."""

    def __init__(self) -> None:
        self._threads = _threads.setdefault(asyncio.get_running_loop(), _Threads())
        self._thread = self._threads.lend()
        self._context: Any = ThreadSensitiveContext()

    async def __aenter__(self) -> None:
        # ``ThreadSensitiveContext(executor=...)`` of new versions refuses the calls of tasks that outlive the block.
        _executors[self._context] = self._thread
        await self._context.__aenter__()

    async def __aexit__(self, *_: object) -> None:
        _executors.pop(self._context, None)
        await self._context.__aexit__(None, None, None)
        self._threads.take_back(self._thread)
