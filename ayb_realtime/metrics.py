"""The metrics of this process for Prometheus: their names, and what they are read from. Needs prometheus-client.

The view and ``runrealtime --metrics`` show them; nothing else imports this module. docs/monitoring.md lists them.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from itertools import accumulate
from typing import Any

import psycopg
from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from ayb_realtime.conf import conf
from ayb_realtime.counts import SECONDS, Histogram, counts
from ayb_realtime.hub.hub import Hub
from ayb_realtime.hub.registry import hubs
from ayb_realtime.hub.streams.endings import Ending
from ayb_realtime.limit_settings import DEFAULT_LIMITS
from ayb_realtime.log import queries
from ayb_realtime.postgres import database
from ayb_realtime.relay import leadership
from ayb_realtime.relay.leadership import Status
from ayb_realtime.relay.relay import relays
from ayb_realtime.reset_reasons import ResetReason

# A value for each label, or each tuple of labels.
Values = Mapping[Any, float]

PREFIX = "ayb_realtime"
# The limits beyond which a request is refused.
REFUSING = [name for name in DEFAULT_LIMITS if name not in ("body_bytes", "waiting_bytes")]
# How long the database may take. A scrape may take ten seconds by Prometheus' default.
ANSWER_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class LogFacts:
    """What the database says about the log. All processes with a relay tell the same.

    status: the relay's, whichever process has it.
    epoch: where the log's epoch begins; None: it needs a new one.
    size_bytes: what the log takes on disk, with its indexes.
    """

    status: Status
    epoch: int | None
    size_bytes: int


class RealtimeCollector(Collector):
    """Collects the metrics of this process.

    ask: returns what the database says about the log, at each scrape; None if it does not answer. By default these
        metrics are left out.
    """

    def __init__(self, ask: Callable[[], LogFacts | None] | None = None) -> None:
        self._ask = ask

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        yield from _of_hubs(hubs())
        yield from _of_relay()
        if self._ask is not None:
            yield from _of_log(self._ask())


def serve(host: str, port: int, alias: str | None = None) -> None:
    """Answer each request to this address with the metrics, from threads, as long as the process lasts.

    alias: of the log's database, which is asked at each scrape; None: it is not.
    Raises OSError if the server cannot listen on the address.
    """
    ask = None if alias is None else lambda: asyncio.run(read_log(alias))
    start_http_server(port, host, _registry(ask))


async def exposition(accept: str) -> tuple[bytes, str]:
    """Return the metrics as text, and its type, in the format that a scraper accepts.

    The log is in them if a relay runs in this process: otherwise the relay's process tells of it.
    """
    has_relay = bool(relays)
    facts = await read_log(conf.relay_database) if has_relay else None
    encode, content_type = choose_encoder(accept)
    return encode(_registry((lambda: facts) if has_relay else None)), content_type


async def read_log(alias: str) -> LogFacts | None:
    """Ask the database with this alias, on a connection of its own; None: it does not answer."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS), await database.connect(alias) as connection:
            return LogFacts(
                await leadership.status(connection),
                await queries.epoch(connection),
                await queries.size_bytes(connection),
            )
    except (psycopg.Error, OSError):  # TimeoutError is one.
        return None


def _registry(ask: Callable[[], LogFacts | None] | None) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(RealtimeCollector(ask))
    ProcessCollector(registry=registry)
    return registry


def _of_hubs(running: Iterable[Hub]) -> Iterator[Metric]:
    streams = [(hub, hub.open_streams()) for hub in running]
    live = sum(len(hub.live_subscribers) for hub, _ in streams)
    total = sum(len(each) for _, each in streams)
    by_state = {("live",): live, ("catching_up",): total - live}
    identities = {stream.identity for _, each in streams for stream in each}
    behind = max((max(0, hub.feed.head - hub.position) for hub, _ in streams), default=0)
    yield _gauge("streams", "Open streams.", by_state, "state")
    yield _gauge("identities", "Distinct roles and settings of the open streams.", {(): len(identities)})
    yield _gauge("behind", "Positions that the hub knows of and has not delivered.", {(): behind})
    opened = {("true",): counts.opened[True], ("false",): counts.opened[False]}
    yield _counter("streams_opened", "Streams that were opened.", opened, "resumed")
    yield _counter("streams_ended", "Streams that the hub ended, by why.", _by_name(Ending, counts.endings), "reason")
    yield _counter(
        "refusals",
        "Requests for a stream that were refused, by status.",
        {(str(code),): number for code, number in list(counts.refusals.items())},
        "code",
    )
    limits = {(name,): counts.limits.get(name, 0) for name in REFUSING}
    yield _counter("limit_refusals", "Those of them that were beyond one of LIMITS, by its name.", limits, "limit")
    yield _counter("changes", "Changes of tables that a live stream follows, delivered.", {(): counts.changes})
    yield _counter("events", "Events put into streams: each once for each stream.", {(): counts.events})
    answers = {("shown",): counts.shown, ("withheld",): counts.withheld, ("unanswered",): counts.unanswered}
    yield _counter("answers", "Changed rows times identities that follow their table.", answers, "answer")
    yield _counter("check_failures", "Failed checks of an identity.", counts.failures, "table", "kind")
    yield _counter("resets", "Resets that streams were sent.", _by_name(ResetReason, counts.resets), "reason")
    yield _counter("log_reads", "Stretches read from the log that were not heard.", {(): counts.log_reads})
    yield _histogram("check_seconds", "How long it takes to ask who sees a slice of changes.", counts.check_seconds)
    yield _histogram("delivery_seconds", "From a commit to the streams.", counts.delivery_seconds)


def _of_relay() -> Iterator[Metric]:
    leads = any(relay.leads.is_set() for relay in list(relays))
    yield _gauge("leads", "1 if the relay of this process leads.", {(): leads})
    yield _counter("numbered", "Changes that the relay of this process has numbered.", {(): counts.numbered})
    failures = {(): counts.publish_failures}
    yield _counter("publish_failures", "Messages that the layer, or NOTIFY, did not take from the relay.", failures)


def _of_log(facts: LogFacts | None) -> Iterator[Metric]:
    """Yield what the database says. facts: None if it does not answer."""
    yield _gauge("database_up", "1 if the log's database has answered this scrape.", {(): facts is not None})
    if facts is None:
        return
    status = facts.status
    yield _gauge("has_leader", "1 if a relay leads, in whichever process.", {(): status.has_leader})
    yield _gauge("leader_unseen_seconds", "Since a relay was last seen to lead.", {(): status.unseen_seconds})
    yield _gauge("position", "The log's newest position.", {(): status.head})
    yield _gauge("waiting", "Committed rows of the log that no relay has numbered yet.", {(): status.waiting})
    yield _gauge("log_size_bytes", "What the log takes on disk.", {(): facts.size_bytes})
    if facts.epoch is not None:
        yield _gauge("epoch", "The position at which the log's epoch begins.", {(): facts.epoch})


def _by_name(kinds: type[Enum], numbers: Mapping[str, int]) -> dict[tuple[str, ...], int]:
    """Return the number of each kind, also those that are 0: Prometheus sees an increase only between two samples."""
    return {(name.lower(),): numbers.get(name.lower(), 0) for name in kinds.__members__}


def _gauge(name: str, help_: str, values: Values, *labels: str) -> Metric:
    family = GaugeMetricFamily(f"{PREFIX}_{name}", help_, labels=labels)
    for label, value in values.items():
        family.add_metric(label, value)
    return family


def _counter(name: str, help_: str, values: Values, *labels: str) -> Metric:
    family = CounterMetricFamily(f"{PREFIX}_{name}", help_, labels=labels)
    for label, value in list(values.items()):
        family.add_metric(label, value)
    return family


def _histogram(name: str, help_: str, histogram: Histogram) -> Metric:
    limits = [*map(str, SECONDS), "+Inf"]
    buckets = list(zip(limits, accumulate(histogram.buckets), strict=True))
    return HistogramMetricFamily(f"{PREFIX}_{name}", help_, buckets=buckets, sum_value=histogram.seconds)
