"""Clients that ask for a snapshot, and keep the rows that they are shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from httpx_sse import ServerSentEvent

from ayb_realtime.identity import Identity
from tests.integration.scenario import Owner, Stream, World


class Replica:
    """A client that keeps what it is shown, as a page does.

    rows: table → id → the row, of tables whose key is ``id``.
    told: table → id → the actions since the last snapshot, in order.
    """

    def __init__(self, stream: Stream, after: str) -> None:
        self.rows: dict[str, dict[Any, Any]] = {}
        self.told: dict[str, list[tuple[str, Any]]] = {}
        self.resets: list[Any] = []
        self.position = after
        self._awaits_snapshot = not after
        self._stream = stream

    async def next(self) -> ServerSentEvent:
        """Take in the next event, and return it."""
        event = await self._stream.next()
        data = event.json()
        if event.event == "reset":
            self._awaits_snapshot = True
        # The parser gives an event without an id the last one.
        assert event.id in (self.position, "", "0") or not self._awaits_snapshot or event.event == "ready"
        self.position = event.id
        match event.event:
            case "ready":
                self._awaits_snapshot = False
            case "snapshot":
                rows = self.rows.setdefault(data["table"], {})
                for row in data["records"]:
                    assert row["id"] not in rows, "a snapshot has each row once"
                    rows[row["id"]] = row
            case "reset":
                self.resets.append(data["reason"])
                self.rows.clear()
                self.told.clear()
            case "message":
                self._apply(data)
        return event

    def _apply(self, change: Any) -> None:
        rows, row = self.rows.setdefault(change["table"], {}), change["record"]
        self.told.setdefault(change["table"], []).append((change["action"], row["id"]))
        if change["action"] == "delete":
            rows.pop(row["id"], None)
            return
        assert change["action"] == "update" or row["id"] not in rows, "a change that the snapshot has is not told again"
        rows[row["id"]] = row

    async def ready(self) -> Replica:
        """Read up to the end of the snapshot."""
        while (await self.next()).event != "ready":
            pass
        return self

    async def until(self, table: str, row_id: Any) -> Replica:
        """Read until this row comes, live or in a snapshot."""
        while row_id not in self.rows.get(table, {}):
            await self.next()
        return self


async def replica(world: World, identity: Identity, *tables: str, after: str = "") -> Replica:
    """Open a stream with a snapshot."""
    hub = world.hub
    return Replica(Stream(await hub.subscribe(identity, tables, resume=after, snapshot=True)), after)


@pytest.fixture
def define(owner: Owner) -> Iterator[Callable[[str, str], None]]:
    """Create functions and types, ``define("type mood", "as enum ('calm')")``, and drop them after the test."""
    defined: list[str] = []

    def create(name: str, definition: str) -> None:
        owner.execute(f"create {name} {definition}".encode())
        defined.append(name)

    yield create
    for name in reversed(defined):
        owner.execute(f"drop {name} cascade".encode())


def selected(owner: Owner, identity: Identity, table: str) -> dict[Any, Any]:
    """Return what SELECT finds as this identity, by id."""
    with owner.transaction():
        for name, value in (*identity.settings, ("role", identity.role)):
            owner.execute("select set_config(%s, %s, true)", [name, value])
        rows = owner.execute(f"select row_to_json(t) from {table} t".encode()).fetchall()
    return {row["id"]: row for (row,) in rows}
