"""Spans of OpenTelemetry for what the relay numbers and a hub delivers, if the setting TRACING is on. Pure.

What must always hold: a span has numbers and positions, and no row, value, user or message of Postgres. While TRACING
is off, OpenTelemetry is not imported, and a call costs a look at one attribute. docs/monitoring.md lists the spans.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib.util import find_spec
from typing import Any, Protocol

logger = logging.getLogger("ayb_realtime")

MISSING = "it is on, but opentelemetry-api is not installed, so there are no spans"
OFF: AbstractContextManager[None] = nullcontext()


class Span(Protocol):
    """A span that has begun."""

    def set_attributes(self, attributes: Mapping[str, int]) -> object:
        """Add attributes, which ``named`` has named."""


def has_opentelemetry() -> bool:
    """Tell whether the package is installed without which there are no spans."""
    try:
        return find_spec("opentelemetry.trace") is not None
    except ModuleNotFoundError:
        return False


def named(**numbers: int) -> dict[str, int]:
    """Return attributes under their full names."""
    return {f"ayb_realtime.{name}": number for name, number in numbers.items()}


class Tracing:
    """The spans of a process. It begins with none."""

    def __init__(self) -> None:
        self._tracer: Any = None

    def begin(self, is_wanted: bool) -> None:
        """Record spans from now on, or none. Each relay and each hub calls it as it begins."""
        self._tracer = None
        if not is_wanted:
            return
        if not has_opentelemetry():
            logger.warning("TRACING: %s", MISSING, extra={"event_name": "tracing_missing"})
            return
        from opentelemetry import trace

        self._tracer = trace.get_tracer("ayb_realtime")

    def span(self, name: str, traces: Iterable[str] = ()) -> AbstractContextManager[Span | None]:
        """Record the block as a span; None if there are none.

        traces: of spans to link it to, as ``record`` has returned them. They are iterated over only if there are spans.
        """
        return OFF if self._tracer is None else self._recorded(name, traces)

    def record(self, name: str, began: float, **numbers: int) -> str | None:
        """Record a span that ends now; return its W3C ``traceparent``; None if there are none.

        began: in seconds since the epoch.
        numbers: its attributes, by what ``named`` names in full.
        """
        if self._tracer is None:
            return None
        from opentelemetry.trace import set_span_in_context
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        span = self._tracer.start_span(name, start_time=int(began * 1e9), attributes=named(**numbers))
        span.end()
        carrier: dict[str, str] = {}
        TraceContextTextMapPropagator().inject(carrier, set_span_in_context(span))
        return carrier.get("traceparent")

    @contextmanager
    def _recorded(self, name: str, traces: Iterable[str]) -> Iterator[Span]:
        from opentelemetry.trace import Status, StatusCode

        # What an exception says may be of a row, or of a policy.
        silent = {"record_exception": False, "set_status_on_exception": False}
        with self._tracer.start_as_current_span(name, links=[*_links(traces)], **silent) as span:
            try:
                yield span
            except Exception as error:
                span.set_status(Status(StatusCode.ERROR, type(error).__name__))
                raise


def _links(traces: Iterable[str]) -> Iterator[Any]:
    from opentelemetry.context import Context
    from opentelemetry.trace import Link, get_current_span
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    for each in traces:
        context = TraceContextTextMapPropagator().extract({"traceparent": each}, Context())
        if (found := get_current_span(context).get_span_context()).is_valid:
            yield Link(found)


tracing = Tracing()
