"""How a hub hears of new changes: from a relay in its process, and from others through the layer or by LISTEN.

What it hears twice, the window ignores. What it does not hear, the feed reads from the log.
"""

from collections.abc import Coroutine, Iterable
from typing import Any, NoReturn, Protocol

from channels.layers import BaseChannelLayer
from psycopg_pool import AsyncConnectionPool

from ayb_realtime.hub.hearing.feed import Feed
from ayb_realtime.hub.hearing.listener import Listener
from ayb_realtime.hub.hearing.receiver import Receiver
from ayb_realtime.log.changes import Announcement
from ayb_realtime.log.local_hubs import local_hubs


class Inlet(Protocol):
    """The way by which announcements of a relay in another process come in.

    group: the log's group, as Postgres last gave it.
    """

    group: str

    async def start(self) -> None:
        """Ask Postgres for the log's group. Raises psycopg.Error or PoolTimeout."""

    def tasks(self) -> Iterable[Coroutine[Any, Any, NoReturn]]:
        """Return what has to run as long as the hub does."""

    async def close(self) -> None:
        """Let go, once the tasks have ended."""


class Hearing:
    """What a hub hears, from ``start`` to ``close``, goes to its feed.

    layer: None to LISTEN.
    """

    def __init__(self, layer: BaseChannelLayer | None, pool: AsyncConnectionPool[Any], feed: Feed) -> None:
        self.inlet: Inlet = Listener(pool, feed) if layer is None else Receiver(layer, pool, feed)
        self._feed = feed

    async def start(self) -> None:
        """Begin with the relay of this process. Raises psycopg.Error or PoolTimeout."""
        await self.inlet.start()
        local_hubs.add(self._accept)

    def tasks(self) -> Iterable[Coroutine[Any, Any, NoReturn]]:
        """Return what has to run as long as the hub does."""
        return self.inlet.tasks()

    async def close(self) -> None:
        """Stop hearing, once the tasks have ended."""
        local_hubs.discard(self._accept)
        await self.inlet.close()

    def _accept(self, group: str, announcement: Announcement) -> None:
        """Take what a relay of this process announces, if it is of this hub's log."""
        if group == self.inlet.group:
            self._feed.accept(announcement)
