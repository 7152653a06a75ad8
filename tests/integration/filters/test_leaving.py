"""A row that leaves a stream's filter: a delete where old rows are asked about, and nothing where they are not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.filters.conftest import filtered, told
from tests.integration.scenario import OWN, World, person


@pytest.fixture(params=[OWN, ""], ids=["row security", "none"])
def notes(request: pytest.FixtureRequest, world: World) -> World:
    policy = {"policy": request.param} if request.param else {}
    world.table("notes", "id int primary key, author text, status text", **policy)
    return world


@pytest.fixture
def by_policy(settings: Any, world: World) -> Iterator[None]:
    settings.AYB_REALTIME = {"DELETE_VISIBILITY": "policy"}
    yield
    world.write("select setval('ayb_realtime.keeps_before', 0)")


@pytest.mark.usefixtures("by_policy")
async def test_row_that_matched_and_does_not_is_deleted(notes: World) -> None:
    async with notes.relaying():
        published = await filtered(notes, person(1), "notes", "status=eq.published")
        drafts = await filtered(notes, person(1), "notes", "status=eq.draft")
        everything = await filtered(notes, person(1), "notes")
        notes.write("insert into notes values (1, 1, 'published'), (2, 1, 'draft')")
        assert await told(published, 1) == [("create", 1)]
        assert await told(drafts, 1) == [("create", 2)]
        notes.write("update notes set status = 'draft' where id = 1")
        assert await told(published, 1) == [("delete", 1)]
        assert await told(drafts, 1) == [("update", 1)]
        notes.write("delete from notes where id = 1")
        notes.write("insert into notes values (3, 1, 'published')")
        assert await told(published, 1) == [("create", 3)], "it was not told of a row that it did not have"
        assert await told(drafts, 1) == [("delete", 1)]
        assert await told(everything, 5) == [
            ("create", 1), ("create", 2), ("update", 1), ("delete", 1), ("create", 3)
        ]  # fmt: skip


async def test_deletes_are_not_filtered_where_everyone_is_told(notes: World) -> None:
    async with notes.relaying():
        published = await filtered(notes, person(1), "notes", "status=eq.published")
        notes.write("insert into notes values (1, 1, 'published'), (2, 1, 'draft')")
        assert await told(published, 1) == [("create", 1)]
        notes.write("update notes set status = 'draft' where id = 1")
        notes.write("delete from notes where id = 2")
        assert await told(published, 1) == [("delete", 2)]
