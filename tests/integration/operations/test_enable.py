"""EnableRealtime forwards and backwards, and how Django writes, prints and squashes it."""

import io
import re
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db.migrations.writer import OperationWriter

from ayb_realtime.exceptions import NotMigrated
from ayb_realtime.operations import EnableRealtime
from example_project.blog.models import Team
from tests.integration.operations.conftest import OURS, backwards, forwards, may_select, policies, sqlmigrate, triggers
from tests.integration.scenario import MakeTable, Owner
from tests.services import IS_LEAST


def test_model_is_streamed_and_then_no_longer(owner: Owner) -> None:
    operation = EnableRealtime("Team")
    assert (triggers(owner, "teams"), may_select(owner, "teams")) == ([], False)
    forwards(operation)
    try:
        assert (triggers(owner, "teams"), may_select(owner, "teams")) == (OURS, True)
        team = Team.objects.create(name="A")
        logged = owner.execute("select action, record::text from ayb_realtime.change order by id desc").fetchone()
        assert logged == ("create", f'{{"id":{team.pk},"name":"A"}}')
    finally:
        backwards(operation)
    assert (triggers(owner, "teams"), may_select(owner, "teams")) == ([], False)


@pytest.mark.parametrize("name", ["legacy_orders", '"Legacy Orders"', '"it\'s 100 %% ""legacy"""'])
def test_table_without_a_model_is_streamed_and_then_no_longer(owner: Owner, make_table: MakeTable, name: str) -> None:
    make_table(name, "id int primary key", enable=False)
    operation = EnableRealtime(table=name)
    forwards(operation)
    assert (triggers(owner, name), may_select(owner, name)) == (OURS, True)
    backwards(operation)
    assert (triggers(owner, name), may_select(owner, name)) == ([], False)


def test_table_of_another_schema_lets_subscribers_into_the_schema(owner: Owner, make_table: MakeTable) -> None:
    owner.execute("create schema sales")
    try:
        make_table("sales.orders", "id int primary key", enable=False)
        forwards(EnableRealtime(table="sales.orders"))
        assert triggers(owner, "sales.orders") == OURS
        usage = owner.execute("select has_schema_privilege('ayb_authenticated', 'sales', 'usage')").fetchone()
        assert usage == (True,)
    finally:
        owner.execute("drop schema sales cascade")


def test_sqlmigrate_prints_what_migrate_runs(database_url: str) -> None:
    printed = sqlmigrate("ayb_realtime", "0001")
    assert "create schema ayb_realtime;" in printed
    assert "create function ayb_realtime.capture_v1() returns trigger" in printed
    assert "-- Run ayb_realtime's capture.sql" in printed
    printed = sqlmigrate("blog", "0002")
    assert "-- Enable realtime for Post" in printed
    assert """select ayb_realtime.enable_v1('"posts"', true);""" in printed
    printed = sqlmigrate("blog", "0002", backwards=True)
    assert """select ayb_realtime.disable_v1('"posts"');""" in printed


def test_migrations_go_back_to_nothing_and_forth_again(owner: Owner) -> None:
    schema_exists = "select to_regnamespace('ayb_realtime') is not null"
    try:
        call_command("migrate", "ayb_realtime", "zero", verbosity=0)
        assert owner.execute(schema_exists).fetchone() == (False,)
        assert (triggers(owner, "posts"), policies(owner, "posts"), may_select(owner, "memberships")) == ([], [], False)
        owner.execute("insert into teams (name) values ('A')")
    finally:
        call_command("migrate", verbosity=0)
        if IS_LEAST:
            call_command("realtime_roles", stdout=io.StringIO())
    assert owner.execute(schema_exists).fetchone() == (True,)
    assert (triggers(owner, "posts"), may_select(owner, "memberships")) == (OURS, True)
    assert [name for name, *_ in policies(owner, "posts")] == ["posts_author", "posts_published"]


def test_migration_that_does_not_depend_on_ours_is_told_to(owner: Owner, make_table: MakeTable) -> None:
    make_table("plain", "id int primary key", enable=False)
    owner.execute("alter schema ayb_realtime rename to aside")
    try:
        with pytest.raises(NotMigrated, match=r'Add \("ayb_realtime", "0001_initial"\) to the dependencies'):
            forwards(EnableRealtime(table="plain"))
    finally:
        owner.execute("alter schema aside rename to ayb_realtime")


@pytest.mark.parametrize(
    ("operation", "fragment", "description"),
    [
        (EnableRealtime("Post"), "realtime_post", "Enable realtime for Post"),
        (EnableRealtime(table="legacy_orders"), "realtime_legacy_orders", "Enable realtime for legacy_orders"),
        (EnableRealtime(table="sales.orders"), "realtime_sales_orders", "Enable realtime for sales.orders"),
        (EnableRealtime(table='"My Orders"'), "realtime_my_orders", 'Enable realtime for "My Orders"'),
    ],
)
def test_operation_gives_its_migration_a_name(operation: EnableRealtime, fragment: str, description: str) -> None:
    assert operation.migration_name_fragment == fragment
    assert re.fullmatch(r"\w+", fragment)
    assert operation.describe() == description


@pytest.mark.parametrize("operation", [EnableRealtime("Post"), EnableRealtime(table="legacy_orders")])
def test_operation_can_be_written_into_a_squashed_migration(operation: EnableRealtime) -> None:
    source, imports = OperationWriter(operation, indentation=0).serialize()
    assert imports == {"import ayb_realtime.operations"}
    names: dict[str, Any] = {}
    exec("import ayb_realtime.operations\noperation = " + source.rstrip(","), names)
    assert vars(names["operation"]).items() >= {"model_name": operation.model_name, "table": operation.table}.items()


def test_neither_or_both_of_model_and_table_are_refused() -> None:
    both: dict[str, Any] = {"model_name": "Post", "table": "posts"}
    for arguments in ({}, both):
        with pytest.raises(TypeError, match=r'either a model, EnableRealtime\("Post"\), or table='):
            EnableRealtime(**arguments)


def test_unknown_model_is_an_error_that_names_it(database_url: str) -> None:
    with pytest.raises(CommandError, match="Enable realtime for Missing: App 'blog' doesn't have a 'Missing' model"):
        forwards(EnableRealtime("Missing"))


def test_unknown_schema_of_a_table_is_not_taken_for_ours(database_url: str) -> None:
    with pytest.raises(CommandError, match=r"Enable realtime for no\.orders: .* does not exist"):
        forwards(EnableRealtime(table="no.orders"))
