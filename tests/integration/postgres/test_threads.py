"""Simultaneous calls of Django's ORM share connections, which close soon afterwards."""

import time
from collections.abc import Iterator
from concurrent.futures import Future, wait
from threading import Barrier, Event
from typing import Any

import psycopg
import pytest
from django.db import connections

from ayb_realtime.postgres.threads import ConnectionThreads

THREADS = 3


@pytest.fixture
def threads(database_url: str) -> Iterator[ConnectionThreads]:
    """An executor with idle threads; afterwards all have ended."""
    made = ConnectionThreads(THREADS)
    yield made
    made.shutdown()


@pytest.fixture
def hold(threads: ConnectionThreads) -> Iterator[Event]:
    """An event that blocks all threads until it is set."""
    begin = Event()
    held = [threads.submit(begin.wait, 60) for _ in range(THREADS)]
    yield begin
    begin.set()
    wait(held, 60)


def backend() -> int:
    """Return the backend's process id of this thread's connection."""
    with connections["default"].cursor() as cursor:
        cursor.execute("select pg_backend_pid()")
        return int(cursor.fetchone()[0])


def failing() -> None:
    """Use the connection, then raise."""
    backend()
    raise LookupError("nobody")


def results(futures: list[Future[Any]]) -> list[Any]:
    """Wait for all results."""
    return [future.result(60) for future in futures]


def test_calls_that_wait_share_a_connection_for_each_thread(threads: ConnectionThreads, hold: Event) -> None:
    futures = [threads.submit(backend) for _ in range(100)]
    hold.set()
    assert len(set(results(futures))) <= THREADS


def test_no_connection_is_left_when_nothing_waits(threads: ConnectionThreads, owner: psycopg.Connection[Any]) -> None:
    used = set(results([threads.submit(backend) for _ in range(10)]))
    deadline = time.monotonic() + 30
    while owner.execute("select pid from pg_stat_activity where pid = any(%s)", [list(used)]).fetchone():
        assert time.monotonic() < deadline


def test_call_that_fails_raises_and_takes_its_connection_with_it(database_url: str) -> None:
    threads = ConnectionThreads(1)
    begin = Event()
    futures = [threads.submit(call) for call in (lambda: begin.wait(60), backend, failing, backend)]
    begin.set()
    _, before, failed, after = futures
    with pytest.raises(LookupError, match="nobody"):
        failed.result(60)
    assert before.result(60) != after.result(60)
    threads.shutdown()


def test_cancelled_call_is_not_made(threads: ConnectionThreads, hold: Event) -> None:
    made: list[int] = []
    cancelled, other = threads.submit(made.append, 1), threads.submit(made.append, 2)
    assert cancelled.cancel()
    hold.set()
    other.result(60)
    assert made == [2]


def test_thread_that_lingers_takes_what_comes(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ayb_realtime.postgres.threads.LINGER_SECONDS", 60)
    threads = ConnectionThreads(1)
    assert len({threads.submit(backend).result(60) for _ in range(20)}) == 1
    monkeypatch.setattr("ayb_realtime.postgres.threads.LINGER_SECONDS", 0)
    threads.submit(backend).result(60)
    threads.shutdown()


def test_more_calls_than_threads_that_linger_are_made_at_once(
    threads: ConnectionThreads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ayb_realtime.postgres.threads.LINGER_SECONDS", 0.5)
    threads.submit(backend).result(60)
    everybody = Barrier(THREADS)
    results([threads.submit(everybody.wait, 20) for _ in range(THREADS)])
