"""A TCP connection that can be cut: ``python -m tests.chaos.proxy TARGET_PORT LISTEN_PORT ADDRESS ...``.

The target is on the loopback address. The proxy listens on the named addresses.

SIGUSR1  cut: nothing passes in either direction, and neither side is told
SIGUSR2  whole again: what was under way arrives
SIGHUP   whole again, but existing connections are reset
"""

import asyncio
import contextlib
import signal
import sys

HOST = "127.0.0.1"
CHUNK_BYTES = 64 * 1024


class Proxy:
    """Passes bytes between its clients and the target, while it is not cut."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._whole = asyncio.Event()
        self._whole.set()
        self._writers: set[asyncio.StreamWriter] = set()

    def cut(self) -> None:
        """Let nothing through."""
        self._whole.clear()

    def heal(self) -> None:
        """Let everything through again."""
        self._whole.set()

    def reset(self) -> None:
        """Reset every connection, and let new ones through."""
        for writer in self._writers:
            writer.transport.abort()
        self._whole.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Connect one client."""
        self._writers.add(writer)
        try:
            await self._whole.wait()
            target_reader, target_writer = await asyncio.open_connection(HOST, self._target_port)
        except OSError:
            writer.transport.abort()
            self._writers.discard(writer)
            return
        self._writers.add(target_writer)
        try:
            await asyncio.gather(self._pump(reader, target_writer), self._pump(target_reader, writer))
        finally:
            for each in (writer, target_writer):
                each.transport.abort()
                self._writers.discard(each)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK_BYTES):
                await self._whole.wait()
                writer.write(data)
                await writer.drain()
        await self._whole.wait()
        with contextlib.suppress(OSError):
            writer.close()


async def run(target_port: int, listen_port: int, addresses: list[str]) -> None:
    """Serve until the process is stopped."""
    proxy = Proxy(target_port)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, proxy.cut)
    loop.add_signal_handler(signal.SIGUSR2, proxy.heal)
    loop.add_signal_handler(signal.SIGHUP, proxy.reset)
    server = await asyncio.start_server(proxy.serve, addresses, listen_port)
    stopped = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    await stopped.wait()
    server.close()
    proxy.reset()


if __name__ == "__main__":
    asyncio.run(run(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]))
