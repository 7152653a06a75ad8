"""Writes every notification to every connection: ``python -m benchmarks.sites.listen PORT``."""

import asyncio
import os
import sys

import psycopg

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"


async def main(port: int) -> None:
    """Listen until the process is stopped."""
    writers: set[asyncio.StreamWriter] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD)
        writers.add(writer)
        await reader.read()
        writers.discard(writer)
        writer.close()

    async with await psycopg.AsyncConnection.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        await connection.execute("listen bench")
        await asyncio.start_server(connected, "127.0.0.1", port)
        async for notify in connection.notifies():
            for writer in writers:
                writer.write(b"data: %b\n\n" % notify.payload.encode())


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
