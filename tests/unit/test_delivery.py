"""Which events go to which subscribers."""

from collections.abc import Collection
from dataclasses import replace

import pytest

from ayb_realtime.filters import Clause
from ayb_realtime.hub.delivering import delivery as module
from ayb_realtime.hub.delivering.delivery import DeliveryPlan
from ayb_realtime.hub.delivering.dispatch import dispatch
from ayb_realtime.hub.streams.subscriber import Subscriber
from ayb_realtime.hub.streams.subscribers import Subscribers
from ayb_realtime.hub.streams.unanswered_resets import BURST
from ayb_realtime.identity import Identity
from ayb_realtime.log.changes import Action, Change
from ayb_realtime.postgres.tables import Table
from ayb_realtime.reset_reasons import ResetReason
from ayb_realtime.visibility import Answers, FilteredIdentity, FilterIndex, Matches, SharedView, with_filtered
from ayb_realtime.wire.events import change_event, reset_event
from ayb_realtime.wire.form import WHOLE, Form
from ayb_realtime.wire.records import Row

NOTES = Table(7, "public", "notes", ("id",), (), row_security=True, trigger=1)
POSTS = Table(8, "public", "posts", ("id",), (), row_security=True, trigger=2)
ANN, BOB, CYD = (Identity("reader", (("ayb.user_id", name),)) for name in ("ann", "bob", "cyd"))
CROWD = [Identity("reader", (("ayb.user_id", str(n)),)) for n in range(500)]
CREATE, UPDATE, DELETE = (
    Change(position, 7, action, f'{{"id":{position}}}')
    for position, action in enumerate((Action.CREATE, Action.UPDATE, Action.DELETE), start=2)
)
ROWS = {change.position: Row(change.record or "") for change in (CREATE, UPDATE, DELETE)}
EVENTS = {change.position: change_event(change, NOTES, ROWS[change.position]) for change in (CREATE, UPDATE, DELETE)}
VANISHED = change_event(Change(3, 7, Action.DELETE, '{"id":3}'), NOTES, ROWS[3])


def stream(identity: Identity, *tables: Table, position: int = 1, form: Form = WHOLE) -> Subscriber:
    """Open a stream, at a position."""
    subscriber = Subscriber(identity, tables or [NOTES], buffer_bytes=100_000, heartbeat_seconds=3600.0, form=form)
    subscriber.set_baseline(position)
    return subscriber


def visible(delivery: DeliveryPlan, views: Collection[SharedView]) -> None:
    """Add a create and an update that these views show."""
    delivery.add_rows(NOTES, {2: CREATE, 3: UPDATE}, ROWS, Answers(list(views)))


def sent(delivery: DeliveryPlan, *subscribers: Subscriber) -> list[bytes]:
    """Dispatch, and return what each subscriber has in its buffer."""
    dispatch(delivery, Subscribers(subscribers), 9)
    assert {subscriber.position for subscriber in subscribers if not subscriber.ended} <= {9}
    return [b"".join(subscriber._buffer._chunks) for subscriber in subscribers]


def test_view_is_encoded_once_and_its_subscribers_get_the_same_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    encoded = []

    def count(change: Change, table: Table, row: Row, form: Form) -> bytes:
        encoded.append((change.position, row.text))
        return change_event(change, table, row, form)

    monkeypatch.setattr(module, "change_event", count)
    delivery = DeliveryPlan()
    visible(delivery, [SharedView({2: None, 3: None}, CROWD[:300]), SharedView({3: None}, CROWD[300:])])
    subscribers = [stream(identity) for identity in CROWD for _ in range(2)]
    dispatch(delivery, Subscribers(subscribers), 9)
    assert encoded == [(2, '{"id":2}'), (3, '{"id":3}')]
    assert {id(chunk) for each in subscribers[:600] for chunk in each._buffer._chunks} == {
        id(subscribers[0]._buffer._chunks[0])
    }
    assert {id(chunk) for each in subscribers[600:] for chunk in each._buffer._chunks} == {
        id(subscribers[600]._buffer._chunks[0])
    }
    assert sum(len(each._buffer._chunks) for each in subscribers) == 1000


def test_each_form_of_a_row_is_encoded_once_and_without_a_form_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    encoded = []

    def count(change: Change, table: Table, row: Row, form: Form) -> bytes:
        encoded.append((change.position, form))
        return change_event(change, table, row, form)

    monkeypatch.setattr(module, "change_event", count)
    delivery = DeliveryPlan()
    visible(delivery, [SharedView({2: None, 3: None}, CROWD[:250]), SharedView({3: None}, CROWD[250:])])
    named = [Form((), True) for _ in CROWD]
    streams = [stream(one, form=form) for one, form in zip(CROWD, named, strict=True)]
    whole = [stream(identity) for identity in CROWD]
    dispatch(delivery, Subscribers([*streams, *whole]), 9)
    assert sorted(encoded) == [(2, WHOLE), (2, named[0]), (3, WHOLE), (3, named[0])]
    assert len({id(chunk) for each in streams for chunk in each._buffer._chunks}) == 2
    assert {b"".join(each._buffer._chunks) for each in whole} == {EVENTS[2] + EVENTS[3], EVENTS[3]}
    assert b"\nevent: notes.update\n" in streams[-1]._buffer._chunks[0]


def test_deletes_to_those_that_lose_the_same_rows_are_the_same_bytes() -> None:
    delivery = DeliveryPlan()
    visible(delivery, [SharedView({2: None}, CROWD[:250])])
    delivery.add_vanished(
        NOTES, [UPDATE], ROWS, Answers([SharedView({2: None}, CROWD[:250])]), Answers([SharedView({3: None}, CROWD)])
    )
    subscribers = [stream(identity) for identity in CROWD]
    dispatch(delivery, Subscribers(subscribers), 9)
    assert len({id(chunk) for each in subscribers for chunk in each._buffer._chunks}) == 2
    assert {b"".join(each._buffer._chunks) for each in subscribers} == {EVENTS[2] + VANISHED, VANISHED}


def test_streams_get_what_matches_their_filters_and_share_its_bytes() -> None:
    filters = [frozenset({Clause("id", "=", (value,))}) for value in "23"]
    index = FilterIndex((ANN, FilteredIdentity(ANN.role, ANN.settings, each)) for each in filters)
    matches = Matches({filters[0]: {2}, filters[1]: {2, 3}})
    answers = with_filtered(Answers([SharedView({2: None, 3: None}, [ANN])]), {ANN.role: index}, {ANN.role: matches})
    delivery = DeliveryPlan()
    visible(delivery, answers.views)
    subscribers = [stream(ANN), *(stream(ANN) for _ in filters)]
    for each, wanted in zip(subscribers[1:], filters, strict=True):
        each.filters = {(NOTES.schema, NOTES.name): wanted}
        each.set_tables([NOTES])
    dispatch(delivery, Subscribers(subscribers), 9)
    everything, only_2, both = ([*each._buffer._chunks] for each in subscribers)
    assert [everything, only_2] == [[EVENTS[2] + EVENTS[3]], [EVENTS[2]]]
    assert both[0] is everything[0]


def test_each_gets_what_its_view_holds_in_the_order_of_positions() -> None:
    delivery = DeliveryPlan()
    delivery.set_readers(NOTES, [ANN, BOB, CYD])
    delivery.add_deletes(NOTES, [DELETE], ROWS)
    visible(delivery, [SharedView({3: None, 2: None}, [ANN]), SharedView({3: '{"id":3,"other":true}'}, [BOB])])
    changed = change_event(UPDATE, NOTES, Row('{"id":3,"other":true}'))
    assert sent(delivery, stream(ANN), stream(BOB), stream(CYD), stream(ANN, POSTS)) == [
        EVENTS[2] + EVENTS[3] + EVENTS[4],
        changed + EVENTS[4],
        EVENTS[4],
        b"",
    ]


def test_what_is_at_or_before_the_position_of_a_stream_is_not_sent() -> None:
    delivery = DeliveryPlan()
    visible(delivery, [SharedView({2: None, 3: None}, [ANN])])
    assert sent(delivery, stream(ANN, position=2), stream(ANN)) == [EVENTS[3], EVENTS[2] + EVENTS[3]]


def test_reset_goes_to_all_readers_and_to_no_other() -> None:
    delivery = DeliveryPlan()
    delivery.set_readers(NOTES, [ANN])
    delivery.add_reset(NOTES, ResetReason.TRUNCATED, 5)
    assert sent(delivery, stream(ANN), stream(BOB)) == [reset_event(ResetReason.TRUNCATED, ["notes"], 5), b""]


def test_update_out_of_a_view_is_a_delete_to_those_that_saw_the_row() -> None:
    now = Answers([SharedView({3: None}, [ANN])], unanswered={CYD: [3]})
    before = Answers([SharedView({3: None, 4: None}, [ANN, BOB, CYD])])
    delivery = DeliveryPlan()
    visible(delivery, now.views)
    delivery.add_vanished(NOTES, [UPDATE, DELETE], ROWS, now, before)
    # A delete is always sent as a delete. For the update, it is unknown whether CYD sees the row.
    assert sent(delivery, stream(ANN), stream(BOB), stream(CYD)) == [
        EVENTS[3] + EVENTS[4],
        VANISHED + EVENTS[4],
        EVENTS[4],
    ]


def test_delete_goes_only_to_those_that_saw_the_row() -> None:
    delivery = DeliveryPlan()
    delivery.add_vanished(NOTES, [DELETE], ROWS, Answers(), Answers([SharedView({4: None}, [BOB])]))
    assert sent(delivery, stream(ANN), stream(BOB)) == [b"", EVENTS[4]]


def test_row_that_has_become_too_large_is_fetched_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGEST_CHARACTERS", 20)
    delivery = DeliveryPlan()
    visible(delivery, [SharedView({2: '{"id":2,"body":"larger"}', 3: None}, [ANN]), SharedView({3: None}, [BOB])])
    reset = reset_event(ResetReason.UNANSWERED, ["notes"], 2)
    assert sent(delivery, stream(ANN), stream(BOB)) == [reset + EVENTS[3], EVENTS[3]]


def test_rows_without_an_answer_are_one_reset_in_place_of_the_first() -> None:
    delivery = DeliveryPlan()
    visible(delivery, [SharedView({2: None}, [ANN])])
    delivery.add_unanswered(NOTES, {ANN: [3], BOB: [3]})
    delivery.add_unanswered(NOTES, {ANN: [4]})
    reset = reset_event(ResetReason.UNANSWERED, ["notes"], 3)
    assert sent(delivery, stream(ANN), stream(BOB), stream(BOB, position=3)) == [EVENTS[2] + reset, reset, b""]


def test_stream_that_has_had_too_many_resets_is_owed_the_next() -> None:
    subscriber = stream(ANN)
    for position in range(2, BURST + 4):
        delivery = DeliveryPlan()
        delivery.add_unanswered(NOTES, {ANN: [position]})
        dispatch(delivery, Subscribers([subscriber]), position)
    delivery = DeliveryPlan()
    delivery.add_rows(NOTES, {9: replace(UPDATE, position=9)}, {9: ROWS[3]}, Answers([SharedView({9: None}, [ANN])]))
    dispatch(delivery, Subscribers([subscriber]), 9)
    *resets, event = subscriber._buffer._chunks
    assert resets == [reset_event(ResetReason.UNANSWERED, ["notes"], position) for position in range(2, BURST + 2)]
    # Until the reset is sent, a client that reconnects must resume at the position before.
    assert event.startswith(b"data: ")


def test_table_that_was_enabled_is_reset_for_those_that_came_before() -> None:
    delivery = DeliveryPlan()
    delivery.add_enabled(NOTES, [Change(at, 7, Action.ENABLE, f'{{"trigger":{oid}}}') for at, oid in ((5, 1), (4, 9))])
    earlier, later, resumed = stream(ANN), stream(ANN), stream(ANN, position=5)
    earlier.triggers = resumed.triggers = frozenset()
    assert sent(delivery, earlier, later, resumed, stream(BOB, POSTS)) == [
        reset_event(ResetReason.TABLE_RECREATED, ["notes"], 9), b"", b"", b"",
    ]  # fmt: skip


def test_stream_of_a_locked_table_ends_without_events_and_no_other_of_its_identity() -> None:
    delivery = DeliveryPlan()
    visible(delivery, [SharedView({2: None}, [ANN, BOB])])
    delivery.add_endings(NOTES, [ANN, CYD])
    subscribers = [stream(ANN), stream(BOB), stream(CYD), stream(ANN, POSTS), stream(ANN, POSTS, NOTES)]
    assert sent(delivery, *subscribers) == [b"", EVENTS[2], b"", b"", b""]
    assert [each.ended for each in subscribers] == [True, False, True, False, True]


def test_plans_of_several_tables_become_one() -> None:
    posts = DeliveryPlan()
    create = Change(5, 8, Action.CREATE, '{"id":5}')
    posts.add_rows(POSTS, {5: create}, {5: Row('{"id":5}')}, Answers([SharedView({5: None}, [ANN])]))
    posts.add_reset(POSTS, ResetReason.TRUNCATED, 6)
    posts.set_readers(POSTS, [ANN, BOB])
    posts.add_unanswered(POSTS, {CYD: [5]})
    notes = DeliveryPlan()
    visible(notes, [SharedView({2: None}, [ANN, BOB])])
    notes.add_endings(NOTES, [CYD])
    delivery = DeliveryPlan()
    delivery.add(notes)
    delivery.add(posts)
    event = change_event(create, POSTS, Row('{"id":5}'))
    reset = reset_event(ResetReason.TRUNCATED, ["posts"], 6)
    ended = stream(CYD)
    streams = stream(ANN, NOTES, POSTS), stream(BOB, NOTES, POSTS), stream(CYD, POSTS), ended
    unanswered = reset_event(ResetReason.UNANSWERED, ["posts"], 5)
    assert sent(delivery, *streams) == [EVENTS[2] + event + reset, EVENTS[2] + reset, unanswered, b""]
    assert ended.ended
