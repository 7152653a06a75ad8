"""The load generator: thousands of streams in a separate process.

``subscribers`` starts it; ``Load.round`` counts which of the events that the caller writes arrive.
"""

import asyncio
import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from multiprocessing.connection import Connection
from typing import Any

from benchmarks.client import Client, LoadError, Subscription, Turns
from benchmarks.events import Stamp
from benchmarks.tally import Tally

# How many connections are opened at the same time.
OPENING = 50
# How long an answer may take. A round is over when every event has arrived, or none has for this long.
SILENCE_SECONDS = 60.0


class Load:
    """The running load generator. missed: a line for each client that missed events in the last round."""

    def __init__(self, pipe: "Connection[Any, Any]", pid: int, count: int) -> None:
        self.pid = pid
        self.count = count
        self.missed: list[str] = []
        self._pipe = pipe

    def round(self, first: int, count: int, write: Callable[[], object], *, shared: bool = True) -> dict[str, float]:
        """Count what arrives of the events ``first`` to ``first + count - 1``, which ``write`` writes.

        Returns the tally's figures; how often streams have closed so far, how many clients were refused when they
        reconnected, and how many resets they were sent; and ``seconds`` from just before the first write to the last
        arrival.
        """
        self._pipe.send((first, count, shared))
        self._pipe.recv()
        began = time.monotonic()
        write()
        self._pipe.send("written")
        figures, self.missed, last = self._pipe.recv()
        return {**figures, "seconds": max(0.0, last - began)}


@contextmanager
def subscribers(
    ports: Sequence[int], subscriptions: Sequence[Subscription], *, first: int = 0, count: int = 0
) -> Iterator[Load]:
    """Open these streams, at each port in turn, and keep them open until the block ends.

    first, count: of events that may arrive before all streams are open; a round with the same two counts those, too.
    Raises LoadError if a stream is refused.
    """
    ours, theirs = multiprocessing.Pipe()
    spawn = multiprocessing.get_context("spawn")
    process = spawn.Process(target=_main, args=(theirs, ports, list(subscriptions), first, count), daemon=True)
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


class _Generator:
    """Opens the streams and keeps the tally."""

    def __init__(self, ports: Sequence[int], subscriptions: Sequence[Subscription], first: int, count: int) -> None:
        self.tally = Tally(first, count, len(subscriptions), shared=True)
        self.last = time.monotonic()
        self._complete = asyncio.Event()
        # If much arrives while others are still opening.
        turns = Turns() if count else None
        self._clients = [
            Client(n, each, ports[n % len(ports)], self._arrived, turns) for n, each in enumerate(subscriptions)
        ]
        self._staying: list[asyncio.Task[None]] = []

    def _arrived(self, number: int, stamps: Sequence[Stamp]) -> None:
        self.last = time.monotonic()
        self.tally.add(number, stamps, time.monotonic_ns())
        if self.tally.is_complete:
            self._complete.set()

    async def open(self) -> None:
        places = asyncio.Semaphore(OPENING)
        async with asyncio.TaskGroup() as tasks:
            for client in self._clients:
                tasks.create_task(self._open_one(client, places))

    async def _open_one(self, client: Client, places: asyncio.Semaphore) -> None:
        async with places:
            try:
                async with asyncio.timeout(SILENCE_SECONDS):
                    ended = await client.open()
            except TimeoutError:
                raise LoadError(f"no answer within {SILENCE_SECONDS:.0f} s") from None
        self._staying.append(asyncio.create_task(client.stay(ended)))

    async def round(self, first: int, count: int, *, shared: bool, pipe: "Connection[Any, Any]") -> None:
        if (self.tally.first, self.tally.count) != (first, count):
            self.tally = Tally(first, count, len(self._clients), shared)
        tally = self.tally
        self._complete.clear()
        pipe.send("ready")
        await asyncio.to_thread(pipe.recv)
        written = time.monotonic()
        while not tally.is_complete and (left := max(self.last, written) + SILENCE_SECONDS - time.monotonic()) > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._complete.wait()
        pipe.send((self._figures(), [self._missed(*each) for each in tally.missed()], self.last))

    def _figures(self) -> dict[str, float]:
        return {
            **self.tally.figures(),
            "closed": sum(client.closed for client in self._clients),
            "refused": sum(bool(client.refused) for client in self._clients),
            "resets": sum(client.events.resets for client in self._clients),
        }

    def _missed(self, number: int, events: str) -> str:
        client = self._clients[number]
        last_id = client.events.last_id.decode(errors="replace")
        return (
            f"client {number} missed {events}; its newest id is {last_id or 'none'}, its stream ended {client.closed} "
            f"times, it was sent {client.events.resets} resets. {client.refused}".rstrip()
        )


async def _generate(
    pipe: "Connection[Any, Any]", ports: Sequence[int], subscriptions: Sequence[Subscription], first: int, count: int
) -> None:
    generator = _Generator(ports, subscriptions, first, count)
    try:
        await generator.open()
    except BaseExceptionGroup as error:
        pipe.send(f"a stream was not opened: {error.exceptions[0]}")
        return
    pipe.send("")
    while True:
        first, count, shared = await asyncio.to_thread(pipe.recv)
        await generator.round(first, count, shared=shared, pipe=pipe)


def _main(
    pipe: "Connection[Any, Any]", ports: Sequence[int], subscriptions: Sequence[Subscription], first: int, count: int
) -> None:
    try:
        run: Callable[[Any], object] = import_module("uvloop").run
    except ImportError:
        run = asyncio.run
    with suppress(EOFError, KeyboardInterrupt):  # The caller is done.
        run(_generate(pipe, ports, subscriptions, first, count))
