"""What goes first in an event loop: deliveries, and what has come between two turns."""

import asyncio
from functools import partial

import pytest

from ayb_realtime import precedence


async def test_between_two_turns_the_event_loop_does_what_else_has_come() -> None:
    order: list[str] = []

    async def work() -> None:
        await precedence.turn()
        order.append("turn")
        asyncio.get_running_loop().call_soon(partial(order.append, "else"))

    await asyncio.gather(*(work() for _ in range(100)))
    await asyncio.sleep(0)
    assert order == ["turn", "else"] * 100


async def test_turn_waits_for_the_end_of_all_deliveries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precedence, "PATIENCE_SECONDS", 600)
    with precedence.delivering():
        with precedence.delivering():
            waiting = asyncio.create_task(precedence.turn())
            await asyncio.sleep(0)
        for _ in range(10):
            await asyncio.sleep(0)
        assert not waiting.done()
    async with asyncio.timeout(30):
        await waiting


async def test_turn_comes_although_a_delivery_does_not_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precedence, "PATIENCE_SECONDS", 0.0)
    async with asyncio.timeout(30):
        with precedence.delivering():
            await precedence.turn()
