"""Ends what holds locks on users' tables as soon as another session waits for them. Called by ``snapshots``."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import psycopg
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from ayb_realtime.postgres import sessions
from ayb_realtime.visibility.locking import is_waited_for

# How long a block may hold locks, and how often to look whether another session, such as a migration, waits for one.
HOLD_SECONDS = 60.0
LOOK_SECONDS = 0.5
# How long a cancelled block may take to end. A policy can catch its cancellation, and go on.
END_SECONDS = 1.0


@asynccontextmanager
async def giving_way(pool: AsyncConnectionPool[Any], backend_pid: int) -> AsyncIterator[None]:
    """Cancel a block whose server process holds locks that another session waits for; end the process if it goes on.

    Raises LockNotAvailable then, and TimeoutError after HOLD_SECONDS.
    """
    gives_way = False

    async def watch(limit: asyncio.Timeout) -> None:
        nonlocal gives_way
        clock = asyncio.get_running_loop().time
        ends_at = clock() + HOLD_SECONDS
        while not gives_way and clock() < ends_at:
            await asyncio.sleep(LOOK_SECONDS)
            with suppress(psycopg.Error, PoolTimeout):
                async with pool.connection() as another:
                    gives_way = await is_waited_for(another, backend_pid)
        limit.reschedule(clock())
        while True:
            await asyncio.sleep(END_SECONDS)
            with suppress(psycopg.Error, PoolTimeout):
                async with pool.connection() as another:
                    await sessions.fetch(another, sessions.TERMINATE, [backend_pid])

    try:
        async with asyncio.timeout(None) as limit:
            watching = asyncio.create_task(watch(limit))
            try:
                yield
            finally:
                watching.cancel()
    except (TimeoutError, psycopg.OperationalError) as error:
        if gives_way:
            raise psycopg.errors.LockNotAvailable("another session waits for a lock on a table of it") from None
        if limit.expired():
            raise TimeoutError(f"it takes longer than {HOLD_SECONDS:.0f} s") from error
        raise
