"""The load generator: thousands of streams in a process of its own, on sockets, without an HTTP library.

``subscribers`` starts it; ``Load.round`` counts what arrives of what the caller writes meanwhile.
"""

import asyncio
import multiprocessing
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from multiprocessing.connection import Connection
from typing import Any

from benchmarks.events import StampReader
from benchmarks.tally import Tally

# How many connections are being opened at a time, and how long all may take.
OPENING = 50
OPENING_SECONDS = 120.0
# A round is over when all has arrived, or nothing more has for so long; the first may take longer.
SILENCE_SECONDS = 5.0
FIRST_SECONDS = 60.0

_anything = re.compile(rb"")
_client_id = re.compile(rb'(?<="clientId":")[^"]+')


class LoadError(RuntimeError):
    """The streams could not be opened. The message says what the server answered."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """How a subscriber asks for its stream.

    request: the whole HTTP request that is answered with the stream.
    then: a second request, on a connection of its own, that says what is wanted; CLIENT_ID in it stands for the id
        that the stream's first event holds. Empty: none.
    """

    request: bytes
    then: bytes = b""


class Load:
    """The running load generator."""

    def __init__(self, pipe: "Connection[Any, Any]", pid: int, count: int) -> None:
        self.pid = pid
        self.count = count
        self._pipe = pipe

    def round(self, first: int, count: int, write: Callable[[], object], *, shared: bool = True) -> dict[str, float]:
        """Count what arrives of the events ``first`` to ``first + count - 1``, which ``write`` writes.

        Returns the tally's figures, how many streams are closed, and ``seconds`` from before the first was written to
        the last arrival.
        """
        self._pipe.send((first, count, shared))
        self._pipe.recv()
        began = time.monotonic()
        write()
        self._pipe.send("written")
        figures, last = self._pipe.recv()
        return {**figures, "seconds": max(0.0, last - began)}


@contextmanager
def subscribers(port: int, subscriptions: Sequence[Subscription], *, first: int = 0, count: int = 0) -> Iterator[Load]:
    """Open these streams, and keep them open until the block ends. Raises LoadError where one is refused.

    first, count: of events that may arrive before all streams are open; a round of just these counts them, too.
    """
    ours, theirs = multiprocessing.Pipe()
    spawn = multiprocessing.get_context("spawn")
    process = spawn.Process(target=_main, args=(theirs, port, list(subscriptions), first, count), daemon=True)
    process.start()
    theirs.close()
    try:
        try:
            failure = ours.recv()
        except EOFError:
            failure = "the load generator ended"
        if failure:
            raise LoadError(failure)
        yield Load(ours, process.pid or 0, len(subscriptions))
    finally:
        ours.close()
        process.join(10)
        process.kill()
        process.join()


class _Stream(asyncio.Protocol):
    """One subscriber's connection: its answer's head, then stamps. is_stream: whether it has to stay open."""

    def __init__(self, generator: "_Generator", number: int, awaited: re.Pattern[bytes], *, is_stream: bool) -> None:
        self.opened: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._generator = generator
        self._number = number
        self._awaited = awaited
        self._is_stream = is_stream
        self._head = b""
        self._stamps = StampReader()

    def data_received(self, data: bytes) -> None:
        if not self.opened.done():
            data = self._head = self._head + data
            head, complete, body = data.partition(b"\r\n\r\n")
            if not complete or (found := self._awaited.search(body)) is None:
                return
            if b" 200 " not in head[:16] and b" 204 " not in head[:16]:
                self.opened.set_exception(LoadError(data[:300].decode(errors="replace")))
                return
            self.opened.set_result(found[0])
            self._head = b""
            data = body
        if arrivals := self._stamps.read(data):
            self._generator.arrived(self._number, arrivals)

    def connection_lost(self, exc: Exception | None) -> None:
        self._generator.closed += self._is_stream
        if not self.opened.done():
            self.opened.set_exception(LoadError("the server closed the connection without an answer"))


class _Generator:
    """Opens the streams and keeps the tally."""

    def __init__(self, port: int, subscriptions: Sequence[Subscription], first: int, count: int) -> None:
        self.closed = 0
        self.tally = Tally(first, count, len(subscriptions), shared=True)
        self.last = time.monotonic()
        self._complete = asyncio.Event()
        self._port = port
        self._subscriptions = subscriptions
        self._transports: list[asyncio.BaseTransport] = []

    def arrived(self, number: int, arrivals: Sequence[Any]) -> None:
        self.last = time.monotonic()
        self.tally.add(number, arrivals, time.monotonic_ns())
        if self.tally.is_complete:
            self._complete.set()

    async def open(self) -> None:
        places = asyncio.Semaphore(OPENING)
        async with asyncio.timeout(OPENING_SECONDS), asyncio.TaskGroup() as tasks:
            for number, subscription in enumerate(self._subscriptions):
                tasks.create_task(self._open_one(number, subscription, places))

    async def _open_one(self, number: int, subscription: Subscription, places: asyncio.Semaphore) -> None:
        async with places:
            if not subscription.then:
                await self._ask(number, subscription.request, _anything)
            else:
                client_id = await self._ask(number, subscription.request, _client_id)
                then = subscription.then.replace(b"CLIENT_ID", client_id)
                await self._ask(number, then, _anything, is_stream=False)

    async def _ask(self, number: int, request: bytes, awaited: re.Pattern[bytes], *, is_stream: bool = True) -> bytes:
        loop = asyncio.get_running_loop()
        transport, stream = await loop.create_connection(
            lambda: _Stream(self, number, awaited, is_stream=is_stream), "127.0.0.1", self._port
        )
        self._transports.append(transport)
        transport.write(request)
        return await stream.opened

    async def round(self, first: int, count: int, *, shared: bool, pipe: "Connection[Any, Any]") -> None:
        if (self.tally.first, self.tally.count) != (first, count):
            self.tally = Tally(first, count, len(self._subscriptions), shared)
        tally = self.tally
        self._complete.clear()
        pipe.send("ready")
        await asyncio.to_thread(pipe.recv)
        written = time.monotonic()
        while not tally.is_complete and not self._is_over(written):
            with suppress(TimeoutError):
                async with asyncio.timeout(SILENCE_SECONDS):
                    await self._complete.wait()
        pipe.send(({**tally.figures(), "closed": self.closed}, self.last))

    def _is_over(self, written: float) -> bool:
        silent = time.monotonic() - max(self.last, written)
        return silent > (SILENCE_SECONDS if self.tally.received else FIRST_SECONDS)


async def _generate(
    pipe: "Connection[Any, Any]", port: int, subscriptions: Sequence[Subscription], first: int, count: int
) -> None:
    generator = _Generator(port, subscriptions, first, count)
    try:
        await generator.open()
    except BaseExceptionGroup as error:
        pipe.send(f"a stream was refused: {error.exceptions[0]}")
        return
    except TimeoutError:
        pipe.send(f"{len(subscriptions)} streams were not open within {OPENING_SECONDS:.0f} s")
        return
    pipe.send("")
    generator.closed = 0
    while True:
        first, count, shared = await asyncio.to_thread(pipe.recv)
        await generator.round(first, count, shared=shared, pipe=pipe)


def _main(
    pipe: "Connection[Any, Any]", port: int, subscriptions: Sequence[Subscription], first: int, count: int
) -> None:
    try:
        run: Callable[[Any], object] = import_module("uvloop").run
    except ImportError:
        run = asyncio.run
    with suppress(EOFError, KeyboardInterrupt):  # The caller is done.
        run(_generate(pipe, port, subscriptions, first, count))
