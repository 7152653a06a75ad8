"""What is awaited within a context of its own: its variables stay there, and it ends as it would without."""

import asyncio
from collections.abc import Coroutine
from contextvars import ContextVar, copy_context
from typing import Any

import pytest

from ayb_realtime.incoming import within

variable: ContextVar[str] = ContextVar("variable")


async def test_variables_are_seen_within_across_waits_and_not_around() -> None:
    async def work() -> str:
        assert variable.get() == "around"
        variable.set("within")
        await asyncio.sleep(0)
        return variable.get()

    variable.set("around")
    context = copy_context()
    assert await within(context, work()) == "within"
    assert (variable.get(), context[variable]) == ("around", "within")


async def test_exception_comes_out() -> None:
    async def work() -> None:
        await asyncio.sleep(0)
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        await within(copy_context(), work())


async def test_failure_that_is_awaited_can_be_caught_within() -> None:
    async def work() -> str:
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(future.set_exception, ValueError("its"))
        try:
            return await future
        except ValueError as error:
            await asyncio.sleep(0)
            return str(error)

    assert await within(copy_context(), work()) == "its"


async def test_cancellation_reaches_what_is_awaited() -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.set()

    task = asyncio.create_task(within_task(work()))
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()


async def within_task(work: Coroutine[Any, Any, None]) -> None:
    """Await work within a context of its own."""
    await within(copy_context(), work)
