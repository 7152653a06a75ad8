"""Tables whose triggers, keys or rows are not as streams need them."""

import pytest

from tests.integration.checks.conftest import Run, follow, messages, one


def test_tables_as_they_should_be_are_not_spoken_of(run: Run) -> None:
    assert messages() == []


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
            "public.posts is streamed, but no trigger logs changes of what is written while session_replication_role",
        ),
        (
            "create table old_posts () inherits (posts)",
            "public.posts is streamed, but no trigger logs changes of the rows of public.old_posts, whose trigger is",
        ),
        (
            "create table days (id int primary key) partition by list (id); select ayb_realtime.enable_v1('days');"
            "alter table days enable row level security; create table monday partition of days for values in (1);"
            "alter table monday disable trigger all",
            "public.days is streamed, but no trigger logs changes of the rows of public.monday, whose trigger is",
        ),
        (
            "create table week (like days including all) partition by list (id);"
            "alter table week attach partition days for values in (1)",
            "public.days is streamed, but no trigger logs changes of the rows of public.week, whose partition",
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
