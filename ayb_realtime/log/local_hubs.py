"""Where a relay meets the hubs of its own process: it hands them each announcement as it is, past layer and LISTEN.

A relay and a hub need not run in the same event loop, nor follow the same log.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from ayb_realtime.log.changes import Announcement

Accept = Callable[[str, Announcement], object]


class LocalHubs:
    """The hubs of a process, each as a function to call in its event loop with a group and an announcement.

    The group names the log that the announcement is of. The function ignores announcements of other logs.
    """

    def __init__(self) -> None:
        self._loops: dict[Accept, asyncio.AbstractEventLoop] = {}

    def add(self, accept: Accept) -> None:
        """Call this function with each announcement from now on, in the running event loop."""
        self._loops[accept] = asyncio.get_running_loop()

    def discard(self, accept: Accept) -> None:
        """Do not call this function any more."""
        self._loops.pop(accept, None)

    def tell(self, group: str, announcement: Announcement) -> None:
        """Hand an announcement to every hub: at once to those of the running event loop, to others in theirs."""
        for accept, loop in list(self._loops.items()):
            if loop is asyncio.get_running_loop():
                accept(group, announcement)
            else:
                with suppress(RuntimeError):  # That event loop is closed.
                    loop.call_soon_threadsafe(accept, group, announcement)


local_hubs = LocalHubs()
