"""Policies that fail, or that bypass row-level security."""

from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import Error, connections

from example_project.blog.models import Post
from tests.integration.checks.conftest import Run, follow, messages, one

VIEW = "create view team_members as select * from memberships; grant select on team_members to ayb_authenticated"
POLICY = "create policy members on posts for select using (exists (select from {} m where m.user_id = author_id))"


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


def test_policy_that_reads_past_row_security_through_a_view_is_warned_of(run: Run) -> None:
    run(f"{VIEW}; {POLICY.format('team_members')}")
    assert messages() == []  # Nothing is bypassed: the table has no policies.
    run("alter table memberships enable row level security")
    message = one("W016")
    reads = "public.team_members reads public.memberships"
    assert f"members of public.posts reads a view that is not security_invoker: {reads}" in (message.msg)
    with connections["default"].cursor() as cursor:
        if cursor.connection.info.server_version < 150000:
            return
    run("alter view team_members set (security_invoker = on)")
    assert messages() == []


def test_view_behind_a_view_is_seen(run: Run) -> None:
    run(f"{VIEW}; create view seniors as select * from team_members; grant select on seniors to ayb_authenticated")
    run(POLICY.format("seniors"))
    run("alter table memberships enable row level security")
    assert "seniors reads public.memberships" in one("W016").msg


def test_policy_for_writing_alone_is_not_looked_at(run: Run) -> None:
    run(f"{VIEW}; {POLICY.format('team_members').replace('for select', 'for delete')}")
    run("alter table memberships enable row level security")
    assert messages() == []


def test_policy_whose_function_says_that_it_is_immutable_is_warned_of(run: Run) -> None:
    run("create function mine(uuid) returns boolean language sql immutable as $$ select $1 is not null $$")
    run("create policy mine on posts using (mine(author_id))")
    assert "The policies of public.posts may call public.mine(uuid), which is IMMUTABLE" in one("W019").msg
    run("alter function mine(uuid) stable")
    assert messages() == []


def test_policy_that_reads_what_subscribers_may_not_is_warned_of(run: Run) -> None:
    run("revoke select on memberships from ayb_authenticated")
    message = one("W026")
    assert message.msg.startswith("The policy comments_team of public.comments uses public.memberships, which ")
    assert message.hint is not None
    follow(run, message.hint)


def test_policy_that_calls_what_subscribers_may_not_is_warned_of(run: Run) -> None:
    run("create function mine(uuid) returns boolean language sql stable as $$ select true $$")
    run("revoke execute on function mine(uuid) from public; create policy mine on posts using (mine(author_id))")
    message = one("W026")
    assert message.hint == "GRANT EXECUTE ON FUNCTION public.mine(uuid) TO ayb_authenticated;"
    follow(run, message.hint)


def test_policy_for_other_roles_may_read_what_it_likes(run: Run) -> None:
    run("revoke select on memberships from ayb_authenticated; alter policy comments_team on comments to ayb_anonymous")
    assert [message.id for message in messages()] == []
