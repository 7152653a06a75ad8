"""What a request needs to know before it can stream: the tables, the right of its role, how far back the log goes.

Thousands of clients that come back at once share the answers. The hub calls it.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

from psycopg_pool import AsyncConnectionPool

from ayb_realtime import visibility
from ayb_realtime.exceptions import PositionUnavailable
from ayb_realtime.hub.single_flight import SingleFlight
from ayb_realtime.log import queries
from ayb_realtime.postgres import tables
from ayb_realtime.postgres.tables import Table
from ayb_realtime.reset_reasons import ResetReason


class Admission:
    """Asks the database. Every method raises psycopg.Error or PoolTimeout if the database does not answer."""

    def __init__(self, pool: AsyncConnectionPool[Any]) -> None:
        self._pool = pool
        self._streamed = SingleFlight(self._read_streamed)
        self._bounds = SingleFlight(self._read_bounds)
        self._roles: dict[str, SingleFlight[None]] = {}

    async def resolve(self, names: Sequence[str]) -> list[Table]:
        """Return the streamed tables with these names. Raises UnknownTable."""
        return tables.named(await self._streamed.get(), names)

    async def check_role(self, role: str) -> None:
        """Raise RoleRefused if this role may not stream."""
        if role not in self._roles:
            self._roles[role] = SingleFlight(partial(self._check_role, role))
        await self._roles[role].get()

    async def check_resumable(self, after: int) -> None:
        """Raise PositionUnavailable if the log ends before this position, or begins after it; or NotMigrated."""
        oldest, head = await self._bounds.get()
        if after > head:
            raise PositionUnavailable(ResetReason.BEYOND_THE_END)
        if after < oldest:
            raise PositionUnavailable(ResetReason.NO_LONGER_HELD)

    async def _read_streamed(self) -> list[Table]:
        async with self._pool.connection() as connection:
            return await tables.streamed(connection)

    async def _check_role(self, role: str) -> None:
        async with self._pool.connection() as connection:
            await visibility.check_role(connection, role)

    async def _read_bounds(self) -> tuple[int, int]:
        async with self._pool.connection() as connection:
            return await queries.bounds(connection)
