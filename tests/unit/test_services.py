"""The options of the tests' own servers."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.services import SERVERS, choose_servers, url_for_role

URL = "postgresql://postgres:secret@127.0.0.1:5432/postgres"


@pytest.mark.parametrize("role", ["", "superuser"])
def test_superuser_gets_the_url_as_it_is(role: str) -> None:
    assert url_for_role(URL, role) == URL


def test_unknown_role_is_refused() -> None:
    with pytest.raises(ValueError, match="must be superuser or owner"):
        url_for_role(URL, "admin")


def test_command_runs_with_named_servers_and_its_exit_code_is_passed_on(tmp_path: Path) -> None:
    said = tmp_path / "said"
    command = ["sh", "-c", f'echo "$DATABASE_URL $REDIS_URL" > {said}; exit 3']
    environment = {**os.environ, "DATABASE_URL": URL, "REDIS_URL": "redis://127.0.0.1:1/0", "TEST_DATABASE_ROLE": ""}
    ran = subprocess.run([sys.executable, "-m", "tests.services", *command], env=environment, check=False)
    assert ran.returncode == 3
    assert said.read_text() == f"{URL} redis://127.0.0.1:1/0\n"


def test_command_can_be_interrupted_although_a_shell_ignores_the_signal_for_what_it_starts_in_the_background() -> None:
    environment = {**os.environ, "DATABASE_URL": URL, "REDIS_URL": "redis://127.0.0.1:1/0", "TEST_DATABASE_ROLE": ""}
    background = ["sh", "-c", 'trap "" INT; exec "$@"', "sh", sys.executable, "-m", "tests.services"]
    ran = subprocess.run([*background, "sh", "-c", "kill -INT $$"], env=environment, check=False)
    assert ran.returncode == 256 - signal.SIGINT


def test_each_worker_takes_the_servers_that_were_started_for_it() -> None:
    servers = {"DATABASE_URL": "a", "DATABASE_URL_gw1": "b", "REDIS_URL": "c", "REDIS_URL_gw1": "d"}
    taken = {}
    for worker in ("gw0", "gw1"):
        environment = {**servers, "PYTEST_XDIST_WORKER": worker}
        choose_servers(environment)
        taken[worker] = [environment[name] for name in SERVERS]
    assert taken == {"gw0": ["a", "c"], "gw1": ["b", "d"]}


def test_worker_without_servers_of_its_own_is_refused() -> None:
    with pytest.raises(KeyError, match="DATABASE_URL_gw2"):
        choose_servers({"DATABASE_URL": "a", "REDIS_URL": "c", "PYTEST_XDIST_WORKER": "gw2"})
