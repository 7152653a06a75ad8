"""Any message in Redis is taken or dropped, and an open stream misses no change."""

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import redis
from django.conf import settings as site
from hypothesis import given
from hypothesis import strategies as st

from ayb_realtime.hub.hub import Hub
from ayb_realtime.log.changes import Action
from ayb_realtime.log.messages import TYPE, _seal
from tests.fuzz import inputs
from tests.fuzz.values import json_texts, scalars, texts, values
from tests.integration.fuzz.conftest import Honest

TOGETHER = 20
# The member by which the layer ``core`` tells whom a message is for.
ADDRESS = "__asgi_channel__"


@pytest.fixture
def attacker() -> Iterator[Any]:
    """A connection to Redis."""
    with redis.Redis.from_url(os.environ["REDIS_URL"]) as connection:
        yield connection


@dataclass(frozen=True, slots=True)
class Sealed:
    """A message that only a process with the site's SECRET_KEY can write."""

    text: str


def written(layer: Any, content: object, group: str, channel: str) -> bytes:
    """Return what is in Redis for bytes, a value, or a message to this hub."""
    if isinstance(content, bytes):
        return b"-" * getattr(layer._serializer, "random_prefix_length", 0) + content
    if isinstance(content, Sealed):
        content = {"type": TYPE, "batch": content.text, "seal": _seal(content.text, group, site.SECRET_KEY)}
        content[ADDRESS] = channel
    elif isinstance(content, dict) and content.get(ADDRESS) in ("own", ["own"]):
        content = {**content, ADDRESS: channel if content[ADDRESS] == "own" else [channel]}
    try:
        message: bytes = layer._serializer.serialize(content)
    except (OverflowError, ValueError):  # An integer of more than 64 bits.
        message = layer._serializer.serialize(repr(content))
    return message


def attack(attacker: Any, layer: Any, hub: Hub, contents: list[object]) -> None:
    """Write these where the hub reads its messages."""
    inlet: Any = hub._hearing.inlet
    key, mark, _ = inlet._layer_channel.partition("!")
    with attacker.pipeline() as pipeline:
        for content in contents:
            message = written(layer, content, inlet.group, inlet._layer_channel)
            if mark:
                pipeline.zadd(f"asgi{key}!", {message: time.time()})
            else:
                pipeline.publish(f"asgi__group__{inlet.group}", message)
        pipeline.execute()


# No position that the log may have next: what is sealed is believed.
positions = st.integers(2**61, 2**70) | st.sampled_from([None, True, 1.5, "1", -1, 0])
rows = st.tuples(positions, scalars, st.sampled_from(list(Action)) | texts, st.none() | json_texts, st.none() | texts)
batches = st.tuples(positions | st.integers(), st.lists(rows, max_size=2), scalars).map(json.dumps)
messages = st.fixed_dictionaries(
    {},
    optional={
        "type": st.just(TYPE) | values,
        "batch": batches | values,
        "seal": st.just("0" * 64) | values,
        ADDRESS: st.just("own") | st.just(["own"]) | values,
        "other": values,
    },
)
contents = st.binary(max_size=60) | values | messages | st.builds(Sealed, batches | json_texts)


@pytest.mark.parametrize("layer", ["core", "pubsub", "encrypted"], indirect=True)
@given(drawn=st.lists(contents, min_size=TOGETHER, max_size=TOGETHER))
@inputs("layer messages", together=TOGETHER)
async def test_any_message_in_redis_harms_no_open_stream(
    honest: Honest, layer: Any, the_hub: Hub, attacker: Any, drawn: list[object]
) -> None:
    attack(attacker, layer, the_hub, drawn)
    await honest.hears()
