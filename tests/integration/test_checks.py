"""The checks of the database: what each says of real tables, policies and migrations, and when it is silent.

Everything a test does is done in Django's own transaction, which is rolled back.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.checks import CheckMessage, Tags, run_checks
from django.core.management import call_command
from django.db import Error, connections, transaction
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
from example_project.blog.models import Post

realtime = import_module("example_project.blog.migrations.0002_realtime")

# The example's own policies are as the specification writes them.
BARE = "ayb_realtime.I015"
Run = Callable[[str], None]


@pytest.fixture
def run(db: None) -> Run:
    """Run statements as the tables' owner."""

    def execute(statements: str) -> None:
        with connections["default"].cursor() as cursor:
            cursor.execute(statements)

    return execute


def messages() -> list[CheckMessage]:
    """Return what the checks of the database find, less what the example knows of. Each comes with a hint."""
    found = [
        message
        for message in run_checks(tags=[Tags.database], databases=["default"])
        if str(message.id).startswith("ayb_realtime.") and message.id != BARE
    ]
    assert all(message.hint for message in found)
    return found


def one(number: str) -> CheckMessage:
    """Return the one message that the checks have, which has this id."""
    (message,) = messages()
    assert message.id == f"ayb_realtime.{number}"
    return message


def follow(run: Run, hint: str) -> None:
    """Do as a hint says, as far as it is SQL."""
    run(hint.partition(" (where")[0].removeprefix("As its owner: ").removeprefix("As a superuser: "))
    assert messages() == []


def test_tables_as_they_should_be_are_not_spoken_of(run: Run) -> None:
    assert messages() == []


def test_table_without_row_security_is_warned_of(run: Run) -> None:
    run("alter table posts disable row level security")
    assert one("W008").msg == "public.posts is streamed, and row-level security is off: every user sees every row."


@pytest.mark.parametrize(("attribute", "what"), [("superuser", "is a superuser"), ("bypassrls", "has BYPASSRLS")])
@pytest.mark.parametrize("role", ["ayb_authenticated", "ayb_anonymous"])
def test_role_that_no_policy_binds_is_an_error(run: Run, role: str, attribute: str, what: str) -> None:
    try:
        with transaction.atomic():
            run(f"alter role {role} {attribute}")
    except Error:  # Whoever is no superuser can make nobody else one.
        assert messages() == []
        return
    message = one("E009")
    assert message.is_serious()
    assert f"The role {role}, as which subscribers read, {what}" in message.msg
    assert message.hint is not None
    follow(run, message.hint)


def test_role_that_owns_a_streamed_table_is_an_error(run: Run) -> None:
    run("grant create on schema public to ayb_authenticated; alter table posts owner to ayb_authenticated")
    message = one("E010")
    assert message.is_serious()
    assert "has the rights of ayb_authenticated, who owns public.posts" in message.msg
    run("set role ayb_authenticated; alter table posts force row level security; reset role")
    one("E010")


def test_role_that_has_the_rights_of_an_owner_is_an_error(run: Run) -> None:
    run("create role shopkeeper; grant create on schema public to shopkeeper; grant shopkeeper to current_user")
    run("alter table posts owner to shopkeeper; grant shopkeeper to ayb_anonymous")
    message = one("E010")
    assert "The role ayb_anonymous, as which subscribers read, has the rights of shopkeeper" in message.msg
    run("revoke shopkeeper from ayb_anonymous")
    assert messages() == []


@pytest.mark.parametrize(
    ("statement", "lacking"),
    [
        ("revoke select on posts from ayb_authenticated", "SELECT the columns id"),
        (
            "revoke select on posts from ayb_authenticated; grant select (title, body) on posts to ayb_authenticated",
            "SELECT the columns id",
        ),
    ],
)
def test_privileges_that_are_gone_are_warned_of(run: Run, statement: str, lacking: str) -> None:
    run(statement)
    message = one("W011")
    assert f"public.posts is streamed, but ayb_authenticated may not {lacking}" in message.msg
    assert message.hint is not None
    follow(run, message.hint)


def test_schema_that_subscribers_may_not_use_is_warned_of(run: Run) -> None:
    run("create schema sales; create table sales.orders (id int primary key)")
    run("select ayb_realtime.enable_v1('sales.orders'); alter table sales.orders enable row level security")
    assert messages() == []
    run("revoke usage on schema sales from ayb_authenticated")
    message = one("W011")
    assert "sales.orders is streamed, but ayb_authenticated may not use the schema sales" in message.msg
    assert message.hint is not None
    follow(run, message.hint)


@pytest.mark.parametrize(
    ("statement", "trigger", "state"),
    [
        ('alter table posts disable trigger "!ayb_realtime"', "!ayb_realtime", "disabled"),
        ('alter table posts enable replica trigger "!ayb_realtime"', "!ayb_realtime", "enabled for replicas alone"),
        (
            'drop trigger "!ayb_realtime" on posts; create trigger "!ayb_realtime" after insert on posts'
            " for each row execute function ayb_realtime.capture_v1('notify', 'id')",
            "!ayb_realtime",
            "damaged",
        ),
        (
            'drop trigger "!ayb_realtime" on posts; create trigger "!ayb_realtime" after insert or update or delete'
            " on posts for each row when (pg_trigger_depth() = 0)"
            " execute function ayb_realtime.capture_v1('notify', 'id')",
            "!ayb_realtime",
            "damaged",
        ),
        (
            'drop trigger "!ayb_realtime_truncate" on posts; create function nothing() returns trigger language plpgsql'
            ' as $$ begin return null; end $$; create trigger "!ayb_realtime_truncate" after truncate on posts'
            " for each statement execute function nothing()",
            "!ayb_realtime_truncate",
            "damaged",
        ),
        ('drop trigger "!ayb_realtime_truncate" on posts', "!ayb_realtime_truncate", "missing"),
        ('alter table posts disable trigger "!ayb_realtime_truncate"', "!ayb_realtime_truncate", "disabled"),
    ],
)
def test_trigger_that_does_not_do_what_it_should_is_warned_of(
    run: Run, statement: str, trigger: str, state: str
) -> None:
    run(statement)
    message = one("W012")
    assert f'public.posts: its trigger "{trigger}" is {state}, so that' in message.msg
    assert message.hint is not None
    follow(run, message.hint)


@pytest.mark.parametrize(
    ("statements", "rows"),
    [
        (
            'alter table posts enable trigger "!ayb_realtime"',
            "public.posts is streamed, but nothing tells of changes of what is written while session_replication_role",
        ),
        (
            "create table old_posts () inherits (posts)",
            "public.posts is streamed, but nothing tells of changes of the rows of old_posts, whose trigger is missing",
        ),
        (
            "create table days (id int primary key) partition by list (id); select ayb_realtime.enable_v1('days');"
            "alter table days enable row level security; create table monday partition of days for values in (1);"
            "alter table monday disable trigger all",
            "public.days is streamed, but nothing tells of changes of the rows of monday, whose trigger is missing",
        ),
        (
            "create table week (like days including all) partition by list (id);"
            "alter table week attach partition days for values in (1)",
            "public.days is streamed, but nothing tells of changes of the rows of week, whose partition it is now",
        ),
    ],
)
def test_rows_whose_changes_fire_no_trigger_are_warned_of(run: Run, statements: str, rows: str) -> None:
    if "like days" in statements:
        run("create table days (id int primary key); select ayb_realtime.enable_v1('days')")
        run("alter table days enable row level security")
    run(statements)
    assert rows in one("W020").msg


def test_table_that_has_lost_its_key_is_warned_of(run: Run) -> None:
    run("alter table posts drop constraint posts_pkey")
    message = one("W013")
    assert message.msg.startswith("public.posts is streamed, but has no primary key any more")
    run("alter table posts add primary key (id)")
    assert messages() == []


def test_table_with_another_key_than_its_trigger_takes_is_warned_of(run: Run) -> None:
    run("alter table posts drop constraint posts_pkey; alter table posts add primary key (author_id, id)")
    message = one("W013")
    assert "its trigger takes (id) for the primary key, which is now (author_id, id)" in message.msg
    assert message.hint is not None
    follow(run, message.hint)


def test_key_column_that_was_renamed_does_no_harm(run: Run) -> None:
    run("alter table posts rename column id to number")
    assert messages() == []
    run('alter table posts rename column number to "Nö. ""1"" \\"')
    assert messages() == []


@pytest.mark.parametrize(
    ("expression", "warned"),
    [
        ("author_id = current_setting('ayb.user_id')::uuid", True),
        ("author_id = current_setting('ayb.user_id', true)::uuid", True),
        ("author_id = (select current_setting('ayb.user_id', true)::uuid)", True),
        ("author_id = nullif(current_setting('ayb.user_id', true), '')::uuid", False),
        ("author_id::text = current_setting('ayb.user_id')", False),
        ("title = current_setting('ayb.user_email')::varchar", False),
    ],
)
def test_cast_that_fails_for_anonymous_subscribers_is_warned_of_where_there_are_any(
    run: Run, settings: Any, expression: str, warned: bool
) -> None:
    run(f"drop policy posts_author on posts; create policy posts_author on posts using ({expression})")
    run("grant select on posts to ayb_anonymous")
    assert messages() == []
    settings.AYB_REALTIME = {"ANONYMOUS": True}
    if not warned:
        assert messages() == []
        return
    message = one("W014")
    assert "The policy posts_author of public.posts casts current_setting('ayb.user_id') to uuid." in message.msg
    author = get_user_model().objects.create(email="author@example.com")
    Post.objects.create(author=author, title="For none of the others")
    run("select set_config('ayb.user_id', '', true); set local role ayb_anonymous")
    with pytest.raises(Error, match="invalid input syntax for type uuid"):
        run("select from posts")


def bare() -> list[str]:
    """Return what is said of settings without a second argument."""
    found = run_checks(tags=[Tags.database], databases=["default"])
    return sorted(str(message.msg.partition(" without ")[0]) for message in found if message.id == BARE)


def test_setting_without_a_second_argument_is_told_of(run: Run) -> None:
    assert bare() == [
        "The policy comments_team of public.comments calls current_setting('ayb.user_id')",
        "The policy posts_author of public.posts calls current_setting('ayb.user_id')",
    ]
    run("alter policy posts_author on posts using (author_id = current_setting('ayb.user_id', true)::uuid)")
    run("alter policy comments_team on comments to ayb_anonymous")
    assert bare() == []


VIEW = "create view team_members as select * from memberships"
POLICY = "create policy members on posts for select using (exists (select from {} m where m.user_id = author_id))"


def test_policy_that_reads_past_row_security_through_a_view_is_warned_of(run: Run) -> None:
    run(f"{VIEW}; {POLICY.format('team_members')}")
    assert messages() == []  # Nothing is passed by: there are no policies on the table.
    run("alter table memberships enable row level security")
    message = one("W016")
    assert "members of public.posts reads a view that is not security_invoker: team_members reads memberships" in (
        message.msg
    )
    with connections["default"].cursor() as cursor:
        if cursor.connection.info.server_version < 150000:
            return
    run("alter view team_members set (security_invoker = on)")
    assert messages() == []


def test_view_behind_a_view_is_seen(run: Run) -> None:
    run(f"{VIEW}; create view seniors as select * from team_members; {POLICY.format('seniors')}")
    run("alter table memberships enable row level security")
    assert "seniors reads memberships" in one("W016").msg


def test_policy_for_writing_alone_is_not_looked_at(run: Run) -> None:
    run(f"{VIEW}; {POLICY.format('team_members').replace('for select', 'for delete')}")
    run("alter table memberships enable row level security")
    assert messages() == []


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


@pytest.fixture
def operations(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The operations of the example's migration, to which a test may add."""
    changed = list(realtime.Migration.operations)
    monkeypatch.setattr(realtime.Migration, "operations", changed)
    return changed


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
    assert messages() == []


def test_checks_run_with_check_database(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    run("alter table posts disable row level security")
    call_command("check", databases=["default"])
    assert "(ayb_realtime.W008) public.posts is streamed" in capsys.readouterr().err
    call_command("check")
    assert "W008" not in capsys.readouterr().err


def test_policy_whose_function_says_that_it_is_immutable_is_warned_of(run: Run) -> None:
    run("create function mine(uuid) returns boolean language sql immutable as $$ select $1 is not null $$")
    run("create policy mine on posts using (mine(author_id))")
    assert "The policies of public.posts may call public.mine(uuid), which is IMMUTABLE" in one("W019").msg
    run("alter function mine(uuid) stable")
    assert messages() == []


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


@pytest.mark.parametrize("broken", ["immutable_v1(oid)", "key_columns_v1(oid)"])
def test_check_that_cannot_find_out_says_so(run: Run, broken: str) -> None:
    run(f"alter function ayb_realtime.{broken} rename to away")
    found = messages()
    assert {message.id for message in found} == {"ayb_realtime.W021"}
    # The others run in the same transaction, which has failed.
    assert broken.partition("(")[0] in found[0].msg
