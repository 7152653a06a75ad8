"""The embedded servers, as far as they can be tested without running one."""

import signal
import socket
import sys
from pathlib import Path

import pytest

from embedded import Child, ServerError, free_port, is_free
from embedded.account import CURRENT, Account
from embedded.postgres import Postgres, _locked, _stop_leftover


def test_taken_port_is_not_free_and_another_is_chosen() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        assert not is_free(taken)
        assert free_port(taken) != taken


def test_free_port_is_preferred() -> None:
    port = free_port()
    assert free_port(port) == port


def test_url_names_the_superuser_unless_told_otherwise() -> None:
    server = Postgres(5433, "secret", Path("bin"))
    assert server.url() == "postgresql://postgres:secret@127.0.0.1:5433/postgres"
    assert server.url("ayb", "ayb", "ayb") == "postgresql://ayb:ayb@127.0.0.1:5433/ayb"


def test_child_that_ends_too_early_says_its_log(tmp_path: Path) -> None:
    child = Child.start([sys.executable, "-c", "print('no such luck'); raise SystemExit(3)"], log=tmp_path / "log")
    with pytest.raises(ServerError, match=r"exit code 3(.|\n)*no such luck"):
        child.wait_until(lambda: False)


def test_child_that_is_never_ready_is_given_up(tmp_path: Path) -> None:
    child = Child.start([sys.executable, "-c", "import signal; signal.pause()"], log=tmp_path / "log")
    with pytest.raises(ServerError, match="was not ready within 0 seconds"):
        child.wait_until(lambda: False, seconds=0)
    assert child.stop() == -signal.SIGTERM


def test_child_that_ignores_the_signal_is_killed(tmp_path: Path) -> None:
    deaf = "import signal; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); signal.pause()"
    child = Child.start([sys.executable, "-c", deaf], log=tmp_path / "log")
    child.wait_until(lambda: "deaf" in child.log_tail())
    assert child.stop(seconds=0.01) == -signal.SIGKILL


def test_folder_in_use_is_refused(tmp_path: Path) -> None:
    with _locked(tmp_path), pytest.raises(ServerError, match="is in use"), _locked(tmp_path):
        pytest.fail("two owners")


def test_pid_file_of_a_program_that_is_no_server_of_ours_is_forgotten(tmp_path: Path) -> None:
    pid_file = tmp_path / "postmaster.pid"
    pid_file.write_text("1\n/some/where/else\n")
    _stop_leftover(tmp_path, Path("bin"), CURRENT)
    assert not pid_file.exists()


def test_account_kept_by_setpriv_is_not_changed_by_subprocess_as_well() -> None:
    account = Account(65534, 65534, setpriv="setpriv")
    assert (account.user, account.group, account.extra_groups) == (None, None, None)
    assert account.prefix(signal.SIGINT)[-2:] == ["--pdeathsig=INT", "--"]
