"""The ways by which announcements leave the relay's process: a Channels layer, or NOTIFY. The publisher uses one."""

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import psycopg
from channels.layers import BaseChannelLayer, get_channel_layer

from ayb_realtime.conf import conf
from ayb_realtime.log.changes import Announcement
from ayb_realtime.log.messages import to_message, to_payload
from ayb_realtime.postgres import notifications, sessions

Connection = psycopg.AsyncConnection[Any]


def configured_layer() -> BaseChannelLayer | None:
    """Return the Channels layer of the settings; None if they want none, or if there is none of that name.

    Raises InvalidChannelLayerError if its backend cannot be imported.
    """
    alias = conf.channel_layer
    return None if alias is None else get_channel_layer(alias)


class Outlet(Protocol):
    """A way to the hubs.

    name: what the log calls it.
    carries_changes: whether it takes changes, or only the head.
    """

    name: str
    carries_changes: bool

    async def send(self, announcement: Announcement, group: str) -> None:
        """Send an announcement to the hubs that follow a group's log. Raises whatever the way raises."""

    async def close(self) -> None:
        """Let go of what it holds. ``send`` may be called again."""


class Layer:
    """Through a Channels layer, whose group has the log's name."""

    name = "the Channels layer"
    carries_changes = True

    def __init__(self, layer: BaseChannelLayer) -> None:
        self._layer = layer

    async def send(self, announcement: Announcement, group: str) -> None:
        """Send it sealed."""
        await self._layer.group_send(group, to_message(announcement, group))

    async def close(self) -> None:
        """Do nothing: the layer is the process's."""


class Notify:
    """By NOTIFY, to a channel that has the group's name. Any role may listen there, so no row is ever sent.

    On a connection of its own, and after the numbering has committed: a commit that notifies holds a lock of the whole
    cluster, which others that notify wait for. This one writes nothing, so it does not hold the lock until a disk or a
    standby has answered.
    """

    name = "NOTIFY"
    carries_changes = False

    def __init__(self, connect: Callable[[], Awaitable[Connection]]) -> None:
        self._connect = connect
        self._connection: Connection | None = None

    async def send(self, announcement: Announcement, group: str) -> None:
        """Send the head, sealed."""
        if self._connection is None or self._connection.closed:
            self._connection = await self._connect()
            await sessions.settle(self._connection)
        await notifications.notify(self._connection, group, to_payload(announcement, group))

    async def close(self) -> None:
        """Close the connection: the next leader may be on another server."""
        if self._connection is not None:
            await self._connection.close()
        self._connection = None
