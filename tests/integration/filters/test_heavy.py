"""Filters that Postgres cannot compare in time: however many one user has, the others get their answers."""

from __future__ import annotations

from typing import Any

import pytest

from ayb_realtime.visibility import filter_questions
from tests.integration.filters.conftest import filtered, told
from tests.integration.scenario import World, person

TEXT = "repeat('some words of a long text ', 40000)"


async def test_filters_of_one_user_harm_no_other(world: World, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    questions: list[int] = []

    def statements(connection: Any, pieces: Any, *others: Any) -> list[str]:
        questions.append(sum(len(piece.values) for piece in pieces))
        return ask(connection, pieces, *others)

    ask = filter_questions.statements
    monkeypatch.setattr(filter_questions, "statements", statements)
    settings.AYB_REALTIME = {**settings.AYB_REALTIME, "CHECK_TIMEOUT_SECONDS": 1}
    world.table("notes", "id int primary key, body text")
    async with world.relaying():
        heavy = [
            await filtered(world, person(1), "notes", ",".join(f"body=ilike.%{n}%{m}%" for m in range(20)))
            for n in range(30)
        ]
        others = [await filtered(world, person(n), "notes", f"body=ilike.%{n} words%") for n in range(2, 7)]
        others.append(await filtered(world, person(7), "notes", "body=ilike.%2%3%"))  # as one of those
        for row_id in range(3):
            questions.clear()
            world.write(f"insert into notes values ({row_id}, '2 words 3 words 4 words 5 words 6 words' || {TEXT})")
            for stream in others:
                assert await told(stream, 1) == [("create", row_id)]
            # Who was too slow twice is not asked about for a while.
            assert row_id < 2 or len(questions) <= 2
        for stream in heavy:
            assert (await stream.next()).event == "reset"
