"""A database of each released version goes to the newest migration and back, with its rows and an open stream."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from httpx_sse import EventSource, ServerSentEvent

from tests.example import AUTHOR, MANAGE, Example, database
from tests.upgrade import DUMPS

CHANGED = (
    "The migrations make something else of a database of version {} than of an empty one. Was a migration edited that"
    " had been released? Add one instead. If no {} is tagged yet, write its dump again: see tests/upgrade/__main__.py."
)
# What the migrations make: names, and what they hold. A check function holds oids of its database.
OBJECTS = """
select 'function' as kind, proname::text as name, case when proname !~ '^check_\\d' then md5(prosrc) end, proacl::text
  from pg_proc where pronamespace = 'ayb_realtime'::regnamespace
union all
select 'relation', relname, string_agg(concat_ws(' ', attname, atttypid::regtype, attnotnull), ', ' order by attnum),
       relacl::text
  from pg_class join pg_attribute on attrelid = pg_class.oid and attnum > 0 and not attisdropped
 where relnamespace = 'ayb_realtime'::regnamespace and relkind in ('r', 'p', 'v', 'S')
 group by relname, relacl::text
union all
select 'trigger', tgname, tgrelid::regclass::text, tgenabled::text from pg_trigger where not tgisinternal
order by 1, 2, 3
"""


@pytest.fixture(params=sorted(DUMPS.glob("*.sql")), ids=lambda dump: dump.stem)
def dump(request: pytest.FixtureRequest) -> Path:
    """What a released version has made of the example's database."""
    dump: Path = request.param
    return dump


def objects(url: str) -> Sequence[Any]:
    """Return what the migrations have made."""
    with psycopg.connect(url) as connection:
        return connection.execute(OBJECTS).fetchall()


@contextmanager
def streaming(example: Example) -> Iterator[Iterator[ServerSentEvent]]:
    """Open a stream of posts; yield its events from `connected` on."""
    parameters = {"tables": "posts", "token": example.token(AUTHOR)}
    with httpx.stream("GET", f"{example.address}/api/realtime", params=parameters, timeout=30) as response:
        yield EventSource(response.raise_for_status()).iter_sse()


def next_record(events: Iterator[ServerSentEvent]) -> Any:
    """Return the record of the next change."""
    return next(json.loads(event.data)["record"] for event in events if event.event == "message" and event.data)


def manage(example: Example, *arguments: str) -> None:
    """Run a command of manage.py."""
    child = example.run(str(MANAGE), *arguments)
    assert child.process.wait(120) == 0, child.log_tail()


def test_database_of_a_released_version_goes_to_the_newest_and_back(
    server_url: str, seeded_url: str, dump: Path, tmp_path: Path
) -> None:
    with database(server_url) as url:
        example = Example(url, tmp_path)
        with psycopg.connect(url) as connection:
            connection.execute(dump.read_bytes())
        example.start()
        try:
            with streaming(example) as events:
                assert next(events).event == "connected"
                manage(example, "migrate")
                post = example.add_post("new", published=True)
                assert next_record(events)["id"] == post
                assert objects(url) == objects(seeded_url), CHANGED.format(dump.stem, dump.stem)
                manage(example, "makemigrations", "--check", "--dry-run")
                assert "Traceback" not in example.log()

                manage(example, "migrate", "blog", "0001")
                manage(example, "migrate", "ayb_realtime", "zero")
                with psycopg.connect(url) as connection:
                    titles = connection.execute("select title from posts where title in ('kept', 'new') order by title")
                    assert titles.fetchall() == [("kept",), ("new",)]
                    assert connection.execute("select to_regnamespace('ayb_realtime')").fetchone() == (None,)
                example.add_post("unseen", published=True)
                manage(example, "migrate")
                assert objects(url) == objects(seeded_url)
                # What was written meanwhile is in no log.
                assert next(event.event for event in events if event.event != "message") == "reset"
                post = example.add_post("again", published=True)
                assert next_record(events)["id"] == post
        finally:
            assert example.stop() == 0
    # Meanwhile the relay has said why the stream waits.
    assert 'relation "ayb_realtime.batch" does not exist' in example.log()
