"""Who subscribes to which table: kept between slices, and never out of date."""

from ayb_realtime.hub.delivering.delivery import DeliveryPlan
from ayb_realtime.hub.delivering.dispatch import dispatch
from ayb_realtime.hub.streams.subscriber import Subscriber
from ayb_realtime.hub.streams.subscribers import Subscribers
from ayb_realtime.identity import Identity
from ayb_realtime.log.changes import Action, Change
from ayb_realtime.postgres.tables import Table
from ayb_realtime.visibility import Answers, SharedView
from ayb_realtime.wire.records import Row

NOTES = Table(7, "public", "notes", ("id",), (), row_security=True, trigger=1)
POSTS = Table(8, "public", "posts", ("id",), (), row_security=True, trigger=2)
ANN, BOB = (Identity("ayb_authenticated", (("ayb.user_id", name),)) for name in ("ann", "bob"))


def stream(identity: Identity, *tables: Table) -> Subscriber:
    """Open a stream, at position 1."""
    subscriber = Subscriber(identity, tables, buffer_bytes=1000, heartbeat_seconds=3600.0)
    subscriber.set_baseline(1)
    return subscriber


def subscribed(audience: Subscribers) -> dict[int, set[Identity]]:
    """Return the identities of each table."""
    return {relation: set(crowd) for relation, crowd in audience.identities.items()}


def test_identities_are_those_of_who_came_and_has_not_left() -> None:
    first, second, other = stream(ANN, NOTES), stream(ANN, NOTES), stream(BOB, NOTES, POSTS)
    audience = Subscribers([first])
    assert subscribed(audience) == {7: {ANN}}
    audience |= {second, other}
    assert subscribed(audience) == {7: {ANN, BOB}, 8: {BOB}}
    audience -= {other}
    assert subscribed(audience) == {7: {ANN}}
    first.set_tables([POSTS])
    audience.tables_changed()
    audience.discard(second)
    assert subscribed(audience) == {8: {ANN}}


def test_identities_are_gathered_again_only_after_a_join_or_leave() -> None:
    audience = Subscribers([stream(ANN, NOTES)])
    assert audience.identities is audience.identities


def test_who_gets_nothing_of_a_run_is_at_its_position_all_the_same() -> None:
    ann, bob = stream(ANN, NOTES), stream(BOB, NOTES)
    change = Change(2, 7, Action.CREATE, '{"id":1}')
    delivery = DeliveryPlan()
    delivery.set_readers(NOTES, [ANN, BOB])
    delivery.add_rows(NOTES, {2: change}, {2: Row('{"id":1}')}, Answers([SharedView({2: None}, [ANN])]))
    dispatch(delivery, Subscribers([ann, bob]), 3)
    assert [each.is_caught_up for each in (ann, bob)] == [False, True]
    assert [each.position for each in (ann, bob)] == [3, 3]
