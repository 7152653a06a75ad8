"""What explain says without a database or a relay, and how the command prints it."""

import asyncio
import os
import re
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from channels.layers import BaseChannelLayer
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.db import connections

from ayb_realtime.diagnostics.explain import Step
from ayb_realtime.identity import ANONYMOUS_ROLE
from ayb_realtime.relay.leadership import LEAD
from embedded import free_port
from tests.integration.diagnostics.conftest import NO_RELAY, steps
from tests.integration.scenario import MakeTable, Owner, relaying


@pytest.fixture
def another(another_database: dict[str, Any], settings: Any, database_url: str) -> dict[str, Any]:
    """The settings of another database, whose tables are streamed."""
    settings.AYB_REALTIME = {"DATABASE": "another"}
    return another_database


async def test_database_that_does_not_answer_is_reported(another: dict[str, Any]) -> None:
    another.update(HOST="127.0.0.1", PORT=free_port())
    (step,) = await steps("posts")
    assert (step.holds, step.hint) == (False, "Look at DATABASES.")
    assert step.found.startswith("The database 'another' does not answer: ")


async def test_database_that_is_not_migrated_is_reported(another: dict[str, Any]) -> None:
    another["NAME"] = urlsplit(os.environ["DATABASE_URL"]).path[1:]
    (step,) = await steps("posts")
    assert step == Step(False, "The schema ayb_realtime is not there.", "manage.py migrate")


async def test_no_relay_and_one_are_told_apart(memory_layer: BaseChannelLayer, database_url: str) -> None:
    assert [step.hint for step in await steps("posts") if step.found.startswith(NO_RELAY)] == ["manage.py runrealtime"]
    async with relaying(memory_layer):
        (step,) = [step for step in await steps("posts") if "relay" in step.found]
        assert step.holds
        assert re.match(r"A relay leads, seen \d\.\d s ago\. The log's newest position is \d+; \d+ changes", step.found)


async def test_stopped_relay_is_reported(memory_layer: BaseChannelLayer, owner: Owner) -> None:
    owner.execute(LEAD, {"term": uuid4(), "gone": 0})
    owner.execute("select setval('ayb_realtime.leader_seen', ayb_realtime.milliseconds_v1() - 60000)")
    (step,) = [step for step in await steps("posts") if step.found.startswith("The relay was last seen 6")]
    assert step.holds is False


class TestCommand:
    """The command prints the user, the steps and a summary, and exits with 0 or 1."""

    @pytest.fixture(autouse=True)
    def _user(self, transactional_db: None) -> None:
        get_user_model().objects.create(email="somebody@example.com")

    async def test_event_that_would_arrive_ends_in_success(
        self,
        memory_layer: BaseChannelLayer,
        owner: Owner,
        make_table: MakeTable,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        make_table("notes", "id int primary key, email text", policy="email = current_setting('ayb.user_email')")
        owner.execute("insert into notes values (42, 'somebody@example.com')")
        async with relaying(memory_layer):
            await asyncio.to_thread(explain_command, "--user", "Somebody@example.com", "--table", "notes", "--pk", "42")
            lines = capsys.readouterr().out.splitlines()
            assert lines[0] == "ok  somebody@example.com is an active user."
            assert lines[-1] == "An event of row (42) of notes would reach Somebody@example.com."
            assert {line[:4] for line in lines[:-1]} == {"ok  ", "    "}
            await asyncio.to_thread(explain_command, "--user", "somebody@example.com", "--table", "notes")
            assert "of those rows that are visible" in capsys.readouterr().out.splitlines()[-1]
            filters = "--filter", "email=like.some%", "--filter", "id=gt.42"
            with pytest.raises(SystemExit, match="1"):
                await asyncio.to_thread(
                    explain_command, "--user", "somebody@example.com", "--table", "notes", "--pk", "42", *filters
                )
            assert (
                capsys.readouterr()
                .out.splitlines()[-1]
                .endswith("It does not match the filter: no create or update of it is sent.")
            )

    def test_event_that_would_not_arrive_ends_in_failure(
        self, make_table: MakeTable, capsys: pytest.CaptureFixture[str]
    ) -> None:
        make_table("notes", "id int primary key", policy="true")
        with pytest.raises(SystemExit, match="1"):
            explain_command("--user", "somebody@example.com", "--table", "notes", "--pk", "42")
        *_, row, verdict = capsys.readouterr().out.splitlines()
        assert row == "NO  Row (42) is not there. Only its delete can be sent."
        assert verdict.startswith(
            "No event of row (42) of notes would reach somebody@example.com. No relay leads. The log's newest position"
        )
        assert verdict.endswith(" And 1 more, see above.")

    def test_user_who_is_not_active_is_not_let_in(self, capsys: pytest.CaptureFixture[str]) -> None:
        get_user_model().objects.update(is_active=False)
        with pytest.raises(SystemExit, match="1"):
            explain_command("--user", "somebody@example.com", "--table", "posts")
        assert capsys.readouterr().out.startswith("NO  somebody@example.com is not active: ")

    @pytest.mark.parametrize("is_on", [False, True])
    def test_anonymous_user_is_let_in_where_anonymous_streams_are_on(
        self, settings: Any, capsys: pytest.CaptureFixture[str], is_on: bool
    ) -> None:
        settings.AYB_REALTIME = {"ANONYMOUS": is_on}
        with pytest.raises(SystemExit, match="1"):
            explain_command("--anonymous", "--table", "posts")
        output = capsys.readouterr().out
        assert output.startswith(f"{'ok ' if is_on else 'NO '} Anonymous streams are {'on' if is_on else 'off'}")
        assert f"NO  {ANONYMOUS_ROLE} may not SELECT" in output

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("--table", "posts"), "one of the arguments --user --user-id --anonymous is required"),
            (("--user", "a", "--anonymous", "--table", "posts"), "not allowed with argument"),
            (("--user", "a"), "the following arguments are required: --table"),
            (("--user", "a", "--table", "posts"), "No user has the email or user name 'a'."),
            (("--user", "", "--table", "posts"), "No user has the email or user name ''."),
            (("--user-id", "a", "--table", "posts"), "No user has the primary key 'a'."),
            (("--user", "somebody@example.com", "--table", "a.b"), "There is no table 'a.b'"),
            (
                ("--user", "somebody@example.com", "--table", "posts", "--pk", "1", "2"),
                "is (id): give a value for each",
            ),
            (("--user", "somebody@example.com", "--table", "posts", "--pk", "x"), "(x) is no key of posts: invalid"),
        ],
    )
    def test_bad_input_is_refused_with_a_sentence(self, arguments: tuple[str, ...], message: str) -> None:
        with pytest.raises(CommandError, match=re.escape(message)):
            explain_command(*arguments)


def explain_command(*arguments: str) -> None:
    """Run the command, and close the connections that it opened, perhaps in another thread."""
    try:
        call_command("realtime_explain", *arguments)
    finally:
        connections.close_all()
