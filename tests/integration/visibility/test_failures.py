"""What the hub logs when the policies of a table fail."""

import io
import re
import shlex
from contextlib import suppress

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.core.management import call_command

from ayb_realtime.identity import identify
from tests.integration.scenario import World

FUNCTION = "create function {} returns bool language plpgsql as $$ begin {} end $$; "
CLUBS = "create table clubs (id int)"
SHUT = FUNCTION.format("is_shut()", "return true;") + "revoke execute on function is_shut() from public"
RAISES = FUNCTION.format("tells()", "raise 'the row is secret' using errcode = '42501';")


async def logged(world: World, caplog: pytest.LogCaptureFixture, policy: str) -> tuple[str, str]:
    """Return the line about a policy that fails, and what the command that it names writes."""
    reader = await get_user_model().objects.acreate(email="reader@example.com")
    world.table("notes", "id int primary key, author text", policy=policy)
    world.table("others", "id int primary key")
    stream = await world.stream(identify(reader), "notes", "others")
    async with world.relaying():
        world.write("insert into notes values (1, 'secret')")
        world.write("insert into others values (2)")
        assert (await stream.next_change())["record"] == {"id": 2}
    (line,) = (text for text in caplog.messages if text.startswith("notes: the policies failed"))
    (command,) = re.findall(r"manage.py (.*)", line)
    written = io.StringIO()
    with suppress(SystemExit):
        await sync_to_async(call_command)(*shlex.split(command), stdout=written)
    return line, written.getvalue()


@pytest.mark.parametrize(
    ("statements", "policy", "message"),
    [
        (CLUBS, "exists (select from clubs)", "42501: permission denied for table clubs"),
        (SHUT, "is_shut()", "42501: permission denied for function is_shut"),
        ("select", "author = current_setting('of.none')", '42704: unrecognized configuration parameter "of.none"'),
    ],
)
async def test_object_that_a_policy_may_not_read_is_named_with_the_command_that_explains_it(
    world: World, caplog: pytest.LogCaptureFixture, statements: str, policy: str, message: str
) -> None:
    world.write(statements)
    try:
        line, written = await logged(world, caplog, policy)
        assert f"SQLSTATE {message}. " in line
        if "42501" in message:
            assert f"NO  Postgres refuses each SELECT of the subscriber: SQLSTATE {message}" in written
    finally:
        world.write("drop table if exists notes, clubs; drop function if exists is_shut()")


@pytest.mark.parametrize(("policy", "state"), [("tells()", "42501"), ("author::int > 0", "22P02")])
async def test_message_that_may_hold_a_row_is_not_logged(
    world: World, caplog: pytest.LogCaptureFixture, policy: str, state: str
) -> None:
    world.write(RAISES)
    try:
        line, written = await logged(world, caplog, policy)
        assert f"SQLSTATE {state}. " in line
        assert "secret" not in caplog.text
        assert "--user-id" in line
        assert "reader@example.com" in written
    finally:
        world.write("drop table notes; drop function tells()")
