"""``make demo`` in a fresh copy of the checkout, as a newcomer runs it, twice."""

import os
import re
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psycopg
import pytest

from embedded import Child, free_port
from tests.example import AUTHOR, Example, answers

CHECKOUT = Path(os.environ.get("CHECKOUT", Path(__file__).parent.parent.parent))
MADE_THERE = shutil.ignore_patterns(".git", ".venv", ".tox", ".demo", "build", "dist", "*.egg-info", "__pycache__")
DATABASE_URL = re.compile(r"postgresql://\S+")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout without generated files."""
    return shutil.copytree(CHECKOUT, tmp_path_factory.mktemp("demo") / "checkout", ignore=MADE_THERE)


@contextmanager
def demo(checkout: Path) -> Iterator[Example]:
    """Run ``make demo`` until the block ends; Ctrl-C must end all of it without an error."""
    environment = {name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "REDIS_URL"}}
    log, port = checkout / "demo.log", free_port()
    child = Child.start(["make", "demo", f"PORT={port}"], log=log, env=environment, cwd=checkout)
    try:
        child.wait_until(lambda: "Ctrl-C stops everything" in log.read_text(), seconds=300)
        found = DATABASE_URL.search(log.read_text())
        assert found, log.read_text()
        example = Example(found[0], checkout)
        example.address = f"http://127.0.0.1:{port}"
        yield example
    finally:
        os.killpg(child.process.pid, signal.SIGINT)  # as a terminal does
        code = child.process.wait(60)
    assert code in {0, -signal.SIGINT}, log.read_text()
    assert "Traceback" not in log.read_text()
    assert not answers(example.address)
    with pytest.raises(psycopg.OperationalError, match="refused"):
        psycopg.connect(example.database_url)


def test_demo_serves_and_keeps_its_data_and_stops(checkout: Path) -> None:
    with demo(checkout) as example:
        assert "<title>" in httpx.get(example.address).text
        assert httpx.get(f"{example.address}/static/ayb_realtime/client.js").is_success
        assert example.token(AUTHOR)
        post = example.add_post("kept", published=True)
    with demo(checkout) as example:
        assert example.write("select id from posts where title = 'kept'") == post
        assert example.write("select rolsuper::int from pg_roles where rolname = current_user") == 0


def test_demo_on_a_taken_port_says_so_before_it_starts_anything(checkout: Path) -> None:
    with demo(checkout) as example:
        port = httpx.URL(example.address).port
        second = Child.start(["make", "demo", f"PORT={port}"], log=checkout / "second.log", cwd=checkout)
        assert second.process.wait(60) != 0
        said = (checkout / "second.log").read_text()
    assert f"port {port} of 127.0.0.1 is taken" in said
    assert "Starting PostgreSQL" not in said
