"""``manage.py runrealtime``: whatever prevents it from working is reported in one message."""

import asyncio
import os
import re
import select
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx
import pytest
from channels.layers import BaseChannelLayer, get_channel_layer
from django.core.management import CommandError, call_command
from django.db import connections

from ayb_realtime.management.commands.runrealtime import _host_and_port
from embedded import Child, free_port
from tests.example import AUTHOR, MANAGE, Example
from tests.integration.scenario import relaying

WITH_BROKEN_RELAY = """
import os, sys
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "example_project.settings")
import django
from django.core.management import execute_from_command_line
django.setup()
from ayb_realtime.management.commands import runrealtime

class BrokenRelay(runrealtime.Relay):
    async def run(self):
        raise OSError("no route to the host")

runrealtime.Relay = BrokenRelay
execute_from_command_line(["manage.py", "runrealtime", "--serve", sys.argv[1]])
"""


@pytest.fixture
def redis_layer(settings: Any) -> None:
    """A layer between processes."""
    settings.CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {"hosts": [os.environ["REDIS_URL"]]},
        }
    }


def refusal(*arguments: str) -> str:
    """Run the command, which must fail, and return what it says."""
    with pytest.raises(CommandError) as error:
        call_command("runrealtime", *arguments)
    return str(error.value)


async def test_check_names_the_leader_and_fails_without_one(
    database_url: str, memory_layer: BaseChannelLayer, capsys: pytest.CaptureFixture[str]
) -> None:
    message = await asyncio.to_thread(refusal, "--check")
    assert re.fullmatch(
        r"No relay leads\. Start one: manage.py runrealtime\. The log: position \d+, \d+ changes wait to be numbered",
        message,
    )
    async with relaying(memory_layer):
        await asyncio.to_thread(call_command, "runrealtime", "--check")
    said = (
        r"A relay leads, seen \d\.\d s ago by Postgres as process \d+: position \d+, \d+ changes wait to be numbered\n"
    )
    assert re.fullmatch(said, capsys.readouterr().out)


@pytest.mark.parametrize("alias", ["default", "realtime"])
@pytest.mark.parametrize("arguments", [(), ("--serve", "8000")])
def test_no_layer_is_refused_with_settings_that_would_do(settings: Any, alias: str, arguments: tuple[str, ...]) -> None:
    settings.CHANNEL_LAYERS = {}
    settings.AYB_REALTIME = {"CHANNEL_LAYER": alias}
    message = refusal(*arguments)
    assert message.startswith(f"There is no Channels layer {alias!r}")
    assert 'AYB_REALTIME = {"CHANNEL_LAYER": None}' in message

    advice: dict[str, Any] = {}
    found = re.search(r"^    CHANNEL_LAYERS = .*?^    }$", message, re.MULTILINE | re.DOTALL)
    assert found is not None
    exec(textwrap.dedent(found[0]), advice)
    settings.CHANNEL_LAYERS = advice["CHANNEL_LAYERS"]
    assert type(get_channel_layer(alias)).__name__ == "RedisPubSubChannelLayer"


def test_in_memory_layer_without_serve_is_refused(memory_layer: BaseChannelLayer) -> None:
    message = refusal()
    assert message.startswith("The Channels layer 'default' is the in-memory one")
    assert "pip install django-ayb-realtime[redis]" in message
    assert "runrealtime --serve 127.0.0.1:8000" in message


@pytest.mark.parametrize(
    "address", ["nope", "127.0.0.1", "127.0.0.1:", "127.0.0.1:http", ":-1", "localhost:65536", "²"]
)
def test_address_that_is_none_is_refused(memory_layer: BaseChannelLayer, address: str) -> None:
    assert refusal("--serve", address) == f"--serve takes [HOST:]PORT, such as 127.0.0.1:8000, not {address!r}"


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("8000", ("127.0.0.1", 8000)),
        (":8000", ("127.0.0.1", 8000)),
        ("0.0.0.0:80", ("0.0.0.0", 80)),
        ("localhost:65535", ("localhost", 65535)),
        ("[::1]:8000", ("::1", 8000)),
    ],
)
def test_address_is_read(address: str, expected: tuple[str, int]) -> None:
    assert _host_and_port("--serve", address) == expected


def test_unknown_database_is_refused_with_the_known_ones(redis_layer: None) -> None:
    assert refusal("--database", "nope") == f"DATABASES has no 'nope'. It has: {', '.join(connections)}."


def test_database_that_is_not_postgres_is_refused(redis_layer: None, another_database: dict[str, Any]) -> None:
    another_database["ENGINE"] = "django.db.backends.sqlite3"
    assert refusal("--database", "another") == "The database 'another' is sqlite; the relay needs PostgreSQL."


def test_unreachable_database_is_reported(redis_layer: None, another_database: dict[str, Any]) -> None:
    another_database.update(HOST="127.0.0.1", PORT=free_port())
    message = refusal("--database", "another")
    assert f'connection to server at "127.0.0.1", port {another_database["PORT"]} failed: Connection refused' in message


def test_database_without_our_tables_is_told_to_migrate(redis_layer: None, another_database: dict[str, Any]) -> None:
    another_database["NAME"] = urlsplit(os.environ["DATABASE_URL"]).path[1:]
    told = refusal("--database", "another")
    assert told.startswith('relation "ayb_realtime.batch" does not exist. First run: manage.py migrate. ')


@pytest.fixture
def example(database_url: str, tmp_path: Path) -> Example:
    """The example on the test database."""
    name = connections["default"].settings_dict["NAME"]
    return Example(urlunsplit(urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{name}")), tmp_path)


def ended(child: Child) -> int:
    """Wait until a process has ended by itself; return its exit code."""
    return child.process.wait(60)


def test_taken_port_is_refused(example: Example) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        child = example.run(str(MANAGE), "runrealtime", "--serve", f"127.0.0.1:{port}")
        assert ended(child) == 1
    log = example.log()
    assert f"CommandError: Cannot serve on 127.0.0.1:{port}: " in log
    assert "Address already in use" in log
    assert "Choose another port: --serve 127.0.0.1:PORT" in log
    assert "Traceback" not in log


def test_server_whose_database_cannot_be_reached_ends_and_says_so(tmp_path: Path) -> None:
    port = free_port()
    example = Example(f"postgres://nobody@127.0.0.1:{port}/nothing", tmp_path)
    child = example.run(str(MANAGE), "runrealtime", "--serve", f"127.0.0.1:{free_port()}")
    assert ended(child) == 1
    log = example.log()
    assert re.search(rf"CommandError: .*port {port} failed: Connection refused", log)
    assert "Traceback" not in log


def test_relay_that_an_operating_system_error_ends_is_not_taken_for_an_address_in_use(example: Example) -> None:
    child = example.run("-c", WITH_BROKEN_RELAY, str(example.port))
    assert ended(child) == 1
    log = example.log()
    assert "CommandError: The relay has failed: no route to the host\n" in log
    assert "Cannot serve" not in log
    assert "Traceback" not in log


def test_server_prints_its_address_and_takes_no_path_from_a_header(example: Example) -> None:
    child = example.run(str(MANAGE), "runrealtime", "--serve", f"{example.port}")
    try:
        child.wait_until(lambda: f"Serving on {example.address}/ (Ctrl-C stops it)\n" in example.log())
        for root in ("/x", "\xff"):  # Which Daphne believes, whoever writes it.
            headers = {b"Daphne-Root-Path": root.encode("latin-1")}
            assert httpx.get(f"{example.address}/x/api/auth/me", headers=headers, timeout=30).status_code == 404
    finally:
        assert child.stop() == 0


def test_start_is_logged_in_one_line(example: Example) -> None:
    example.environment["REDIS_URL"] = os.environ["REDIS_URL"]
    child = example.run(str(MANAGE), "runrealtime")
    try:
        child.wait_until(lambda: "relay leads" in example.log())
    finally:
        code = child.stop()
    (line,) = example.log().splitlines()
    assert re.search(r"INFO ayb_realtime\.relay: relay leads: 2 tables \(comments, posts\), position \d+$", line)
    assert code == 0


class Screen:
    """A process in a terminal, and all that it has written there."""

    def __init__(self, example: Example, *arguments: str) -> None:
        self._terminal, theirs = os.openpty()
        self.process = subprocess.Popen(
            [sys.executable, str(MANAGE), *arguments],
            env=example.environment,
            cwd=MANAGE.parent,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        self.text = ""

    def find(self, pattern: str) -> re.Match[str]:
        """Wait until what is written from now on matches."""
        before, deadline = len(self.text), time.monotonic() + 60
        while not (found := re.search(pattern, self.text[before:])):
            assert select.select([self._terminal], [], [], deadline - time.monotonic())[0], self.text
            self.text += os.read(self._terminal, 4096).decode()
        return found

    def close(self) -> None:
        """End the process, if it has not ended."""
        self.process.kill()
        self.process.wait()
        os.close(self._terminal)


@contextmanager
def screen(example: Example, *arguments: str) -> Iterator[Screen]:
    """Run a command of manage.py in a terminal."""
    shown = Screen(example, *arguments)
    try:
        yield shown
    finally:
        shown.close()


def test_terminal_shows_a_line_that_is_kept_up_to_date(example: Example) -> None:
    with screen(example, "runrealtime", "--serve", str(example.port)) as shown:
        shown.find(r"\r\x1b\[KServing on http://127.0.0.1")
        shown.find(r"\r\x1b\[K\r[-\d]+ [:,\d]+ INFO ayb_realtime.relay: relay leads: 2 tables")
        found = shown.find(r"\r\x1b\[Kleads \| 0 changes/s \| position ([\d,]+) \| 0 waiting \| 0 streams\r")
        position = int(found[1].replace(",", ""))
        example.write(
            "insert into users (id, email, password, is_active, date_joined, updated_at)"
            " values (%s, 'a@b.example', '', true, now(), now())",
            AUTHOR.id,
        )
        example.add_post("one", published=True)
        shown.find(rf"leads \| \d changes/s \| position {position + 1:,} \| 0 waiting \| 0 streams\r")

        with screen(example, "runrealtime", "--serve", str(free_port())) as standby:
            standby.find(rf"stands by \| \d changes/s \| position {position + 1:,} \| 0 waiting \| 0 streams\r")
            shown.process.send_signal(signal.SIGINT)
            # The line is cleared for the shell's prompt.
            shown.find(r"\r\x1b\[K\r$")
            assert shown.process.wait(60) == 0
            standby.find(r"\r\x1b\[Kleads \|")
