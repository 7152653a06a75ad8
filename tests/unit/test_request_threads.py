"""The threads that are lent to requests."""

import asyncio
import threading

import pytest
from asgiref.sync import ThreadSensitiveContext, sync_to_async

from ayb_realtime import request_threads
from ayb_realtime.request_threads import OwnThread

current = sync_to_async(threading.current_thread)


async def of_a_request(barrier: asyncio.Barrier | None = None) -> set[threading.Thread]:
    """Return the threads of two calls, as Django makes them."""
    async with OwnThread(), ThreadSensitiveContext():
        first = await current()
        if barrier is not None:
            await barrier.wait()
        return {first, await current()}


async def test_requests_that_follow_each_other_have_the_same_thread() -> None:
    assert await of_a_request() == await of_a_request()


async def test_requests_at_the_same_time_have_a_thread_each() -> None:
    barrier = asyncio.Barrier(3)
    found = await asyncio.gather(*(of_a_request(barrier) for _ in range(3)))
    assert [len(each) for each in found] == [1, 1, 1]
    assert len(set.union(*found)) == 3


async def test_thread_in_which_a_call_goes_on_is_not_lent_again() -> None:
    begins, ends = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def busy() -> threading.Thread:
        loop.call_soon_threadsafe(begins.set)
        ends.wait(30)
        return threading.current_thread()

    async with OwnThread():
        going_on = asyncio.create_task(sync_to_async(busy)())
        await begins.wait()
    async with asyncio.timeout(30):
        (other,) = await of_a_request()
    ends.set()
    assert await going_on != other


async def test_task_that_outlives_its_request_still_has_a_thread() -> None:
    leaves = asyncio.Event()

    async def outliving() -> threading.Thread:
        await leaves.wait()
        return await current()

    async with OwnThread():
        task = asyncio.create_task(outliving())
    leaves.set()
    assert await task != threading.current_thread()


async def test_asgiref_that_keeps_its_threads_elsewhere_starts_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_threads, "_executors", {})
    (thread,) = await of_a_request()
    assert thread != threading.current_thread()
    assert not thread.name.startswith("ayb_realtime")


async def test_threads_end_when_no_request_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_threads, "LINGER_SECONDS", 0.01)
    barrier = asyncio.Barrier(3)
    for thread in set.union(*await asyncio.gather(*(of_a_request(barrier) for _ in range(3)))):
        await asyncio.to_thread(thread.join, 30)
        assert not thread.is_alive()
