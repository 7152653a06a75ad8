"""The seal: which messages of the layer are accepted, and from whom."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ayb_realtime.exceptions import InvalidMessage
from ayb_realtime.log.changes import Action, Announcement, Change
from ayb_realtime.log.messages import from_message, to_message

BATCH = Announcement(5, (Change(5, 7, Action.CREATE, '{"id":1,"body":"\U0001f986"}'),))
GROUP = "ayb_realtime.one"


def test_message_that_was_sealed_is_read() -> None:
    assert from_message(to_message(BATCH, GROUP), GROUP) == BATCH


def test_largest_message_that_there_can_be_is_read() -> None:
    many = Announcement(
        10_000, tuple(Change(at, 2**32 - 1, Action.TRUNCATE, "\U0001f986" * 26) for at in range(1, 10_001))
    )
    assert from_message(to_message(many, GROUP), GROUP) == many


def test_message_holds_strings_alone() -> None:
    message = to_message(Announcement(1, (Change(1, 7, Action.CREATE, '{"n":1e400}'),)), GROUP)
    assert message.keys() == {"type", "batch", "seal"}
    assert all(isinstance(value, str) for value in message.values())


def test_message_of_another_log_is_refused() -> None:
    with pytest.raises(InvalidMessage, match="SECRET_KEY"):
        from_message(to_message(BATCH, "ayb_realtime.another"), GROUP)


def test_message_under_another_secret_is_refused_and_under_an_older_one_read(settings: Any) -> None:
    settings.SECRET_KEY = "old"
    message = to_message(BATCH, GROUP)
    settings.SECRET_KEY = "new"
    with pytest.raises(InvalidMessage, match="SECRET_KEY"):
        from_message(message, GROUP)
    settings.SECRET_KEY_FALLBACKS = ["older", "old"]
    assert from_message(message, GROUP) == BATCH


@pytest.mark.parametrize("position", range(0, 60, 7))
def test_message_of_which_a_character_was_changed_is_refused(position: int) -> None:
    message = to_message(BATCH, GROUP)
    for name in ("batch", "seal"):
        text = message[name]
        at = position % len(text)
        other = "1" if text[at] == "0" else "0"
        with pytest.raises(InvalidMessage):
            from_message({**message, name: text[:at] + other + text[at + 1 :]}, GROUP)


@pytest.mark.parametrize("seal", [None, 7, b"", "", "\ud800", "\u00e9" * 64, "0" * 64])
def test_message_with_no_seal_of_ours_is_refused(seal: object) -> None:
    with pytest.raises(InvalidMessage):
        from_message({**to_message(BATCH, GROUP), "seal": seal}, GROUP)


def test_long_text_is_refused_without_a_look_at_it() -> None:
    with pytest.raises(InvalidMessage, match="form"):
        from_message({"type": "ayb_realtime.batch", "batch": "x" * 10_000_000, "seal": "0" * 64}, GROUP)


texts = st.text(st.characters(codec=None, exclude_categories=()), max_size=20)
anything = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), texts, st.binary(max_size=20)),
    lambda inner: st.one_of(st.lists(inner, max_size=5), st.dictionaries(texts, inner, max_size=5)),
    max_leaves=20,
)
bodies = st.one_of(st.just(BATCH.to_text()), anything.map(lambda body: json.dumps(body, default=repr)))
looks_like_one = st.fixed_dictionaries(
    {},
    optional={
        "type": st.one_of(st.just("ayb_realtime.batch"), anything),
        "batch": st.one_of(
            st.just(BATCH.to_text()), anything.map(lambda body: json.dumps(body, default=repr)), anything
        ),
        "seal": st.one_of(st.text("0123456789abcdef", min_size=64, max_size=64), anything),
    },
)


@given(st.one_of(anything, looks_like_one))
def test_whatever_is_in_the_layer_is_refused_in_one_way(message: object) -> None:
    with pytest.raises(InvalidMessage):
        from_message(message, GROUP)


@given(anything)
def test_whatever_is_sealed_is_a_batch_or_refused(body: object) -> None:
    try:
        announcement = Announcement.from_text(json.dumps(body, default=repr))
    except InvalidMessage:
        return
    assert announcement.is_valid()
