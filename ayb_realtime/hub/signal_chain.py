"""A word in time before the server handles SIGTERM or SIGINT.

ASGI servers wait for open streams before they stop, and tell nobody that they wait: the protocol has no message for it.
The hub's maker calls it. The server's own handler is always called, and where there is none, nothing is installed.
"""

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class SignalChain:
    """Calls ``first`` on a signal, and then whoever handled that signal before, from ``install`` to ``restore``.

    first: it is called in the main thread, in the middle of anything.
    """

    def __init__(self, first: Callable[[], object]) -> None:
        self._first = first
        self._installed = self._handle
        self._next: dict[int, Callable[[int, FrameType | None], Any]] = {}

    def install(self) -> None:
        """Go before every handler that there is. Outside the main thread, which handles no signals, do nothing.

        Handlers of an event loop (``add_signal_handler``) go on as well: the loop hears of a signal through a file
        descriptor, and has only a handler that does nothing in the place that is taken here.
        """
        if threading.current_thread() is not threading.main_thread():
            return
        for number in SIGNALS:
            handler = signal.getsignal(number)
            # Python's own, which raises KeyboardInterrupt, is nobody's.
            if callable(handler) and handler is not signal.default_int_handler:
                self._next[number] = handler
                signal.signal(number, self._installed)

    def restore(self) -> None:
        """Give every handler its place back, unless somebody else has taken it since."""
        for number, handler in self._next.items():
            if signal.getsignal(number) is self._installed:
                signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._first()
        self._next[number](number, frame)
