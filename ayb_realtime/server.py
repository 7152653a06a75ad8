"""Daphne and the relay in one process, for ``runrealtime --serve``, with backpressure, bounds and clean endings."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

# Daphne's server installs Twisted's asyncio reactor, so it has to come before what imports the reactor.
from daphne.endpoints import build_endpoint_description_strings
from daphne.server import Server
from twisted.internet import defer, reactor
from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from ayb_realtime.bounded_channel import BoundedChannel, accept_one
from ayb_realtime.exceptions import CannotListen
from ayb_realtime.hub.registry import close_hub

logger = logging.getLogger(__name__)

# How long finished streams may take to close.
WIND_DOWN_SECONDS = 5.0


@implementer(IPushProducer)
class Producer:
    """Twisted pauses it while a client's connection is full, and resumes it when there is room again."""

    # Set when there is room again; None while there is. Idle streams are many, and an Event is large.
    _room: asyncio.Event | None = None

    async def wait_for_room(self) -> None:
        """Return once the client's connection has room."""
        while self._room is not None:
            await self._room.wait()

    def pauseProducing(self) -> None:  # noqa: N802 - Twisted's name
        """Wait: the transport's buffer is full."""
        self._room = self._room or asyncio.Event()

    def resumeProducing(self) -> None:  # noqa: N802
        """Go on."""
        if self._room is not None:
            self._room.set()
            self._room = None

    def stopProducing(self) -> None:  # noqa: N802
        """Go on: the connection is gone, which the sender learns elsewhere."""
        self.resumeProducing()


class BackpressureServer(Server):  # type: ignore[misc]  # Daphne has no types
    """Daphne's server, but ``send`` waits while the client does not read.

    In Daphne itself it returns at once, and everything for such a client piles up in memory.
    """

    announce: Callable[[str], object]
    relay: "asyncio.Task[Any]"
    failure: BaseException | None = None

    def start_relay(self, relay: Coroutine[Any, Any, Any]) -> None:
        """Relay in the server's event loop. If the relay ends, so does the server."""
        self.relay = asyncio.get_event_loop().create_task(relay)
        self.relay.add_done_callback(self._relay_ended)

    def bound_requests(self) -> None:
        """Limit what clients may send. To be called before the first one connects."""
        self.http_factory.protocol = BoundedChannel

    def _relay_ended(self, relay: "asyncio.Task[Any]") -> None:
        if not relay.cancelled():
            self.failure = relay.exception()
            self.stop()

    async def handle_reply(self, protocol: Any, message: dict[str, Any]) -> None:
        """Hand a message to the client's connection, once it has room."""
        producer: Producer | None = getattr(protocol, "ayb_realtime_producer", None)
        if producer is None and message["type"] == "http.response.body" and message.get("more_body"):
            producer = protocol.ayb_realtime_producer = Producer()
            # Before the first chunk is written; when the response ends, its channel lets go of the producer.
            protocol.registerProducer(producer, True)
        if producer is not None:
            await producer.wait_for_room()
        if producer is not None and not message.get("more_body") and protocol.channel is not None:
            protocol.unregisterProducer()
        await super().handle_reply(protocol, message)

    def listen_success(self, port: Any) -> None:
        """Announce the address."""
        super().listen_success(port)
        port.doRead = partial(accept_one, port)
        host = port.getHost()
        self.announce(f"http://{f'[{host.host}]' if ':' in host.host else host.host}:{host.port}/")

    def listen_error(self, failure: Any) -> None:
        """Remember why the server cannot listen, for ``serve`` to raise."""
        self.failure = CannotListen(failure.getErrorMessage())
        self.stop()

    def kill_all_applications(self) -> Any:
        """Let the streams end by themselves first. Daphne would cancel them, and Django would log errors."""
        wound_down = defer.Deferred.fromFuture(asyncio.ensure_future(self._wind_down()))
        return wound_down.addCallback(lambda _: Server.kill_all_applications(self))

    async def _wind_down(self) -> None:
        self.relay.cancel()
        await asyncio.wait([self.relay])
        await close_hub()
        if running := [
            details["application_instance"]
            for details in self.connections.values()
            if "application_instance" in details
        ]:
            await asyncio.wait(running, timeout=WIND_DOWN_SECONDS)


def serve(
    application: Any, host: str, port: int, relay: Coroutine[Any, Any, Any], announce: Callable[[str], object]
) -> None:
    """Serve the application and relay, until SIGTERM or SIGINT.

    announce: called with the URL once the server listens.
    Raises CannotListen if the server cannot listen, and what ended the relay.
    """
    endpoints = build_endpoint_description_strings(host=host, port=port)
    server = BackpressureServer(application, endpoints=endpoints, server_name="", action_logger=log_action)
    server.announce = announce
    reactor.callWhenRunning(server.bound_requests)
    reactor.callWhenRunning(server.start_relay, relay)
    server.run()
    _finish_tasks()
    if server.failure is not None:
        relay.close()
        raise server.failure


def _finish_tasks() -> None:
    """Finish what is left in the event loop: the interpreter can crash on tasks that are pending at its exit."""
    loop = asyncio.get_event_loop()
    if tasks := asyncio.all_tasks(loop):
        for task in tasks:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))


def log_action(protocol: str, action: str, details: dict[str, Any]) -> None:
    """Log a finished request, without its query: that may hold a token."""
    if action == "complete":
        logger.info(
            "%s %s %s",
            details["method"],
            details["path"].partition("?")[0],
            details["status"],
            extra={"event_name": "request"},
        )
