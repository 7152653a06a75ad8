"""What each stream begins with. The hub calls it."""

from ayb_realtime.conf import conf
from ayb_realtime.counts import counts
from ayb_realtime.hub.streams.subscriber import Subscriber
from ayb_realtime.reset_reasons import ResetReason
from ayb_realtime.wire import sse
from ayb_realtime.wire.events import connected_event


def greeting(subscriber: Subscriber, names_position: bool, reset_reason: ResetReason | None) -> bytes:
    """Encode what a stream begins with: a reset of all its tables is part of it if there is a reason for one.

    names_position: whether the client has named the position of the last event that it has.
    """
    resumed = names_position and reset_reason is None
    counts.opened[resumed] += 1
    connected = connected_event(subscriber.client_id, subscriber.position, resumed=resumed)
    names = [table.name for table in subscriber.tables]
    reset = subscriber.reset_event(reset_reason, names) if reset_reason else b""
    words = sse.retry(conf.retry_milliseconds) + connected + reset
    return words if subscriber.may_tell_position else sse.without_ids(words)
