"""Calls the hub when a server begins to stop, also where no signal says so, as after ``--limit-max-requests``.

A server that recycles its process closes its sockets and waits for the open responses. Meanwhile nothing is served. Of
the servers that users run, uvicorn (also under gunicorn) and gunicorn's own worker stop in a method that can be heard.
"""

import sys
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any

# Where servers wait for open responses: module, class, method. Only those that the process uses are imported.
STOPS = (("uvicorn.server", "Server", "shutdown"), ("gunicorn.workers.gasgi", "ASGIWorker", "_shutdown"))


def hear(first: Callable[[], object]) -> None:
    """Call this in the server's event loop before the server waits. Only the first call in a process has an effect."""
    for module, name, method in STOPS:
        server = getattr(sys.modules.get(module), name, None)
        stop = getattr(server, method, None)
        if stop is not None and not hasattr(stop, "__wrapped__"):
            setattr(server, method, _preceded(first, stop))


def _preceded(first: Callable[[], object], stop: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    @wraps(stop)
    async def preceded(*arguments: Any, **named: Any) -> Any:
        first()
        return await stop(*arguments, **named)

    return preceded
