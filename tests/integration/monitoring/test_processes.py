"""The example as deployed, asked as an orchestrator and Prometheus ask: over HTTP, and by the command's exit code."""

import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import psycopg
from httpx_sse import aconnect_sse

from embedded import Child, free_port
from example_project.blog.demo import Account
from tests.example import AUTHOR, MANAGE, STRANGER, Example, answers
from tests.integration.monitoring.conftest import TOKEN, Samples, samples

UNSEEN = "select ayb_realtime.milliseconds_v1() - last_value > 3000 from ayb_realtime.leader_seen"


async def ask(url: str, token: str = "") -> httpx.Response:
    """Request a page."""
    async with httpx.AsyncClient(timeout=30) as client:
        return await client.get(url, headers={"Authorization": f"Bearer {token}"} if token else {})


async def scrape(url: str, token: str = "") -> Samples:
    """Scrape as Prometheus does."""
    return samples((await ask(url, token)).raise_for_status().text)


@asynccontextmanager
async def posts(example: Example, account: Account) -> AsyncIterator[Any]:
    """Stream the posts that an account may see; enter the block when it misses no further change."""
    parameters = {"tables": "posts", "token": example.token(account)}
    async with (
        httpx.AsyncClient(timeout=60) as client,
        aconnect_sse(client, "GET", f"{example.address}/api/realtime", params=parameters) as source,
    ):
        events = source.aiter_sse()
        assert (await anext(events)).event == "connected"
        yield events


async def titles(events: Any, count: int) -> list[str]:
    """Wait for so many changes."""
    found: list[str] = []
    while len(found) < count:
        if (event := await anext(events)).data:
            found.append(event.json()["record"]["title"])
    return found


async def test_relay_and_web_process_tell_what_happened(seeded_url: str, tmp_path: Path) -> None:
    example = Example(seeded_url, tmp_path, METRICS_TOKEN=TOKEN, DEBUG="0")  # without a relay in the web process
    port = free_port()
    relay = example.run(str(MANAGE), "runrealtime", "--metrics", str(port))
    example.server = example.run("-m", "uvicorn", "example_project.asgi:application", "--port", str(example.port))
    try:
        relay.wait_until(lambda: "relay leads" in example.log())
        example.server.wait_until(lambda: answers(f"{example.address}/api/realtime/health"))
        assert (await ask(f"{example.address}/api/realtime/health")).json() == {"hub": True, "database": True}
        await _assert_counted(example, f"http://127.0.0.1:{port}/metrics")
        _assert_suspension_is_told(example, relay)
    finally:
        example.stop()
        relay.process.send_signal(signal.SIGCONT)
        code = relay.stop()
    assert code == 0
    assert "Traceback" not in example.log()


async def _assert_counted(example: Example, of_relay: str) -> None:
    of_web = f"{example.address}/api/realtime/metrics"
    assert (await ask(of_web)).status_code == 401
    async with AsyncExitStack() as stack:
        author, stranger = [await stack.enter_async_context(posts(example, who)) for who in (AUTHOR, STRANGER)]
        before, led_before = await scrape(of_web, TOKEN), await scrape(of_relay)
        for title, published in (("a", False), ("b", True), ("c", False)):
            example.add_post(title, published=published)
        assert (await titles(author, 3), await titles(stranger, 1)) == (["a", "b", "c"], ["b"])
        web, led = await scrape(of_web, TOKEN), await scrape(of_relay)
    names = ("changes_total", "events_total", 'answers_total{answer="shown"}', 'answers_total{answer="withheld"}')
    assert [web[name] - before[name] for name in names] == [3, 4, 4, 2]
    assert [led[name] - led_before[name] for name in ("numbered_total", "position")] == [3, 3]
    assert 1 <= web["delivery_seconds_count"] - before["delivery_seconds_count"] <= 3
    assert (web['streams{state="live"}'], web["identities"], web["leads"], web["behind"]) == (2, 2, 0, 0)
    assert (led["leads"], led["has_leader"], led["database_up"], led['streams{state="live"}']) == (1, 1, 1, 0)
    assert led["process_resident_memory_bytes"] > 2**20
    # The relay's process tells of the log.
    assert "position" not in web


def _assert_suspension_is_told(example: Example, relay: Child) -> None:
    assert example.run(str(MANAGE), "runrealtime", "--check").process.wait(60) == 0
    relay.process.send_signal(signal.SIGSTOP)
    with psycopg.connect(example.database_url, autocommit=True) as connection:
        while connection.execute(UNSEEN).fetchone() != (True,):
            pass
    assert example.run(str(MANAGE), "runrealtime", "--check").process.wait(60) == 1
    assert "CommandError: The leading relay, Postgres' process" in example.log()


def test_taken_port_for_metrics_is_refused(seeded_url: str, tmp_path: Path) -> None:
    example = Example(seeded_url, tmp_path, REDIS_URL=os.environ["REDIS_URL"])
    with psycopg.connect(seeded_url) as connection:
        port = connection.info.port
    child = example.run(str(MANAGE), "runrealtime", "--metrics", f"127.0.0.1:{port}")
    assert child.process.wait(60) == 1
    assert f"CommandError: Cannot serve the metrics on 127.0.0.1:{port}: " in example.log()
