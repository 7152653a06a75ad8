"""For a site's own tests: a relay in the test process, and streams as a browser gets them.

What must always hold: when a test ends, all its connections are closed, so that the test database can be dropped.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, NoReturn

import psycopg
from asgiref.sync import async_to_sync, sync_to_async
from channels.layers import BaseChannelLayer, InMemoryChannelLayer, channel_layers
from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.http import StreamingHttpResponse
from django.test import AsyncClient
from django.urls import reverse
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.settings import api_settings

from ayb_realtime.conf import conf
from ayb_realtime.exceptions import NO_SCHEMA, NotMigrated
from ayb_realtime.hub.registry import close_hub, get_hub
from ayb_realtime.log.local_hubs import LocalHubs, local_hubs
from ayb_realtime.log.queries import Connection
from ayb_realtime.postgres import database
from ayb_realtime.relay.relay import Relay
from ayb_realtime.testing.streams import LOOK_SECONDS, TIMEOUT_SECONDS, Log, Stream

if TYPE_CHECKING:
    from django.test import TransactionTestCase
else:
    TransactionTestCase = object

IN_TRANSACTION = (
    "This test runs in a transaction that never commits, as those of TestCase and of pytest's `db` do. No other "
    "connection sees its rows, so nothing is streamed. Use TransactionTestCase, or pytest's `transactional_db`."
)


@asynccontextmanager
async def relaying() -> AsyncIterator["RealtimeClient"]:
    """Run a relay, and open streams: ``async with relaying() as realtime``. Afterwards the hub is closed.

    The Channels layer, if the site has one, is an in-memory one meanwhile.
    Raises ImproperlyConfigured within a transaction, NotMigrated, and what the relay raises if it cannot start.
    """
    if _is_atomic() or await sync_to_async(_is_atomic)():
        raise ImproperlyConfigured(IN_TRANSACTION)
    try:
        with _in_memory_layer() as layer:
            async with await database.connect(conf.database) as connection, running_relay(layer):
                client = RealtimeClient(Log(connection))
                try:
                    yield client
                finally:
                    await client.close()
    finally:
        # Those of the asynchronous ORM.
        await sync_to_async(connections.close_all)()


def _is_atomic() -> bool:
    return connections[conf.database].in_atomic_block


@contextmanager
def _in_memory_layer() -> Iterator[BaseChannelLayer | None]:
    if conf.channel_layer is None:
        yield None
        return
    layer = InMemoryChannelLayer()
    replaced = channel_layers.set(conf.channel_layer, layer)
    try:
        yield layer
    finally:
        channel_layers.backends.pop(conf.channel_layer, None)
        if replaced is not None:
            channel_layers.set(conf.channel_layer, replaced)


@asynccontextmanager
async def running_relay(
    layer: BaseChannelLayer | None,
    connect: Callable[[], Awaitable[Connection]] | None = None,
    hubs: LocalHubs = local_hubs,
) -> AsyncIterator[Relay]:
    """Run a relay on this layer; enter the block when it leads. Raises what the relay raises if it cannot start.

    connect: by default to the database that ``RELAY_DATABASE`` names.
    """
    relay = Relay(layer, connect or (lambda: database.connect(conf.relay_database, is_patient=True)), hubs)
    running, leads = asyncio.create_task(relay.run()), asyncio.create_task(relay.leads.wait())
    try:
        await asyncio.wait([running, leads], return_when=asyncio.FIRST_COMPLETED, timeout=TIMEOUT_SECONDS)
        if running.done():
            _raise_failure(running)
        yield relay
    finally:
        leads.cancel()
        running.cancel()
        await asyncio.wait([running])


def _raise_failure(running: "asyncio.Task[NoReturn]") -> None:
    try:
        running.result()
    except (psycopg.errors.InvalidSchemaName, psycopg.errors.UndefinedTable) as error:
        raise NotMigrated(NO_SCHEMA) from error


class RealtimeClient:
    """Opens streams, as Django's test client makes requests."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._streams: list[Stream] = []

    async def stream(
        self,
        user: Any,
        tables: Sequence[str],
        *,
        claims: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        client: AsyncClient | None = None,
    ) -> Stream:
        """Open a stream of these tables, through the site's middleware and the view. What commits later comes.

        user: logged in by a token of simplejwt if the site authenticates by those, otherwise by a session; None: by
            what is in ``headers`` or the client's cookies, or anonymous.
        claims: to add to the token.
        client: by default a new one.
        Raises AssertionError if the stream is refused.
        """
        head, hub = await self._log.head(), await get_hub()
        while hub.position < head:  # noqa: ASYNC110 - the hub has no signal for this
            await asyncio.sleep(LOOK_SECONDS)
        client, parameters = client or AsyncClient(), {"tables": ",".join(tables)}
        if user is not None and any(isinstance(each(), JWTAuthentication) for each in conf.authentication_classes):
            parameters["token"] = await sync_to_async(_token)(user, claims or {})
        elif user is not None:
            await client.aforce_login(user)
        response = await client.get(reverse("ayb_realtime:realtime"), parameters, headers=dict(headers or {}))
        if not isinstance(response, StreamingHttpResponse):
            raise AssertionError(f"The stream was refused: {response.status_code} {response.content.decode()}")
        self._streams.append(stream := Stream(self._log, aiter(response)))
        await stream.event("connected")
        return stream

    async def close(self) -> None:
        """Close the hub, and every stream with it."""
        await close_hub()
        for stream in self._streams:
            await stream.read_to_end()


def _token(user: Any, claims: Mapping[str, Any]) -> str:
    token = api_settings.AUTH_TOKEN_CLASSES[0].for_user(user)
    for name, value in claims.items():
        token[name] = value
    return str(token)


class RealtimeMixin(TransactionTestCase):
    """Gives each test ``self.realtime``: ``class PostTests(RealtimeMixin, TransactionTestCase)``."""

    realtime: RealtimeClient

    def __call__(self, result: Any = None) -> Any:
        """Run the test while a relay runs; if it is not a coroutine, in this thread, and the relay in another."""
        setattr(self, self._testMethodName, self._relayed(getattr(self, self._testMethodName)))
        return super().__call__(result)

    def _relayed(self, method: Callable[[], Any]) -> Callable[[], None]:
        test: Callable[[], Coroutine[Any, Any, Any]]
        test = method if iscoroutinefunction(method) else sync_to_async(method)

        async def run() -> None:
            async with relaying() as self.realtime:
                await test()

        return async_to_sync(run)


try:
    import pytest_asyncio
except ImportError:  # The site's tests are Django's own.
    pass
else:

    @pytest_asyncio.fixture
    async def realtime(transactional_db: None) -> AsyncIterator[RealtimeClient]:
        """Run a relay, and open streams."""
        async with relaying() as client:
            yield client
