"""Rows become JSON without the casts to json that users have made, so none fails."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from channels.layers import BaseChannelLayer

from ayb_realtime.hub.hub import Hub
from tests.integration.scenario import MakeTable, Owner, Stream, open_stream, person, relaying
from tests.integration.visibility.conftest import would_see
from tests.integration.written.conftest import BODIES, WRITTEN, Logged, make_cast, ran


@pytest.mark.usefixtures("types")
@pytest.mark.parametrize("body", ["raises", "writes JSON"])
@pytest.mark.parametrize("kind", list(WRITTEN))
def test_value_with_a_cast_to_json_is_written_as_text(
    owner: Owner, make_table: MakeTable, logged: Logged, kind: str, body: str
) -> None:
    literal, text = WRITTEN[kind]
    make_table("notes", f'id int primary key, "a ""value""" {kind}, tags text[], doc json')
    make_cast(owner, BODIES[body])
    owner.execute(f"insert into notes values (1, {literal}, '{{x}}', '{{\"b\": 1}}'), (2, null, null, null)".encode())
    owner.execute("update notes set id = id where id = 1")
    owner.execute("update notes set id = 3 where id = 1")
    owner.execute("delete from notes where id = 2")
    first, second = (
        {"id": n, 'a "value"': v, "tags": t, "doc": d}
        for n, v, t, d in [(1, text, ["x"], {"b": 1}), (2, None, None, None)]
    )
    assert logged() == [
        ("create", first),
        ("create", second),
        ("update", first),
        ("delete", first),
        ("create", {**first, "id": 3}),
        ("delete", second),
    ]
    assert not ran(owner)


@pytest.mark.usefixtures("types")
def test_null_in_an_array_with_a_cast_to_json_is_one_whatever_the_writer_has_set(
    owner: Owner, make_table: MakeTable, logged: Logged
) -> None:
    make_table("notes", "id int primary key, a place[]")
    make_cast(owner, BODIES["raises"])
    owner.execute("set array_nulls = off; insert into notes values (1, array['in', null]::place[])")
    assert logged() == [("create", {"id": 1, "a": ["in", None]})]


@pytest.mark.usefixtures("types")
def test_key_with_a_cast_to_json_is_compared_as_text(owner: Owner, make_table: MakeTable, logged: Logged) -> None:
    make_table("notes", "id place primary key, n int")
    make_cast(owner, BODIES["writes JSON"])
    owner.execute("insert into notes values ('in', 1)")
    owner.execute("update notes set n = 2")
    owner.execute("update notes set id = 'out'")
    assert logged() == [
        ("create", {"id": "in", "n": 1}),
        ("update", {"id": "in", "n": 2}),
        ("delete", {"id": "in", "n": 2}),
        ("create", {"id": "out", "n": 2}),
    ]


@pytest.mark.usefixtures("types")
def test_type_without_a_cast_to_json_is_written_as_it_is(owner: Owner, make_table: MakeTable, logged: Logged) -> None:
    make_table("notes", "id int primary key, a held, b place[], c span[], d placed")
    owner.execute("insert into notes values (1, row(1, 'in'), '{in}', array['[1,2)'::span], 'out')")
    expected = {"id": 1, "a": {"n": 1, "place": "in"}, "b": ["in"], "c": ["[1,2)"], "d": "out"}
    assert logged() == [("create", expected)]


@pytest_asyncio.fixture
async def relay(memory_layer: BaseChannelLayer, the_hub: Hub) -> AsyncIterator[None]:
    """A relay that runs during the test."""
    async with relaying(memory_layer):
        yield


async def told(stream: Stream) -> tuple[str, Any]:
    """Return the next change's action and record."""
    change = await stream.next_change()
    return change["action"], change["record"]


@pytest.mark.usefixtures("types", "relay")
@pytest.mark.parametrize("kind", list(WRITTEN))
async def test_subscriber_is_told_the_text_whenever_the_cast_was_made(
    the_hub: Hub, owner: Owner, make_table: MakeTable, kind: str
) -> None:
    literal, text = WRITTEN[kind]
    make_table("notes", f"id int primary key, a {kind}, hidden int", policy="id > 0")
    stream = await open_stream(the_hub, person(1), "notes")
    owner.execute("insert into notes values (1)")
    assert await told(stream) == ("create", {"id": 1, "a": None, "hidden": None})
    make_cast(owner, BODIES["raises"])
    owner.execute(f"insert into notes values (2, {literal})".encode())
    assert await told(stream) == ("create", {"id": 2, "a": text, "hidden": None})
    owner.execute("revoke select on notes from ayb_authenticated; grant select (id, a) on notes to ayb_authenticated")
    owner.execute("update notes set hidden = 1 where id = 2")
    assert await told(stream) == ("update", {"id": 2, "a": text})
    assert not ran(owner)


@pytest.mark.usefixtures("types")
@pytest.mark.parametrize("kind", list(WRITTEN))
async def test_row_with_a_cast_to_json_is_read_back_as_it_was(owner: Owner, make_table: MakeTable, kind: str) -> None:
    make_table("notes", f"id int primary key, a {kind}", policy="a::text like '%1%' or a::text like '%in%'")
    make_cast(owner, BODIES["raises"])
    owner.execute(f"insert into notes values (1, {WRITTEN[kind][0]}), (2, null)".encode())
    assert (await would_see(owner, "notes"))[0] == [{1}] * 4
    assert not ran(owner)
