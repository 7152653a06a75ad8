"""Fixtures of the tests of how rows are written: types around one with a cast to json, and what was logged."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.integration.scenario import Owner

Logged = Callable[[], list[tuple[str, Any]]]


LOGGED = (
    "select action, record::text from ayb_realtime.change where relation = 'notes'::regclass and id > %s order by id"
)
SHADOW = "select shadow from ayb_realtime.layout where relation = 'notes'::regclass order by id desc limit 1"
NEWEST = "select coalesce(max(id), 0) from ayb_realtime.change"

BODIES = {
    "raises": "begin perform nextval('public.ran'); raise 'no'; end",
    "writes JSON": "begin perform nextval('public.ran'); return '{\"a\":1}'; end",
}
WRITTEN = {
    "place": ("'in'", "in"),
    "place[]": ("'{in,null}'", ["in", None]),
    "held": ("row(1, 'in')", {"n": 1, "place": "in"}),
    "held[]": ("array[row(1, 'in')::held]", [{"n": 1, "place": "in"}]),
    "held_twice": ("row(row(1, 'in'), '\"')", {"held": {"n": 1, "place": "in"}, "other": '"'}),
    "placed": ("'in'", "in"),
    "span": ("'[1,2)'", "[1,2)"),
}


@pytest.fixture
def types(owner: Owner) -> Iterator[None]:
    """Types of each kind around one that has a cast to json, and a sequence that says whether the cast ran."""
    owner.execute(
        """
        create sequence if not exists ran;
        grant usage on ran to public;
        create type place as enum ('in', 'out');
        create type held as (n int, place place);
        create type held_twice as (held held, other text);
        create domain placed as place;
        create type span as range (subtype = float8);
        """
    )
    yield
    owner.execute("drop type if exists place, held, held_twice, span cascade; drop sequence if exists ran")


def make_cast(owner: Owner, body: str) -> None:
    """Create casts to json with this body."""
    for kind in ("place", "span"):
        owner.execute(
            f"create function {kind}_to_json({kind}) returns json language plpgsql as $$ {body} $$;"
            f" create cast ({kind} as json) with function {kind}_to_json({kind})".encode()
        )


def ran(owner: Owner) -> bool:
    """Return whether a cast has run."""
    row = owner.execute("select is_called from ran").fetchone()
    return row is not None and row[0]


@pytest.fixture
def logged(owner: Owner) -> Logged:
    """Return what was logged of the table ``notes`` since the last call."""
    last = list(owner.execute(NEWEST).fetchone() or [0])

    def read() -> list[tuple[str, Any]]:
        rows = owner.execute(LOGGED, last).fetchall()
        last[:] = owner.execute(NEWEST).fetchone() or [0]
        return [(action, record and json.loads(record)) for action, record in rows if action != "enable"]

    return read
