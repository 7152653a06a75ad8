"""Fair turns: every identity that resumes makes progress, as does each slice that its streams are at."""

import random
from dataclasses import dataclass

import pytest

from ayb_realtime.hub.replaying import turns as turns_module
from ayb_realtime.hub.replaying.turns import Turns, at_slice, far_and_near
from ayb_realtime.log import slices


@dataclass
class At:
    """A stream."""

    position: int


def turns(*identities: str) -> Turns[str]:
    """Let identities take turns, in the order in which they came."""
    made: Turns[str] = Turns()
    for identity in identities:
        made.join(identity)
    return made


def test_identity_that_came_first_has_the_first_turn_at_its_first_slice() -> None:
    assert turns("ann", "bob").next_slice({"bob": {1, 2}, "ann": {4, 3}}) == 3


def test_identities_take_turns() -> None:
    two = turns("ann", "bob")
    assert [two.next_slice({"ann": {1}, "bob": {2}}) for _ in range(4)] == [1, 2, 1, 2]


def test_slices_of_an_identity_take_turns_upwards_and_then_from_the_first() -> None:
    one = turns("ann")
    assert [one.next_slice({"ann": {7, 3, 5}}) for _ in range(5)] == [3, 5, 7, 3, 5]


def test_those_that_would_choose_the_same_slice_have_had_their_turn() -> None:
    three = turns("ann", "bob", "cas")
    assert three.next_slice({"ann": {1}, "bob": {1}, "cas": {2}}) == 1
    assert three.next_slice({"ann": {1}, "bob": {1}, "cas": {2}}) == 2


def test_identity_without_a_stream_that_is_ready_keeps_its_turn() -> None:
    two = turns("ann", "bob")
    assert two.next_slice({"bob": {2}}) == 2
    assert two.next_slice({"ann": {1}, "bob": {2}}) == 1


def test_identity_that_comes_again_does_not_lose_its_turn_and_gains_none() -> None:
    two = turns("ann", "bob")
    two.next_slice({"ann": {1}, "bob": {2}})
    two.join("ann")
    two.join("bob")
    assert two.next_slice({"ann": {1}, "bob": {2}}) == 2


def test_identity_that_has_gone_is_forgotten() -> None:
    three = turns("ann", "bob", "cas")
    three.keep({"bob", "cas"})
    assert len(three) == 2
    three.join("ann")
    assert [three.next_slice({"ann": {1}, "bob": {2}, "cas": {3}}) for _ in range(3)] == [2, 3, 1]


@pytest.mark.parametrize("seed", range(20))
def test_each_waits_for_as_many_turns_as_there_are_others_at_most(seed: int) -> None:
    chance = random.Random(seed)
    names = "abcde"
    some = turns(*names)
    waited = dict.fromkeys(names, 0)
    for _ in range(100):
        numbers: dict[str, set[int]] = {name: set(chance.sample(range(4), chance.randint(1, 4))) for name in names}
        choice = some.next_slice(numbers)
        for name in names:
            waited[name] = 0 if choice in numbers[name] else waited[name] + 1
        assert max(waited.values()) < len(names)


def test_streams_are_far_or_near_or_wait_for_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns_module, "NEAR_CHANGES", 50)
    far, near = far_and_near([At(position) for position in (0, 49, 50, 51, 99, 100, 101, 1000)], 100)
    assert [stream.position for stream in far] == [0, 49]
    assert [stream.position for stream in near] == [50, 51, 99, 100]


def test_streams_at_a_slice_are_those_that_its_reading_brings_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "SLICE_CHANGES", 10)
    streams = [At(position) for position in (9, 10, 15, 19, 20)]
    assert [stream.position for stream in at_slice(streams, 1)] == [10, 15, 19]
