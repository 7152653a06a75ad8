"""Ends what holds locks on users' tables as soon as another session waits for them. Called by ``snapshots``."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import psycopg
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from ayb_realtime.visibility.locking import is_waited_for

# How long a block may hold locks, and how often to look whether another session, such as a migration, waits for one.
HOLD_SECONDS = 60.0
LOOK_SECONDS = 0.5


@asynccontextmanager
async def giving_way(pool: AsyncConnectionPool[Any], backend_pid: int) -> AsyncIterator[None]:
    """Cancel a block whose server process holds locks that another session waits for.

    Raises LockNotAvailable then, and TimeoutError after HOLD_SECONDS.
    """
    gives_way = False

    async def watch(limit: asyncio.Timeout) -> None:
        nonlocal gives_way
        while not gives_way:
            await asyncio.sleep(LOOK_SECONDS)
            with suppress(psycopg.Error, PoolTimeout):
                async with pool.connection() as another:
                    gives_way = await is_waited_for(another, backend_pid)
        limit.reschedule(asyncio.get_running_loop().time())

    try:
        async with asyncio.timeout(HOLD_SECONDS) as limit:
            watching = asyncio.create_task(watch(limit))
            try:
                yield
            finally:
                watching.cancel()
    except TimeoutError:
        if gives_way:
            raise psycopg.errors.LockNotAvailable("another session waits for a lock on a table of it") from None
        raise
