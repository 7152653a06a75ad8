"""The files in deploy/: compose.yaml's services run here as processes, as their commands say; units are verified.

No container is built: a linter reads the Dockerfile, and compares compose.yaml with the specification (tox.ini, lint).
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from httpx_sse import EventSource

from embedded import Child, free_port
from tests.acceptance.documents import CHECKOUT, CONTAINERS, DEPLOYMENT, printed
from tests.example import AUTHOR, MANAGE, Example, answers

DEPLOY = CHECKOUT / "deploy"
SERVICES: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
# Kubernetes' containers, by name.
CONTAINERS_OF_PODS: dict[str, Any] = {
    container["name"]: container
    for deployment in yaml.safe_load_all(printed(CONTAINERS, "yaml"))
    for container in deployment["spec"]["template"]["spec"]["containers"]
}
PROGRAMS = {"python": [sys.executable], "uvicorn": [sys.executable, "-m", "uvicorn"]}


class Composed:
    """The services of compose.yaml that are ours, as processes, and nginx before them."""

    def __init__(self, example: Example, folder: Path) -> None:
        self.example = example
        self._folder = folder
        here = {
            "DATABASE_URL": example.database_url,
            "REDIS_URL": os.environ["REDIS_URL"],
            "SECRET_KEY": "0123456789" * 5,
            "ALLOWED_HOSTS": "",
        }
        self.environment = {**os.environ, **SERVICES["web"]["environment"], **here}
        self.ports = [free_port() for _ in range(SERVICES["web"]["deploy"]["replicas"])]
        self.port = free_port()
        self.relays = [self._start("relay") for _ in range(SERVICES["relay"]["deploy"]["replicas"])]
        self.children = [*self.relays, *(self._start("web", port) for port in self.ports), self._start_nginx()]

    @property
    def address(self) -> str:
        """Where nginx answers."""
        return f"http://127.0.0.1:{self.port}"

    def run(self, command: list[str], port: int | None = None) -> int:
        """Run a command of compose.yaml; return its exit code."""
        ran = subprocess.run(self._here(command, port), env=self.environment, cwd=MANAGE.parent, check=False)
        return ran.returncode

    def _here(self, command: list[str], port: int | None) -> list[str]:
        places = {"0.0.0.0": "127.0.0.1", "8000": str(port)}
        program, *arguments = [places.get(part, part).replace(":8000/", f":{port}/") for part in command]
        return [*PROGRAMS[program], *arguments]

    def _start(self, service: str, port: int | None = None) -> Child:
        log = self._folder / f"{service}.{port or free_port()}.log"
        command = self._here(SERVICES[service]["command"], port)
        return Child.start(command, log=log, env=self.environment, cwd=MANAGE.parent)

    def _start_nginx(self) -> Child:
        text = (DEPLOY / "nginx.conf").read_text()
        servers = " ".join(f"server 127.0.0.1:{port};" for port in self.ports)
        places = {"server web:8000;": servers, "listen 80;": f"listen 127.0.0.1:{self.port};", "/var/log/nginx": "."}
        for theirs, ours in {**places, "/tmp/nginx.pid": "nginx.pid"}.items():
            assert theirs in text
            text = text.replace(theirs, ours)
        (self._folder / "nginx.conf").write_text(text)
        command: list[str | Path] = ["nginx", "-p", self._folder, "-c", "nginx.conf", "-g", "daemon off;"]
        return Child.start(command, log=self._folder / "nginx.log", cwd=self._folder)


@pytest.fixture
def composed(seeded_url: str, tmp_path: Path) -> Iterator[Composed]:
    """All services, once they are healthy by their own checks."""
    started = Composed(Example(seeded_url, tmp_path), tmp_path)
    try:
        for relay in started.relays:
            relay.wait_until(lambda: started.run(SERVICES["relay"]["healthcheck"]["test"][1:]) == 0)
        for child, port in zip(started.children[len(started.relays) :], started.ports, strict=False):
            child.wait_until(lambda port=port: answers(f"http://127.0.0.1:{port}/"))  # type: ignore[misc]
            assert started.run(SERVICES["web"]["healthcheck"]["test"][1:], port) == 0
        started.children[-1].wait_until(lambda: answers(started.address))
        yield started
    finally:
        codes = [child.stop() for child in reversed(started.children)]
    # uvicorn ends by the signal that it was sent, once it has stopped.
    assert set(codes) <= {0, -signal.SIGTERM}
    assert not any("Traceback" in log.read_text() for log in tmp_path.glob("*.log"))


def expect_answers_to_probes(composed: Composed) -> None:
    """Ask what Kubernetes' probes ask. Its containers have the services' commands."""
    web, relay = CONTAINERS_OF_PODS["web"], CONTAINERS_OF_PODS["relay"]
    for container in (web, relay):
        command = " ".join(container["command"]).replace("mysite.asgi", "example_project.asgi")
        assert command == " ".join(SERVICES[container["name"]]["command"])
    for probe in ("readinessProbe", "livenessProbe"):
        asked = web[probe]["httpGet"]
        assert [asked["port"]] == [each["containerPort"] for each in web["ports"]]
        for port in composed.ports:
            assert httpx.get(f"http://127.0.0.1:{port}{asked['path']}", timeout=30).status_code == 200
    assert composed.run(relay["livenessProbe"]["exec"]["command"]) == 0


def test_composed_services_answer_probes_and_stream_past_the_end_of_a_relay(composed: Composed) -> None:
    expect_answers_to_probes(composed)
    parameters = {"tables": "posts", "token": composed.example.token(AUTHOR, composed.address)}
    with ExitStack() as stack:
        streams = []
        for _ in range(4):
            opened = httpx.stream("GET", f"{composed.address}/api/realtime", params=parameters, timeout=60)
            streams.append(EventSource(stack.enter_context(opened).raise_for_status()).iter_sse())
        for stream in streams:
            assert next(stream).event == "connected"
        for relay in composed.relays:
            post = composed.example.add_post("one", published=True)
            for stream in streams:
                assert next(json.loads(event.data) for event in stream if event.data)["record"]["id"] == post
            # The last one ends without anyone who could take over.
            assert relay.stop() == 0
        assert composed.run(SERVICES["relay"]["healthcheck"]["test"][1:]) == 1


def test_nginx_configuration_has_the_block_that_the_documentation_explains() -> None:
    documented = printed(DEPLOYMENT, "nginx").replace("http://127.0.0.1:8000", "http://web").split()
    assert " ".join(documented) in " ".join((DEPLOY / "nginx.conf").read_text().split())


def test_units_are_what_systemd_takes(tmp_path: Path) -> None:
    assert shutil.which("systemd-analyze"), "systemd-analyze was not found"
    names = {"blog-relay.service": "blog-relay.service", "blog-web@.service": "blog-web@8000.service"}
    assert names.keys() == {path.name for path in (DEPLOY / "systemd").iterdir()}
    for name, instance in names.items():
        text = (DEPLOY / "systemd" / name).read_text()
        for theirs, ours in {"/srv/blog/.venv/bin": str(Path(sys.executable).parent), "/srv/blog": "/tmp"}.items():
            text = text.replace(theirs, ours)
        (tmp_path / instance).write_text(text)
    # It exits with 0 also where it ignores what it does not understand.
    verify: list[str | Path] = ["systemd-analyze", "verify", "--man=no", *(tmp_path / name for name in names.values())]
    verified = subprocess.run(verify, capture_output=True, text=True, check=False)
    assert (verified.returncode, verified.stdout, verified.stderr) == (0, "", "")
