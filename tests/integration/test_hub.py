"""The hub: what a stream gets, through each layer, without one, and after a resume."""

import psycopg
import pytest
from channels.layers import BaseChannelLayer, InMemoryChannelLayer

from ayb_realtime.hub import Hub
from tests.integration.conftest import open_stream, person, relaying

OWN = "author = current_setting('ayb.user_id')"


async def test_changes_through_each_layer_arrive_in_order(
    layer: BaseChannelLayer, the_hub: Hub, owner, make_table
) -> None:
    make_table("notes", "id int primary key, author text, body text", policy=OWN)
    async with relaying(layer):
        mine = await open_stream(the_hub, person(1), "notes")
        theirs = await open_stream(the_hub, person(2), "notes")
        owner.execute("insert into notes values (1, '1', 'first')")
        assert await mine.next_change() == {
            "action": "create",
            "table": "notes",
            "record": {"id": 1, "author": "1", "body": "first"},
        }
        owner.execute("update notes set body = 'second'")
        assert (await mine.next_change())["record"]["body"] == "second"
        owner.execute("delete from notes")
        delete = {"action": "delete", "table": "notes", "record": {"id": 1}}
        assert await mine.next_change() == delete
        assert await theirs.next_change() == delete
