"""The signal chain, on real signals: the server's own handler is always called, and finally restored."""

import asyncio
import signal
import threading
from collections.abc import Iterator
from types import FrameType

import pytest

from ayb_realtime.hub.lifetime.signal_chain import SignalChain


class Calls(list[str]):
    """Those that were called, in order."""

    def first(self) -> None:
        """Be called by the chain."""
        self.append("chain")

    def server(self, number: int, frame: FrameType | None) -> None:
        """Be the server's handler."""
        self.append(f"server {signal.Signals(number).name}")


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Restore the signal handlers after the test."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_server_handler_is_called_after_the_chain(number: signal.Signals) -> None:
    calls = Calls()
    signal.signal(number, calls.server)
    SignalChain(calls.first).install()
    signal.raise_signal(number)
    assert calls == ["chain", f"server {number.name}"]


@pytest.mark.parametrize("handler", [signal.SIG_DFL, signal.SIG_IGN, signal.default_int_handler])
def test_nothing_is_installed_where_the_signal_has_no_handler(handler: signal.Handlers) -> None:
    signal.signal(signal.SIGTERM, handler)
    signal.signal(signal.SIGINT, handler)
    SignalChain(Calls().first).install()
    assert signal.getsignal(signal.SIGTERM) is handler
    assert signal.getsignal(signal.SIGINT) is handler


def test_nothing_is_installed_from_another_thread() -> None:
    calls = Calls()
    signal.signal(signal.SIGTERM, calls.server)
    thread = threading.Thread(target=SignalChain(calls.first).install)
    thread.start()
    thread.join()
    signal.raise_signal(signal.SIGTERM)
    assert calls == ["server SIGTERM"]


def test_restore_gives_the_server_its_place_back() -> None:
    calls = Calls()
    handler = calls.server
    signal.signal(signal.SIGTERM, handler)
    chain = SignalChain(calls.first)
    chain.install()
    chain.restore()
    assert signal.getsignal(signal.SIGTERM) is handler


def test_restore_leaves_a_handler_that_came_later() -> None:
    calls = Calls()
    signal.signal(signal.SIGTERM, lambda *_: None)
    chain = SignalChain(calls.first)
    chain.install()
    later = calls.server
    signal.signal(signal.SIGTERM, later)
    chain.restore()
    assert signal.getsignal(signal.SIGTERM) is later


async def test_handler_of_the_event_loop_is_called_too() -> None:
    calls, loop, handled = Calls(), asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, handled.set)
    chain = SignalChain(calls.first)
    chain.install()
    try:
        signal.raise_signal(signal.SIGTERM)
        async with asyncio.timeout(30):
            await handled.wait()
    finally:
        chain.restore()
        loop.remove_signal_handler(signal.SIGTERM)
    assert calls == ["chain"]
