"""Logins that come together: passwords are hashed one at a time, so that streams keep the other cores."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, BoundedSemaphore, BrokenBarrierError, Event
from typing import Any

import pytest
from django.contrib.auth.hashers import MD5PasswordHasher
from django.db import connections
from django.test import Client, override_settings

from ayb_realtime.accounts import throttling
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

    def encode(self, password: str, salt: str) -> str:
        """Hash."""
        self.is_hashing.set()
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
