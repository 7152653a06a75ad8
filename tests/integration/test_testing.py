"""``ayb_realtime.testing`` in a site's suite, run as its developer runs it: by pytest, and by manage.py test."""

import os
import re
import subprocess
import sys
import uuid
from pathlib import Path

import psycopg

from tests.example import MANAGE

PAGE = MANAGE.parent / "docs" / "testing.md"
PLAIN = ("-p", "no:cacheprovider", "--tb=line", "-W", "error::pytest.PytestUnraisableExceptionWarning")
SETTINGS = "from example_project.settings import *\nDATABASES['default']['TEST'] = {'NAME': '%s'}\n"

SUITE = """
import asyncio
import urllib.request

import pytest
from asgiref.sync import async_to_sync
from channels.testing import ChannelsLiveServerTestCase
from django.contrib.auth import get_user_model
from django.test import TestCase, TransactionTestCase, override_settings
from rest_framework_simplejwt.tokens import AccessToken

from ayb_realtime.postgres import database
from ayb_realtime.testing import RealtimeMixin
from example_project.blog.models import Post

pytestmark = pytest.mark.asyncio


async def author_with_a_stream(realtime):
    author = await get_user_model().objects.acreate(email="author@example.com")
    await Post.objects.acreate(author=author, title="committed before")
    return author, await realtime.stream(author, ["posts"])


async def test_event_that_does_not_come(realtime):
    author, stream = await author_with_a_stream(realtime)
    await Post.objects.acreate(author=author, title="first")
    await stream.event(action="delete", table="posts", seconds=1)


async def test_event_in_the_silence(realtime):
    author, stream = await author_with_a_stream(realtime)
    await Post.objects.acreate(author=author, title="second")
    await stream.assert_silent()


async def end_relay(monkeypatch):
    monkeypatch.setattr("ayb_realtime.relay.leadership.LEAD", "select 1 where false")
    async with await database.connect("default") as connection:
        await connection.execute("select pg_terminate_backend(pid) from ayb_realtime.leader")


async def test_no_relay(realtime, monkeypatch):
    author, stream = await author_with_a_stream(realtime)
    await end_relay(monkeypatch)
    await stream.event(seconds=1)


async def test_stream_begins_after_what_was_committed_before(realtime, monkeypatch):
    author, _ = await author_with_a_stream(realtime)
    with monkeypatch.context() as patch:
        await end_relay(patch)
        await Post.objects.acreate(author=author, title="committed before")
        opening = asyncio.create_task(realtime.stream(author, ["posts"]))
        await asyncio.wait([opening], timeout=1)
    await (await opening).assert_silent()


async def test_refused(realtime):
    await realtime.stream(None, ["posts"])


class InATransaction(RealtimeMixin, TestCase):
    async def test_in_a_transaction(self):
        pass


class Plain(RealtimeMixin, TransactionTestCase):
    def test_that_is_not_async(self):
        author, stream = async_to_sync(author_with_a_stream)(self.realtime)
        Post.objects.create(author=author, title="fourth")
        event = async_to_sync(stream.event)(action="create", record={"title": "fourth"})
        assert event["table"] == "posts"
        async_to_sync(stream.assert_silent)()


@override_settings(AYB_REALTIME={"ANONYMOUS": True})
class Resuming(RealtimeMixin, TransactionTestCase):
    async def test_streams_that_resume(self):
        author, first = await author_with_a_stream(self.realtime)
        anonymous = await self.realtime.stream(None, ["posts"])
        await Post.objects.acreate(author=author, title="fifth")
        resumed = await self.realtime.stream(author, ["posts"], headers={"Last-Event-ID": str(first._position)})
        too_late = await self.realtime.stream(author, ["posts"], headers={"Last-Event-ID": "1"})
        await resumed.event(action="create", table="posts", record={"title": "fifth"})
        await too_late.event("reset")
        for stream in (resumed, too_late, anonymous):
            await stream.assert_silent()


@override_settings(
    AYB_REALTIME={"AUTHENTICATION_CLASSES": ["rest_framework.authentication.SessionAuthentication"]},
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
    SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
)
class Sessions(RealtimeMixin, TransactionTestCase):
    async def test_session(self):
        author, stream = await author_with_a_stream(self.realtime)
        await Post.objects.acreate(author=author, title="seventh")
        await stream.event(record={"title": "seventh"})


class Live(RealtimeMixin, ChannelsLiveServerTestCase):
    def test_another_process_that_serves(self):
        author = get_user_model().objects.create(email="author@example.com")
        url = f"{self.live_server_url}/api/realtime?tables=posts&token={AccessToken.for_user(author)}"
        with urllib.request.urlopen(url, timeout=30) as response:
            data = (line for line in response if line.startswith(b"data:"))
            assert b"clientId" in next(data)
            Post.objects.create(author=author, title="sixth")
            assert b"sixth" in next(data)
"""


def examples() -> list[str]:
    """Return the Python blocks of the documentation's page."""
    return re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)


def run(folder: Path, *arguments: str, test_module: str, conftest: str = "") -> subprocess.CompletedProcess[str]:
    """Run Python in a folder with a test module, on a test database that must be dropped afterwards."""
    name = f"test_{uuid.uuid4().hex}"
    (folder / "conftest.py").write_text(conftest)
    (folder / "test_site.py").write_text(test_module)
    (folder / "site_settings.py").write_text(SETTINGS % name)
    environment = {**os.environ, "COLUMNS": "2000", "DJANGO_SETTINGS_MODULE": "site_settings", "REDIS_URL": ""}
    environment["PYTHONPATH"] = os.pathsep.join([str(folder), str(MANAGE.parent)])
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        assert not connection.execute("select from pg_database where datname = %s", [name]).fetchall(), done.stderr
    return done


def test_examples_of_the_documentation_pass_by_pytest(tmp_path: Path) -> None:
    conftest, *modules = examples()
    done = run(tmp_path, "-m", "pytest", *PLAIN, test_module="\n".join(modules), conftest=conftest)
    assert "3 passed" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 0, done.stdout + done.stderr


def test_examples_of_the_documentation_pass_by_manage_py_test(tmp_path: Path) -> None:
    _, _, *modules = examples()
    done = run(tmp_path, str(MANAGE), "test", "test_site", test_module="\n".join(modules))
    assert "Ran 2 tests" in done.stderr, done.stdout + done.stderr
    assert done.returncode == 0, done.stdout + done.stderr


def test_failures_say_what_was_received_and_the_rest_passes(tmp_path: Path) -> None:
    conftest, *_ = examples()
    done = run(tmp_path, "-m", "pytest", *PLAIN, test_module=SUITE, conftest=conftest)
    failed = dict(re.findall(r"^FAILED .*::test_(\w+) - (.*)$", done.stdout, re.MULTILINE))
    assert "5 failed, 5 passed" in done.stdout, done.stdout + done.stderr
    first = failed["event_that_does_not_come"]
    assert 'It has received: message {"action": "create", "table": "posts"' in first
    assert first.startswith("AssertionError: No such event came in 1 s: message delete posts. ")
    assert first.endswith(". A relay leads.")
    assert failed["event_in_the_silence"].startswith("AssertionError: The stream was not silent")
    assert '"title": "second"' in failed["event_in_the_silence"]
    assert "committed before" not in done.stdout.replace(SUITE, "")
    assert failed["no_relay"].endswith("It has received nothing else. No relay leads.")
    assert "401" in failed["refused"]
    assert "a transaction that never commits" in failed["in_a_transaction"]
    assert "errors" not in done.stdout
