"""Fixtures of the tests of the checks: tables without a finding, and what the checks say after one change."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest
from django.core.checks import CheckMessage, Tags, run_checks
from django.db import connections

realtime = import_module("example_project.blog.migrations.0002_realtime")


Run = Callable[[str], None]


@pytest.fixture
def run(db: None) -> Run:
    """Run statements as the tables' owner."""

    def execute(statements: str) -> None:
        with connections["default"].cursor() as cursor:
            cursor.execute(statements)

    return execute


def messages() -> list[CheckMessage]:
    """Return the findings of the database checks. Each must have a hint."""
    found = [
        message
        for message in run_checks(tags=[Tags.database], databases=["default"])
        if str(message.id).startswith("ayb_realtime.")
    ]
    assert all(message.hint for message in found)
    return found


def one(number: str) -> CheckMessage:
    """Return the message of the only finding, which must have this id."""
    (message,) = messages()
    assert message.id == f"ayb_realtime.{number}"
    return message


def follow(run: Run, hint: str) -> None:
    """Run the SQL of a hint."""
    run(hint.partition(" (where")[0].removeprefix("As its owner: ").removeprefix("As a superuser: "))
    assert messages() == []


@pytest.fixture
def operations(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The operations of the example's migration, to which a test may add."""
    changed = list(realtime.Migration.operations)
    monkeypatch.setattr(realtime.Migration, "operations", changed)
    return changed
