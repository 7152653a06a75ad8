"""Fixtures of the integration tests: the test database, tables, layers, a relay, streams."""

import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
import pytest_asyncio
from asgiref.sync import sync_to_async
from channels.layers import BaseChannelLayer, get_channel_layer
from django.core.management import call_command
from django.core.management.commands import flush
from django.db import connections

from ayb_realtime.conf import Conf
from ayb_realtime.hub.hub import Hub
from ayb_realtime.hub.registry import close_hub, get_hub
from ayb_realtime.log import queries
from ayb_realtime.postgres.sql_files import statement
from tests.integration.scenario import MakeTable, Owner, World, relaying
from tests.services import IS_LEAST, LOGINS

Connection = psycopg.AsyncConnection[Any]

REDIS_HOST = {"address": os.environ.get("REDIS_URL", ""), "socket_timeout": None}
LAYERS: dict[str, dict[str, Any]] = {
    "memory": {"BACKEND": "channels.layers.InMemoryChannelLayer"},
    "core": {"BACKEND": "channels_redis.core.RedisChannelLayer", "CONFIG": {"hosts": [REDIS_HOST]}},
    "pubsub": {"BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer", "CONFIG": {"hosts": [REDIS_HOST]}},
    "encrypted": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [REDIS_HOST], "symmetric_encryption_keys": ["a key"]},
    },
}

# The suite's own statements must not depend on what the role has set (tests/hostile.py), and are not repeated.
OWN_TEXT = (
    r"-c default_transaction_isolation=read\ committed -c standard_conforming_strings=on -c array_nulls=on"
    " -c row_security=on -c bytea_output=hex -c idle_session_timeout=0"
)


# Whom a role of subscribers has to be granted to.
GRANTEES = f"current_user, {LOGINS['hub']}" if IS_LEAST else "current_user"


@pytest.fixture(autouse=True, scope="session")
def own_logins() -> Iterator[None]:
    """Let the hub and the relay log in by roles of their own unless a test says otherwise."""
    own = connections.settings["default"]
    with pytest.MonkeyPatch.context() as patch:
        for alias, login in LOGINS.items() if IS_LEAST else ():
            aliased = {**own, "USER": login, "TEST": {**own["TEST"], "MIRROR": "default"}}
            patch.setitem(connections.settings, alias, aliased)
            patch.setattr(Conf, f"{alias}_database", property(partial(_own_login, alias)))
        yield


@pytest.fixture(scope="session")
def django_db_setup(own_logins: None, django_db_setup: None, django_db_blocker: Any) -> None:
    """Grant these roles what they need in the test database."""
    for alias in LOGINS if IS_LEAST else ():
        connections.settings[alias]["NAME"] = connections.settings["default"]["NAME"]
    if IS_LEAST:
        with django_db_blocker.unblock():
            call_command("realtime_roles")


def _own_login(alias: str, conf: Conf) -> str:
    return str(conf._read(f"{alias.upper()}_DATABASE") or (alias if conf.database == "default" else conf.database))


@pytest.fixture(autouse=True, scope="session")
def emptied_if_filled() -> Iterator[None]:
    """Empty Django's tables after a test only if it has filled them: most tests have tables of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flush, "sql_flush", _statements_that_empty)
        patch.setattr(flush, "emit_post_migrate_signal", lambda *_: None)
        yield


def _statements_that_empty(style: Any, connection: Any, **options: bool) -> list[str]:
    # The signal after a migration fills these two, and no test changes them.
    kept = {"django_content_type", "auth_permission"}
    tables = set(connection.introspection.django_table_names(only_existing=True)) - kept
    filled = " or ".join(f"exists (select from {connection.ops.quote_name(table)})" for table in tables)
    with connection.cursor() as cursor:
        cursor.execute(f"select {filled}")
        (is_filled,) = cursor.fetchone()
    return list(connection.ops.sql_flush(style, sorted(tables), **options)) if is_filled else []


@pytest.fixture(autouse=True)
def no_lingering(monkeypatch: pytest.MonkeyPatch) -> None:
    """Close all connections between tests."""
    monkeypatch.setattr("ayb_realtime.postgres.threads.LINGER_SECONDS", 0.0)


@pytest.fixture
def database_url(transactional_db: None) -> Iterator[str]:
    """The test database, whose tables are emptied afterwards, as psycopg's connection string."""
    parameters = connections["default"].get_connection_params()
    kept = {name: parameters[name] for name in ("dbname", "user", "password", "host", "port") if name in parameters}
    yield psycopg.conninfo.make_conninfo(**kept, options=OWN_TEXT)
    # The test may have terminated Django's own connection.
    connections.close_all()


@pytest.fixture
def owner(database_url: str) -> Iterator[Owner]:
    """A connection of the tables' owner in autocommit mode: a writer outside Django."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def make_table(owner: Owner) -> Iterator[MakeTable]:
    """Make streamed tables: ``make_table("notes", "id int primary key, ...", policy="author = ...")``."""
    made: list[str] = []

    def make(name: str, columns: str, *, policy: str = "", suffix: str = "", enable: bool = True) -> None:
        owner.execute(f"create table {name} ({columns}) {suffix}".encode())
        made.append(name)
        if policy:
            owner.execute(f"create policy p on {name} using ({policy})".encode())
            owner.execute(f"alter table {name} enable row level security".encode())
        if enable:
            owner.execute("select ayb_realtime.enable_v1(%s)", [name])
            number(owner)

    yield make
    for name in reversed(made):
        owner.execute(f"drop table if exists {name} cascade".encode())


def number(owner: Owner) -> None:
    """Number what has committed, if no relay leads: streams that open later begin after it."""
    leader, *_ = owner.execute(statement("status")).fetchone() or (None,)
    if leader is None:
        with owner.transaction():
            # As the relay has it: on the log of all tests so far, another plan takes seconds.
            owner.execute("set local enable_seqscan = off")
            owner.execute("set local jit = off")
            owner.execute(statement("next_batch"), {"bytes": queries.NEW_BYTES, "changes": queries.NEW_CHANGES})


@pytest.fixture
def another_database(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """The settings of another database, ``another``, which the test may change before it is used."""
    database = dict(connections.settings["default"])
    monkeypatch.setitem(connections.settings, "another", database)
    _forget_another()  # The flush after an earlier test has made it again.
    yield database
    _forget_another()


def _forget_another() -> None:
    with suppress(AttributeError):  # never used
        del connections["another"]


@pytest.fixture(params=["memory", "core", "pubsub"])
def layer(request: pytest.FixtureRequest, settings: Any) -> BaseChannelLayer:
    """Each of the Channels layers in turn."""
    settings.CHANNEL_LAYERS = {"default": LAYERS[request.param]}
    return configured_layer()


@pytest.fixture
def memory_layer(settings: Any) -> BaseChannelLayer:
    """The in-memory layer."""
    settings.CHANNEL_LAYERS = {"default": LAYERS["memory"]}
    return configured_layer()


def configured_layer() -> BaseChannelLayer:
    """Return the default layer."""
    layer = get_channel_layer()
    assert layer is not None
    return layer


@pytest_asyncio.fixture
async def the_hub(database_url: str) -> AsyncIterator[Hub]:
    """The hub of this test's event loop; closed afterwards, even if the test created it."""
    yield await get_hub()
    await close_hub()
    # The connections of Django's asynchronous ORM.
    await sync_to_async(connections.close_all)()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that a server's user may enter."""
    with tempfile.TemporaryDirectory(prefix="ayb-lives-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def world_layer(request: pytest.FixtureRequest) -> Any:
    """The layer that the test requests by ``layer`` (each in turn) or ``own_layer``; otherwise the in-memory one."""
    asked_for = {"layer", "own_layer"}.intersection(request.fixturenames)
    return request.getfixturevalue(asked_for.pop() if asked_for else "memory_layer")


@pytest_asyncio.fixture
async def running_relay(world_layer: BaseChannelLayer, the_hub: Hub) -> AsyncIterator[None]:
    """A relay that runs during the test."""
    async with relaying(world_layer):
        yield


@pytest.fixture
def world(world_layer: BaseChannelLayer, the_hub: Hub, owner: Owner, make_table: MakeTable) -> World:
    """A hub with everything that a scenario needs."""
    return World(the_hub, world_layer, owner, make_table)
