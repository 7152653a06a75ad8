"""Migrations that cannot run, and databases without our schema: one message that says what to do, and no traceback."""

import io

import pytest
from asgiref.sync import async_to_sync
from django.core.management import CommandError, call_command
from django.db import connections, transaction

from ayb_realtime.checks.tables import check_log
from ayb_realtime.exceptions import NotMigrated
from ayb_realtime.operations import EnableRealtime
from ayb_realtime.postgres.operation import RunSQLFile
from ayb_realtime.testing import relaying
from ayb_realtime.visibility import as_identity
from tests.integration.operations.conftest import forwards
from tests.integration.scenario import Owner, person


def test_model_of_another_app_is_refused_with_what_to_write() -> None:
    with pytest.raises(CommandError, match=r'EnableRealtime\(table="auth_user"\)'):
        EnableRealtime("auth.User")


def test_user_who_may_not_create_a_schema_is_told_what_to_grant(owner: Owner) -> None:
    refusing = pytest.raises(CommandError, match=r"permission denied for database .* GRANT CREATE ON DATABASE")
    with transaction.atomic(), connections["default"].cursor() as cursor:
        cursor.execute("create role refused_user; grant refused_user to current_user; set local role refused_user")
        with refusing:
            forwards(RunSQLFile("schema"))
        transaction.set_rollback(True)


async def begin_a_test() -> None:
    """Begin as a site's test that opens streams does."""
    async with relaying():
        pass


def test_database_restored_without_our_schema_is_reported_and_mended_by_what_is_said(owner: Owner) -> None:
    made = io.StringIO()
    call_command("sqlmigrate", "ayb_realtime", "0001", stdout=made)
    assert check_log(None, ["default"]) == []
    owner.execute("alter schema ayb_realtime rename to aside")
    try:
        (message,) = check_log(None, ["default"])
        assert (message.id, "sqlmigrate ayb_realtime 0001" in str(message.hint)) == ("ayb_realtime.W025", True)
        with pytest.raises(NotMigrated, match="without --no-migrations"), as_identity(person(1)):
            pass
        with pytest.raises(NotMigrated, match="without --no-migrations"):
            async_to_sync(begin_a_test)()
        owner.execute(made.getvalue().encode())
        assert check_log(None, ["default"]) == []
    finally:
        owner.execute("drop schema if exists ayb_realtime cascade")
        owner.execute("alter schema aside rename to ayb_realtime")
