"""Calls the hub on SIGTERM or SIGINT, before the server handles the signal. The registry installs it.

ASGI servers wait for open streams before they stop, and the protocol has no message that would tell the streams so. The
server's own handler is always called; for a signal without a handler, nothing is installed.
"""

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class SignalChain:
    """From ``install`` to ``restore``, calls ``first`` on a signal, and then the handler that was there before.

    first: called in the main thread, between any two instructions of it.
    """

    def __init__(self, first: Callable[[], object]) -> None:
        self._first = first
        self._installed = self._handle
        self._next: dict[int, Callable[[int, FrameType | None], Any]] = {}

    def install(self) -> None:
        """Install before the handler of each signal, if it has one. Outside the main thread, do nothing.

        An event loop's handlers (``add_signal_handler``) go on as before: the loop learns of a signal through a file
        descriptor, and the handler that is replaced here does nothing.
        """
        if threading.current_thread() is not threading.main_thread():
            return
        for number in SIGNALS:
            handler = signal.getsignal(number)
            # Python's own handler, which raises KeyboardInterrupt, is not a server's.
            if callable(handler) and handler is not signal.default_int_handler:
                self._next[number] = handler
                signal.signal(number, self._installed)

    def restore(self) -> None:
        """Put every handler back, except where another one has been installed since."""
        for number, handler in self._next.items():
            if signal.getsignal(number) is self._installed:
                signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._first()
        self._next[number](number, frame)
