"""A site that is started by the commands of docs/howto/servers.md, each as printed but for its port."""

import os
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
import yaml
from httpx_sse import EventSource

from embedded import Child, free_port
from tests.acceptance.documents import DEPLOYMENT, MONITORING, SERVERS, printed
from tests.example import AUTHOR, MANAGE, Example, answers

RELAY = printed(SERVERS, "bash", "runrealtime\n").strip()
COMMANDS = printed(SERVERS, "bash", "uvicorn").splitlines()
TOKEN = "a token of sixteen letters"
SCRAPED = yaml.safe_load(printed(MONITORING, "yaml"))["scrape_configs"]


class Site:
    """A project whose settings and ``asgi.py`` are those that the pages print, and its processes."""

    def __init__(self, database_url: str, folder: Path) -> None:
        self.folder = folder
        self.example = Example(database_url, folder)
        self.first_metrics_port = free_port()
        self.servers: list[Child] = []
        self._write_project()
        path = f"{folder}{os.pathsep}{MANAGE.parent}"
        settings = {"DJANGO_SETTINGS_MODULE": "mysite.settings", "METRICS_TOKEN": TOKEN, "DEBUG": "0"}
        self._environment = {**self.example.environment, **settings, "PYTHONPATH": path}

    def _write_project(self) -> None:
        (self.folder / "mysite").mkdir()
        layers = printed(SERVERS, "python", "CHANNEL_LAYERS")
        assert "redis://127.0.0.1:6379" in layers
        settings = [
            "from example_project.settings import *\nimport os\n",
            layers.replace("redis://127.0.0.1:6379", os.environ["REDIS_URL"]),
            printed(MONITORING, "python", "METRICS_TOKEN"),
        ]
        (self.folder / "mysite" / "settings.py").write_text("".join(settings))
        (self.folder / "mysite" / "asgi.py").write_text(
            printed(DEPLOYMENT, "python", "Realtime(get_asgi_application())")
        )
        hook = printed(MONITORING, "python", "post_worker_init").replace("9100", str(self.first_metrics_port - 1))
        (self.folder / "gunicorn.conf.py").write_text(hook)
        shutil.copy(MANAGE, self.folder)

    def start(self, command: str, port: int = 0) -> Child:
        """Start a command that a page prints, at a port of this test's."""
        program, *arguments = command.replace("8000", str(port)).split()
        log = self.folder / f"{program}.{port}.log"
        programs = Path(sys.executable).parent
        return Child.start([programs / program, *arguments], log=log, env=self._environment, cwd=self.folder)

    def log(self) -> str:
        """Return what all processes have logged."""
        return "".join(path.read_text() for path in self.folder.glob("*.log"))


@pytest.fixture
def site(seeded_url: str, tmp_path: Path) -> Site:
    """The site, of which nothing runs yet."""
    return Site(seeded_url, tmp_path)


@pytest.fixture
def addresses(site: Site) -> Iterator[dict[str, str]]:
    """The addresses of all servers, by the first word of their commands, with a relay. They must stop cleanly."""
    ports = {command: free_port() for command in COMMANDS}
    relay = site.start(RELAY)
    site.servers = [site.start(command, port) for command, port in ports.items()]
    addresses = {command.split()[0]: f"http://127.0.0.1:{port}" for command, port in ports.items()}
    try:
        relay.wait_until(lambda: "relay leads" in site.log())
        for child, address in zip(site.servers, addresses.values(), strict=True):
            child.wait_until(lambda address=address: answers(address))  # type: ignore[misc]
        yield addresses
    finally:
        codes = [child.stop() for child in (*site.servers, relay)]
    assert set(codes) <= {0, -signal.SIGTERM}
    assert "Traceback" not in site.log()


def test_servers_stream_by_the_printed_commands_show_their_metrics_and_end_their_streams(
    site: Site, addresses: dict[str, str]
) -> None:
    token = site.example.token(AUTHOR, addresses["uvicorn"])
    parameters = {"tables": "posts", "token": token}
    assert len(addresses) == len(COMMANDS) == 5
    with ExitStack() as stack:
        streams = []
        for address in addresses.values():
            opened = httpx.stream("GET", f"{address}/api/realtime", params=parameters, timeout=60)
            streams.append(EventSource(stack.enter_context(opened).raise_for_status()).iter_sse())
        for stream in streams:
            assert next(stream).event == "connected"
        post = site.example.add_post("one", published=True)
        for stream in streams:
            assert next(event.json()["record"]["id"] for event in stream if event.data) == post
        web, relay = SCRAPED
        asked = {"Authorization": f"Bearer {TOKEN}"}
        for address in addresses.values():
            found = httpx.get(f"{address}{web['metrics_path']}", headers=asked, timeout=30)
            assert "ayb_realtime_streams{" in found.raise_for_status().text
        workers = httpx.get(f"http://127.0.0.1:{site.first_metrics_port}/metrics", timeout=30)
        assert 'ayb_realtime_streams{state="live"} 1.0' in workers.text
        assert "metrics_path" not in relay
        for server, stream in zip(site.servers, streams, strict=True):
            server.stop()
            # It ends properly: otherwise httpx raises.
            assert not any(event.data for event in stream)
