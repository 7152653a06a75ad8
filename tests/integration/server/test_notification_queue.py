"""The queue of notifications, which all databases of a server share, and any login can fill."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from channels.layers import BaseChannelLayer

from tests.integration import own_server
from tests.integration.scenario import open_stream, person


def fill_queue(neighbour: psycopg.Connection[Any]) -> None:
    """Send notifications until no more fit."""
    with suppress(psycopg.errors.ProgramLimitExceeded):
        while True:
            neighbour.execute("select pg_notify('noise', repeat('x', 7999))")


async def test_changes_arrive_while_another_database_keeps_the_queue_full(
    tmp_path: Path, memory_layer: BaseChannelLayer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(own_server.SETTINGS, "max_notify_queue_pages", "64")
    with own_server.server(tmp_path) as server:
        own_server.install(server.url())
        another = server.url(database="template1")
        with psycopg.connect(another) as holder, psycopg.connect(another, autocommit=True) as neighbour:
            holder.execute("listen noise")
            holder.commit()
            holder.execute("select")  # and leaves the transaction open
            fill_queue(neighbour)
            async with own_server.serving(memory_layer, server.url()) as hub:
                stream = await open_stream(hub, person(1), "notes")
                with psycopg.connect(server.url(), autocommit=True) as writer:
                    writer.execute("select setval('ayb_realtime.asleep_at', ayb_realtime.milliseconds_v1() + 1000)")
                    writer.execute("insert into notes values (1)")
                assert await stream.next_ids(1) == [1]
    assert "notifications_full" in [getattr(record, "event_name", "") for record in caplog.records]
