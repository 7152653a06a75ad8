"""Tables that differ from what their migrations enabled, and databases that are not checked."""

from typing import Any

import pytest
from django.core.checks import run_checks
from django.core.management import call_command
from django.db import connections
from django.db.migrations import (
    AddField,
    DeleteModel,
    RemoveField,
    RenameField,
    RenameModel,
    SeparateDatabaseAndState,
)
from django.db.migrations.recorder import MigrationRecorder
from django.db.models import ManyToManyField

from ayb_realtime.operations import EnableRealtime
from tests.integration.checks.conftest import Run, follow, messages, one


def test_table_without_the_trigger_that_its_migration_made_is_warned_of(run: Run) -> None:
    run('drop trigger "!ayb_realtime" on posts; drop trigger "!ayb_realtime_truncate" on posts')
    message = one("W017")
    assert message.msg == (
        '"posts" should be streamed, by "Enable realtime for Post" in the migration blog.0002_realtime, but it has no'
        " trigger: no change of it is logged."
    )
    assert message.hint is not None
    follow(run, message.hint)


def test_table_that_is_a_view_now_is_warned_of(run: Run) -> None:
    run("alter table comments rename to old_comments; create view comments as select * from old_comments")
    message = one("W017")
    assert message.msg.startswith('"comments" should be streamed')
    assert "but it is a view" in message.msg


def test_table_that_is_gone_is_warned_of(run: Run) -> None:
    run("drop table comments")
    assert "but there is no such table" in one("W017").msg


def test_migration_that_is_not_applied_does_not_count(run: Run) -> None:
    run('drop trigger "!ayb_realtime" on posts; drop trigger "!ayb_realtime_truncate" on posts')
    MigrationRecorder(connections["default"]).record_unapplied("blog", "0002_realtime")
    assert messages() == []


def test_table_without_a_model_is_looked_at(run: Run, operations: list[Any]) -> None:
    operations.append(SeparateDatabaseAndState(database_operations=[EnableRealtime(table="legacy_orders")]))
    assert "legacy_orders should be streamed" in one("W017").msg
    run("create table legacy_orders (id int primary key); alter table legacy_orders enable row level security")
    assert "but it has no trigger" in one("W017").msg
    run("select ayb_realtime.enable_v1('legacy_orders')")
    assert messages() == []


def test_model_that_was_renamed_is_followed(run: Run, operations: list[Any]) -> None:
    operations.append(RenameModel("Post", "Article"))
    assert messages() == []
    run('drop trigger "!ayb_realtime" on posts; drop trigger "!ayb_realtime_truncate" on posts')
    assert one("W017").msg.startswith('"posts" should be streamed')


def test_table_whose_model_is_gone_is_warned_of(run: Run, operations: list[Any]) -> None:
    operations.append(SeparateDatabaseAndState(state_operations=[DeleteModel("Comment")]))
    message = one("W018")
    assert message.msg.startswith("public.comments is still streamed, by ")
    assert message.hint is not None
    follow(run, message.hint.removeprefix("In a migration, RunSQL: "))


def test_database_that_is_not_asked_about_is_left_alone(run: Run, settings: Any) -> None:
    run("alter table posts disable row level security")
    assert [message for message in run_checks() if message.id == "ayb_realtime.W008"] == []
    settings.AYB_REALTIME = {"DATABASE": "another"}
    assert messages() == []


def test_database_that_is_not_migrated_is_left_alone(run: Run) -> None:
    run("drop schema ayb_realtime cascade")
    assert {message.id for message in messages()} == {"ayb_realtime.W025"}
    run("delete from django_migrations where app = 'ayb_realtime'")
    assert messages() == []


def test_checks_run_with_check_database(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    run("alter table posts disable row level security")
    call_command("check", databases=["default"])
    assert "(ayb_realtime.W008) public.posts is streamed" in capsys.readouterr().err
    call_command("check")
    assert "W008" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "table"),
    [
        ([], '"posts_tags"'),
        ([RenameModel("Post", "Article")], '"posts_tags"'),
        ([RenameField("Post", "tags", "labels")], '"posts_labels"'),
        ([RemoveField("Post", "tags")], '"posts_tags"'),
    ],
)
def test_automatic_many_to_many_table_is_followed(
    run: Run, operations: list[Any], changes: list[Any], table: str
) -> None:
    run(f"create table {table} (id int primary key); alter table {table} enable row level security")
    tags = AddField("Post", "tags", ManyToManyField("blog.Team", related_name="+"))
    operations.append(SeparateDatabaseAndState(state_operations=[tags]))
    operations.append(SeparateDatabaseAndState(database_operations=[EnableRealtime("Post_tags")]))
    operations.append(SeparateDatabaseAndState(state_operations=changes))
    is_gone = changes[:1] != [] and isinstance(changes[0], RemoveField)
    assert [message.msg.partition(" ")[0] for message in messages()] == ([] if is_gone else [table])
    run(f"select ayb_realtime.enable_v1('{table}')")
    assert [message.id for message in messages()] == (["ayb_realtime.W018"] if is_gone else [])


@pytest.mark.parametrize("broken", ["immutable_functions_v1(oid)", "key_columns_v1(oid)"])
def test_check_that_cannot_find_out_says_so(run: Run, broken: str) -> None:
    run(f"alter function ayb_realtime.{broken} rename to away")
    found = messages()
    assert {message.id for message in found} == {"ayb_realtime.W021"}
    # The other checks run in the same transaction, which has failed.
    assert broken.partition("(")[0] in found[0].msg
