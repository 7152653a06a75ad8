"""``realtime_tables`` and ``realtime_tail``: what an operator reads on a terminal."""

import io
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command

from embedded import Child
from tests.example import AUTHOR, MANAGE, STRANGER, Example
from tests.integration.scenario import OWN, MakeTable, Owner


def listed(**options: Any) -> str:
    """Return what ``realtime_tables`` prints."""
    output = io.StringIO()
    call_command("realtime_tables", stdout=output, no_color=True, **{"seconds": 0.01, **options})
    return output.getvalue()


def test_tables_are_listed_with_what_decides_who_sees_their_rows(owner: Owner, make_table: MakeTable) -> None:
    make_table('"My notes"', "id int, part int, author text, secret text, primary key (part, id)", policy=OWN)
    owner.execute('revoke select on "My notes" from ayb_authenticated')
    owner.execute('grant select (id, part, author) on "My notes" to ayb_authenticated')
    block = listed().partition('public."My notes"')[2].partition("\npublic.")[0]
    heading, *lines = block.splitlines()
    assert heading.split("  ")[1:] == ["0.0 rows/s", "16 kB", "key (part, id)"]
    assert lines[0].endswith(" may use the schema public, and SELECT every column but secret, which it is not sent.")
    assert lines[2].strip() == "Permissive policy p: USING ((author = current_setting('ayb.user_id'::text)))"


def test_rows_that_change_are_counted_while_the_command_waits(
    owner: Owner, make_table: MakeTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_table("notes", "id int primary key")
    owner.execute("insert into notes values (0)")
    monkeypatch.setattr("time.sleep", lambda _: owner.execute("insert into notes select generate_series(1, 30)"))
    assert "public.notes  15.0 rows/s" in listed(seconds=2.0)


def test_table_that_is_broken_is_said_to_be(owner: Owner, make_table: MakeTable) -> None:
    make_table("notes", "id int primary key", policy="true")
    owner.execute('alter table notes disable trigger "!ayb_realtime"; revoke select on notes from ayb_authenticated')
    printed = listed()
    assert "Its trigger is disabled" in printed
    assert "To do: GRANT SELECT ON public.notes TO ayb_authenticated;" in printed


def test_database_that_is_not_migrated_is_refused(owner: Owner) -> None:
    owner.execute("alter schema ayb_realtime rename to aside")
    try:
        for command, arguments in (("realtime_tables", ()), ("realtime_tail", ("--anonymous",))):
            with pytest.raises(CommandError, match="The database 'default' is not migrated"):
                call_command(command, *arguments)
    finally:
        owner.execute("alter schema aside rename to ayb_realtime")


@contextmanager
def tail(example: Example, *arguments: str) -> Iterator[Child]:
    """Run ``realtime_tail`` until Ctrl-C, on a copy of a database. With DEBUG, as here, its own process relays."""
    child = example.run(str(MANAGE), "realtime_tail", *arguments)
    try:
        # Of a copy, whose log begins a new epoch.
        child.wait_until(lambda: "reset posts: the log no longer holds" in child.log_tail())
        yield child
        assert child.stop(signal.SIGINT) == 0
    finally:
        child.stop()


def test_changes_are_printed_as_the_user_may_see_them_until_ctrl_c(seeded_url: str, tmp_path: Path) -> None:
    insert = (
        "insert into posts (title, body, published, created_at, updated_at, author_id)"
        " select %s, '', false, now(), now(), id from users where email = %s"
    )
    with (
        psycopg.connect(seeded_url, autocommit=True) as writer,
        tail(Example(seeded_url, tmp_path), "--as", AUTHOR.email, "posts") as child,
    ):
        writer.execute(insert, ["Not mine", STRANGER.email])
        writer.execute(insert, ["Mine", AUTHOR.email])
        child.wait_until(lambda: '"title":"Mine"' in child.log_tail())
        writer.execute("truncate posts")
        child.wait_until(lambda: "reset posts: table truncated" in child.log_tail())
    printed = child.log_tail()
    assert re.search(r"^\d+ create posts {.*\"title\":\"Mine\"", printed, re.MULTILINE)
    assert "Not mine" not in printed
    assert "Traceback" not in printed


def test_tail_of_what_is_not_there_is_refused_in_a_line(database_url: str) -> None:
    with pytest.raises(CommandError, match="No user has the email or user name 'nobody'"):
        call_command("realtime_tail", "--as", "nobody")
    told = io.StringIO()
    with pytest.raises(CommandError, match=r"unknown table: no_such\. Streamed are: comments, posts"):
        call_command("realtime_tail", "--anonymous", "no_such", stderr=told, no_color=True)
    assert told.getvalue() == "Anonymous streams are off: a request without a token is answered with 401.\n"
    with pytest.raises(CommandError, match=r"filter: unknown column: posts\.no_such"):
        call_command("realtime_tail", "--anonymous", "posts", "--filter", "no_such=eq.1", stderr=told)


def test_rows_that_are_there_are_printed_first_each_in_a_line(seeded_url: str, tmp_path: Path) -> None:
    arguments = ["--as", AUTHOR.email, "--snapshot", "--filter", "published=is.true", "posts"]
    child = Example(seeded_url, tmp_path).run(str(MANAGE), "realtime_tail", *arguments)
    try:
        child.wait_until(lambda: " ready\n" in child.log_tail())
    finally:
        child.stop(signal.SIGINT)
    with psycopg.connect(seeded_url) as connection:
        found = connection.execute("select id from posts where published order by id").fetchall()
    # Twice if the copy's log has begun its new epoch since.
    printed = dict.fromkeys(re.findall(r'^snapshot posts {"id":(\d+),.*}$', child.log_tail(), re.MULTILINE))
    assert [(int(row_id),) for row_id in printed] == found
    assert re.search(r"^\d+ ready$", child.log_tail(), re.MULTILINE)
