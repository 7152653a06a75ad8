"""What the tests' own servers are asked for."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.services import url_for_role

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
