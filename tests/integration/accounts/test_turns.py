"""Logins that come together: no more than their limits are let through, and passwords are hashed one at a time."""

import asyncio
import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, BoundedSemaphore, BrokenBarrierError, Event, Lock, Semaphore
from typing import Any, ClassVar

import pytest
from asgiref.testing import ApplicationCommunicator
from django.contrib.auth.hashers import MD5PasswordHasher
from django.core.asgi import get_asgi_application
from django.core.cache.backends.locmem import LocMemCache
from django.db import connections
from django.test import Client, override_settings

from ayb_realtime import early_refusals
from ayb_realtime.access.limits import here
from ayb_realtime.accounts import throttling
from ayb_realtime.asgi import Realtime
from tests.integration.accounts.conftest import LOGIN, assert_refused, login

pytestmark = pytest.mark.django_db(transaction=True)

# How long a hash waits for another one at the same time.
MEETING_SECONDS = 0.5

BODY = {"type": "http.request", "body": b'{"email": "x@example.com", "password": "wrong"}'}


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


@pytest.fixture(autouse=True)
def held(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hold no refusal back."""
    monkeypatch.setattr(early_refusals, "HELD_SECONDS", 0)


def try_to_log_in(number: int) -> Any:
    """Log in with an unknown email, in a thread."""
    try:
        return login(Client(), f"{number}@example.com", "wrong")
    finally:
        connections.close_all()


class MeetingCache(LocMemCache):
    """Shows what it holds only when four have asked, each for the same: so none sees what another one writes next."""

    meeting = Barrier(4)

    def get(self, *arguments: Any, **named: Any) -> Any:
        """Return what is held."""
        found = super().get(*arguments, **named)
        self.meeting.wait(30)
        return found

    def add(self, *arguments: Any, **named: Any) -> bool:
        """Add what is not held."""
        self.meeting.wait(30)
        return super().add(*arguments, **named)


@pytest.mark.parametrize("limit", ["ayb_login", "ayb_login_email"])
def test_logins_that_come_together_pass_no_limit(settings: Any, limit: str) -> None:
    rates = {"ayb_login": None, "ayb_login_email": None, limit: "2/hour"}
    settings.REST_FRAMEWORK = {"DEFAULT_THROTTLE_RATES": rates}
    settings.CACHES = {"default": {"BACKEND": f"{__name__}.MeetingCache", "LOCATION": limit}}
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(try_to_log_in, [1] * 4))
    assert sorted(answer.status_code for answer in answers) == [401, 401, 429, 429]


def test_passwords_are_hashed_one_at_a_time(hasher: type[MeetingHasher]) -> None:
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(try_to_log_in, range(4)))
    assert [answer.status_code for answer in answers] == [401] * 4
    assert not hasher.met.is_set()


def test_login_beyond_those_that_may_wait_is_told_to_come_back(
    hasher: type[MeetingHasher], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(early_refusals, "waiting_logins", BoundedSemaphore(1))
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


def ask(application: Any, peer: str = "192.0.2.1", path: str = LOGIN, **headers: str) -> Any:
    """Begin a login by ASGI."""
    given = [(name.encode(), value.encode()) for name, value in {"host": "localhost", **headers}.items()]
    scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": given}
    return ApplicationCommunicator(application, {**scope, "client": (peer, 1)})  # type: ignore[no-untyped-call]


async def log_in(
    application: Any, peer: str = "192.0.2.1", path: str = LOGIN, **headers: str
) -> tuple[int, Any, dict[bytes, bytes]]:
    """Log in with an unknown email, by ASGI; return the status, what is in the body, and the headers."""
    asked = ask(application, peer, **headers)
    await asked.send_input(BODY)
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
    settings.REST_FRAMEWORK = {"DEFAULT_THROTTLE_RATES": {"ayb_login": "1/day"}}
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
        seconds = int(headers[b"Retry-After"])
        assert 0 < seconds <= 24 * 60 * 60
        assert body["message"].startswith(f"Request was throttled. Expected available in {seconds} second")
        assert headers[b"Cache-Control"] == b"no-store"
    assert (await log_in(Realtime(site), "203.0.113.2"))[0] == 401
    # A page of another site can read a few.
    origin = {"origin": "https://other.example"}
    statuses = [(await log_in(Realtime(site), "203.0.113.1", **origin))[0] for _ in range(30)]
    assert statuses == [429] * 30
    assert 3 + 10 <= len(seen) < 3 + 30


class Site:
    """The site's application within ``Realtime``, which notes who asks and whether a client has gone."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.gone = asyncio.Event()
        self._django = get_asgi_application()
        self.application = Realtime(self._answer)

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        async def receiving() -> Any:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.gone.set()
            return message

        self.asked.append(scope["client"][0])
        await self._django(scope, receiving, send)


class Turn:
    """A lock that tells when one more asks for it."""

    def __init__(self) -> None:
        self.asked = Semaphore(0)
        self._lock = Lock()

    def __enter__(self) -> None:
        self.asked.release()
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


async def test_password_of_a_client_that_has_gone_while_it_waited_is_not_hashed(
    hasher: type[MeetingHasher], monkeypatch: pytest.MonkeyPatch
) -> None:
    site, turn = Site(), Turn()
    monkeypatch.setattr(throttling, "_checking", turn)
    hasher.may_go_on.clear()
    first = asyncio.create_task(log_in(site.application))
    assert await asyncio.to_thread(turn.asked.acquire, timeout=30)
    second = ask(site.application)
    await second.send_input(BODY)
    assert await asyncio.to_thread(turn.asked.acquire, timeout=30)
    await second.send_input({"type": "http.disconnect"})
    await site.gone.wait()
    hasher.may_go_on.set()
    assert (await first)[0] == 401
    await second.wait(30)
    assert len(hasher.niceness) == 1
    assert (await log_in(site.application))[0] == 401


async def test_login_beyond_those_that_may_wait_is_refused_before_django(
    hasher: type[MeetingHasher], monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site()
    monkeypatch.setattr(early_refusals, "waiting_logins", BoundedSemaphore(1))
    hasher.may_go_on.clear()
    first = asyncio.create_task(log_in(site.application))
    assert await asyncio.to_thread(hasher.is_hashing.wait, 30)
    early = await log_in(site.application, "192.0.2.2")
    # A page of another site can read a few.
    by_django = await log_in(site.application, "192.0.2.3", origin="https://other.example")
    hasher.may_go_on.set()
    assert (await first)[0] == 401
    assert site.asked == ["192.0.2.1", "192.0.2.3"]
    for status, body, headers in (early, by_django):
        assert (status, body) == (503, {"code": 503, "message": "too many logins"})
        assert (headers[b"Retry-After"], headers[b"Cache-Control"]) == (b"10", b"no-store")
    assert (await log_in(site.application, "192.0.2.2"))[0] == 401


async def test_logins_beyond_those_of_a_second_are_refused_before_django(
    hasher: type[MeetingHasher], monkeypatch: pytest.MonkeyPatch
) -> None:
    site, in_a_second = Site(), []
    monkeypatch.setattr(asyncio.get_running_loop(), "call_later", lambda _, call: in_a_second.append(call))
    assert (await log_in(site.application))[0] == 401
    here().logins = early_refusals.LOGINS_MAX - 1
    assert [(await log_in(site.application))[0] for _ in range(3)] == [401, 503, 503]
    assert len(site.asked) == len(in_a_second) == 2
    in_a_second.pop()()
    assert (await log_in(site.application))[0] == 401


async def test_refusal_is_held_back_unless_many_are(
    hasher: type[MeetingHasher], monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site()
    await log_in(site.application)
    monkeypatch.setattr(early_refusals, "HELD_SECONDS", 60)
    monkeypatch.setattr(early_refusals, "HELD_MAX", 1)
    here().logins = 2 * early_refusals.LOGINS_MAX
    logins = [asyncio.create_task(log_in(site.application)) for _ in range(2)]
    answered, held = await asyncio.wait(logins, return_when=asyncio.FIRST_COMPLETED)
    assert [login.result()[0] for login in answered] == [503]
    assert len(held) == here().held == 1
    held.pop().cancel()


async def test_path_where_a_site_has_a_login_of_its_own_is_left_alone(hasher: type[MeetingHasher]) -> None:
    site = Site()
    here().logins = early_refusals.LOGINS_MAX
    early_refusals._login_paths.clear()
    assert [(await log_in(site.application))[0] for _ in range(2)] == [401, 503]
    asked = ask(site.application, path="/shop/api/auth/login")
    await asked.send_input(BODY)
    start, _ = await asked.receive_output(30), await asked.receive_output(30)
    await asked.wait(30)
    assert start["status"] == 404
