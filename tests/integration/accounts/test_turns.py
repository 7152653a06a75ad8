"""Logins that come together: passwords are hashed one at a time, so that streams keep the other cores."""

import asyncio
import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, BoundedSemaphore, BrokenBarrierError, Event
from typing import Any, ClassVar

import pytest
from asgiref.testing import ApplicationCommunicator
from django.contrib.auth.hashers import MD5PasswordHasher
from django.core.asgi import get_asgi_application
from django.db import connections
from django.test import Client, override_settings

from ayb_realtime.accounts import throttling
from ayb_realtime.asgi import Realtime
from tests.integration.accounts.conftest import assert_refused, login

pytestmark = pytest.mark.django_db(transaction=True)

# How long a hash waits for another one at the same time.
MEETING_SECONDS = 0.5


class MeetingHasher(MD5PasswordHasher):
    """Waits in each hash for another one."""

    meeting = Barrier(2)
    met = Event()
    is_hashing = Event()
    may_go_on = Event()
    niceness: ClassVar[list[int]] = []

    def encode(self, password: str, salt: str) -> str:
        """Hash."""
        self.is_hashing.set()
        self.niceness.append(int(Path("/proc/thread-self/stat").read_text().rpartition(")")[2].split()[16]))
        try:
            self.meeting.wait(MEETING_SECONDS)
            self.met.set()
        except BrokenBarrierError:
            self.meeting.reset()
        self.may_go_on.wait(30)
        return super().encode(password, salt)


@pytest.fixture(autouse=True)
def hasher(quick_hashes: None) -> Iterator[type[MeetingHasher]]:
    """The hasher, which goes on at once unless the test clears ``may_go_on``."""
    for event in (MeetingHasher.met, MeetingHasher.is_hashing):
        event.clear()
    MeetingHasher.niceness.clear()
    MeetingHasher.may_go_on.set()
    with override_settings(PASSWORD_HASHERS=[f"{__name__}.MeetingHasher"]):
        yield MeetingHasher
    MeetingHasher.may_go_on.set()


def try_to_log_in(number: int) -> Any:
    """Log in with an unknown email, in a thread."""
    try:
        return login(Client(), f"{number}@example.com", "wrong")
    finally:
        connections.close_all()


def test_passwords_are_hashed_one_at_a_time(hasher: type[MeetingHasher]) -> None:
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(try_to_log_in, range(4)))
    assert [answer.status_code for answer in answers] == [401] * 4
    assert not hasher.met.is_set()


def test_login_beyond_those_that_may_wait_is_told_to_come_back(
    hasher: type[MeetingHasher], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(throttling, "_waiting", BoundedSemaphore(1))
    hasher.may_go_on.clear()
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(try_to_log_in, 1)
        assert hasher.is_hashing.wait(30)
        refusal = try_to_log_in(2)
        hasher.may_go_on.set()
        assert first.result().status_code == 401
    assert_refused(refusal, 503, "too many logins")
    assert refusal["Retry-After"] == "10"
    assert try_to_log_in(3).status_code == 401


async def log_in(application: Any, peer: str = "192.0.2.1", **headers: str) -> tuple[int, Any, dict[bytes, bytes]]:
    """Log in with an unknown email, by ASGI; return the status, what is in the body, and the headers."""
    given = [(name.encode(), value.encode()) for name, value in {"host": "localhost", **headers}.items()]
    scope = {"type": "http", "method": "POST", "path": "/api/auth/login", "query_string": b"", "headers": given}
    asked: Any = ApplicationCommunicator(application, {**scope, "client": (peer, 1)})  # type: ignore[no-untyped-call]
    await asked.send_input({"type": "http.request", "body": b'{"email": "x@example.com", "password": "wrong"}'})
    start, body = await asked.receive_output(30), await asked.receive_output(30)
    await asked.wait(30)
    return start["status"], json.loads(body["body"]), dict(start["headers"])


async def test_thread_of_a_login_leaves_the_core_to_others_if_it_ends_with_the_request(
    hasher: type[MeetingHasher],
) -> None:
    before = os.getpriority(os.PRIO_PROCESS, 0)
    status, _, _ = await log_in(get_asgi_application())
    assert status == 401
    assert hasher.niceness == [max(10, before)]
    await asyncio.to_thread(try_to_log_in, 1)
    assert hasher.niceness[1:] == [before]


async def test_login_of_an_address_that_was_refused_is_refused_before_django(
    hasher: type[MeetingHasher], settings: Any
) -> None:
    settings.REST_FRAMEWORK = {"DEFAULT_THROTTLE_RATES": {"ayb_login": "1/hour"}}
    django, seen = get_asgi_application(), []

    async def site(scope: Any, *rest: Any) -> None:
        seen.append(scope["client"][0])
        await django(scope, *rest)

    answers = [await log_in(Realtime(site), "203.0.113.1") for _ in range(4)]
    assert [status for status, _, _ in answers] == [401, 429, 429, 429]
    assert seen == ["203.0.113.1"] * 2
    assert len(hasher.niceness) == 1
    for _, body, headers in answers[1:]:
        assert (body["code"], list(body)) == (429, ["code", "message"])
        assert body["message"].startswith("Request was throttled. Expected available in 3")
        assert 3500 < int(headers[b"Retry-After"]) <= 3600
        assert headers[b"Cache-Control"] == b"no-store"
    assert (await log_in(Realtime(site), "203.0.113.2"))[0] == 401
    # A page of another site can read a few.
    origin = {"origin": "https://other.example"}
    statuses = [(await log_in(Realtime(site), "203.0.113.1", **origin))[0] for _ in range(30)]
    assert statuses == [429] * 30
    assert 3 + 10 <= len(seen) < 3 + 30
