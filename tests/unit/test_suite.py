"""What ``make test`` says about what it did not run."""

import configparser
import sys
from pathlib import Path

import pytest

from tests import suite
from tests.suite import ENVIRONMENTS, SKIPPED, Environment, find_python, report, what_is_missing


def test_missing_interpreter_is_named() -> None:
    assert what_is_missing(Environment("py399", "3.99"), {}) == "Python 3.99 was not found"


def test_missing_programs_are_named_and_any_of_several_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {"npm", "google-chrome", "nginx", "haproxy"}
    monkeypatch.setattr("tests.suite.shutil.which", lambda name: name if name in found else None)
    acceptance = next(one for one in ENVIRONMENTS if one.name == "acceptance")
    assert what_is_missing(acceptance, {}) == "node and caddy and systemd-analyze not found"


def test_interpreter_that_does_not_run_is_not_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "python3.99"
    broken.write_text("#!/bin/sh\nexit 127\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    assert find_python("3.99") is None
    kept = tmp_path / "versions" / "3.99.0" / "bin" / "python3.99"
    kept.parent.mkdir(parents=True)
    kept.symlink_to(sys.executable)
    assert find_python("3.99") == kept


@pytest.mark.parametrize(
    ("line", "is_summary"),
    [
        ("===== 12 passed, 2 skipped in 3.20s =====", True),
        ("1 skipped, 1 warning in 0.01s", True),
        ("Left out: web host unplugged, because a network namespace takes Linux, root and iproute2.", True),
        ("===== 12 passed in 3.20s =====", False),
        ("tests/unit/test_suite.py::test_skipped PASSED", False),
    ],
)
def test_summary_with_skipped_tests_is_noticed(line: str, is_summary: bool) -> None:
    assert bool(SKIPPED.search(line)) is is_summary


def test_report_ends_with_what_was_left_out() -> None:
    assert list(report(["lint"], {}, []))[-1] == "Nothing was left out."
    lines = list(report(["lint"], {"acceptance": "node not found"}, ["1 passed, 1 skipped in 0.01s"]))
    assert lines[-2:] == [
        "Tests were skipped: 1 passed, 1 skipped in 0.01s",
        "Left out: acceptance, because node not found.",
    ]


def test_every_environment_of_tox_is_one_of_ours() -> None:
    parser = configparser.ConfigParser()
    assert parser.read(suite.CHECKOUT / "tox.ini")
    assert parser["tox"]["env_list"].split() == [one.name for one in ENVIRONMENTS]
