"""Migrations in a site whose database routers keep apps or models away from a database."""

from typing import Any

import pytest
from django.apps import apps
from django.db import connections
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

from ayb_realtime.operations import EnableRealtime, EnableRowSecurity, GrantToSubscribers, Policy
from ayb_realtime.postgres.operation import RunSQLFile
from tests.integration.scenario import Owner


class Router:
    """Records each call, and keeps one app or one model away from every database."""

    def __init__(self, app_label: str = "", model_name: str = "") -> None:
        self.refused = (app_label, model_name)
        self.asked: list[tuple[str, str, str | None]] = []

    def allow_migrate(self, db: str, app_label: str, model_name: str | None = None, **hints: Any) -> bool | None:
        """Return False for that app or model; None where this router has no opinion."""
        self.asked.append((db, app_label, model_name))
        return False if self.refused in {(app_label, ""), (app_label, model_name)} else None


def migrate(operation: Operation, app_label: str) -> None:
    """Run an operation and then its reverse, as ``migrate`` does."""
    state = ProjectState.from_apps(apps)
    with connections["default"].schema_editor() as editor:
        operation.database_forwards(app_label, editor, state, state)
    with connections["default"].schema_editor() as editor:
        operation.database_backwards(app_label, editor, state, state)


@pytest.mark.parametrize(
    ("operation", "app_label", "model_name"),
    [
        (EnableRealtime("Post"), "blog", "post"),
        (EnableRealtime(table="no_such_table"), "blog", None),
        (EnableRowSecurity("Post"), "blog", "post"),
        (Policy("Post", "posts_author", using="no SQL"), "blog", "post"),
        (GrantToSubscribers(table="no_such_table"), "blog", None),
        (RunSQLFile("no_such_file", reverse_sql="no SQL"), "ayb_realtime", None),
    ],
)
def test_router_that_refuses_keeps_the_operation_from_running(
    settings: Any, db: None, operation: Operation, app_label: str, model_name: str | None
) -> None:
    settings.DATABASE_ROUTERS = [router := Router(app_label, model_name or "")]
    migrate(operation, app_label)
    assert router.asked == [("default", app_label, model_name)] * 2


def test_router_that_refuses_another_app_changes_nothing(settings: Any, owner: Owner) -> None:
    owner.execute("create table routed (id int primary key)")
    settings.DATABASE_ROUTERS = [Router("another_app")]
    state = ProjectState.from_apps(apps)
    try:
        with connections["default"].schema_editor() as editor:
            EnableRealtime(table="routed").database_forwards("blog", editor, state, state)
        triggers = owner.execute("select count(*) from pg_trigger where tgrelid = 'routed'::regclass")
        assert triggers.fetchone() == (2,)
    finally:
        owner.execute("drop table routed")
