"""One answer for all callers that wait at the same time."""

import asyncio

import pytest

from ayb_realtime import rests
from ayb_realtime.hub.single_flight import SingleFlight


class Question:
    """A call that counts how often it is made. The test gives the answer each time."""

    def __init__(self) -> None:
        self.count = 0
        self._put: asyncio.Queue[asyncio.Future[int]] = asyncio.Queue()

    async def __call__(self) -> int:
        self.count += 1
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._put.put_nowait(answer)
        return await answer

    async def next(self) -> asyncio.Future[int]:
        """Wait until the call is made; return the future of its answer."""
        return await self._put.get()


async def test_all_who_wait_share_one_question_and_who_comes_later_has_the_next() -> None:
    question = Question()
    shared = SingleFlight(question)
    first = asyncio.create_task(shared.get())
    answer = await question.next()
    later = [asyncio.create_task(shared.get()) for _ in range(1000)]
    await asyncio.sleep(0)
    answer.set_result(1)
    assert await first == 1
    (await question.next()).set_result(2)
    assert await asyncio.gather(*later) == [2] * 1000
    assert question.count == 2


async def test_failure_reaches_those_who_wait_and_none_after() -> None:
    question = Question()
    shared = SingleFlight(question)
    waiting = [asyncio.create_task(shared.get()) for _ in range(2)]
    (await question.next()).set_exception(OSError("gone"))
    assert [type(error) for error in await asyncio.gather(*waiting, return_exceptions=True)] == [OSError, OSError]
    again = asyncio.create_task(shared.get())
    (await question.next()).set_result(2)
    assert await again == 2


async def test_one_who_goes_away_leaves_the_answer_to_the_others() -> None:
    question = Question()
    shared = SingleFlight(question)
    leaving, staying = asyncio.create_task(shared.get()), asyncio.create_task(shared.get())
    answer = await question.next()
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    answer.set_result(1)
    assert await staying == 1


async def test_who_comes_while_it_rests_shares_the_next_question(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rests, "FACTOR", 1e12)
    question = Question()
    shared = SingleFlight(question)
    first = asyncio.create_task(shared.get())
    (await question.next()).set_result(1)
    await first
    later = []
    for _ in range(10):
        later.append(asyncio.create_task(shared.get()))
        await asyncio.sleep(0)
    (await question.next()).set_result(2)
    async with asyncio.timeout(30):
        assert await asyncio.gather(*later) == [2] * 10
    assert question.count == 2
