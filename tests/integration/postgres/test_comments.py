"""Statements to which a library appends a comment, as OpenTelemetry's psycopg instrumentation does."""

from typing import Any

import psycopg
import pytest

from tests.integration.diagnostics.conftest import told
from tests.integration.scenario import OWN, World, person

COMMENT = " /*db_driver='psycopg%%3A3',traceparent='00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'*/"


@pytest.fixture
def commented(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Append a comment to every statement of asynchronous connections; return the statements."""
    statements: list[str] = []
    execute: Any = psycopg.AsyncCursor.execute

    async def execute_with_comment(self: object, query: str, *args: object, **kwargs: object) -> object:
        statement = query.rstrip()
        statements.append(statement.removesuffix(";") + COMMENT)
        return await execute(self, statements[-1], *args, **kwargs)

    monkeypatch.setattr(psycopg.AsyncCursor, "execute", execute_with_comment)
    return statements


async def test_relay_and_hub_run_with_a_comment_on_every_statement(commented: list[str], world: World) -> None:
    world.table("notes", "id int primary key, author text", policy=OWN)
    async with world.relaying():
        streams = [await world.stream(person(n), "notes") for n in range(20)]
        world.write("insert into notes values (1, '7')")
        assert await streams[7].next_action() == ("create", {"id": 1, "author": "7"})
        world.write("update notes set author = '8'")
        assert await streams[8].next_action() == ("update", {"id": 1, "author": "8"})
        world.write("delete from notes")
        assert (await streams[8].next_action())[0] == "delete"
        world.write("insert into notes values (2, '7')")
        assert "Permissive policy p is true for it." in await told("notes", "2", identity=person(7))
    assert any("check_" in statement for statement in commented)
