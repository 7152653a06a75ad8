"""The spans of OpenTelemetry, by its SDK: of a relay's process and a web process, and what they tell of a failure."""

import json
import os
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from httpx_sse import connect_sse
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from ayb_realtime.tracing import Tracing
from tests.example import AUTHOR, MANAGE, STRANGER, Example, answers

PAGE = (Path(__file__).parents[2] / "docs" / "monitoring.md").read_text()
SETTINGS = """
import os

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

from example_project.settings import *

AYB_REALTIME = {{**AYB_REALTIME, "TRACING": True}}
told = open(f"{folder}/{{os.getpid()}}.spans", "w", buffering=1)
exporter = ConsoleSpanExporter(out=told, formatter=lambda span: span.to_json(indent=None) + "\\n")
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)
"""
Spans = dict[str, list[dict[str, Any]]]


@pytest.fixture
def site(seeded_url: str, tmp_path: Path) -> Iterator[Example]:
    """The example, whose relay and web process have a provider of spans each."""
    (tmp_path / "traced_settings.py").write_text(SETTINGS.format(folder=tmp_path))
    paths = os.pathsep.join([str(tmp_path), str(MANAGE.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {"DEBUG": "0", "PYTHONPATH": paths, "REDIS_URL": os.environ["REDIS_URL"]}
    example = Example(seeded_url, tmp_path, DJANGO_SETTINGS_MODULE="traced_settings", **environment)
    relay = example.run(str(MANAGE), "runrealtime")
    example.server = example.run("-m", "uvicorn", "example_project.asgi:application", "--port", str(example.port))
    try:
        relay.wait_until(lambda: "relay leads" in example.log())
        example.server.wait_until(lambda: answers(f"{example.address}/api/realtime/health"))
        yield example
    finally:
        example.stop()
        relay.stop()


def told(folder: Path) -> Spans:
    """Return the spans that all processes have told of, by name."""
    spans: Spans = defaultdict(list)
    for path in folder.glob("*.spans"):
        for line in path.read_text().splitlines():
            spans[(span := json.loads(line))["name"]].append(span)
    return spans


def total(spans: list[dict[str, Any]], name: str) -> int:
    """Return the sum of an attribute."""
    return sum(span["attributes"][f"ayb_realtime.{name}"] for span in spans)


def streamed(site: Example, titles: list[str]) -> list[str]:
    """Add posts, of which only the last is published, while two accounts stream; return the tokens that they had."""
    tokens = [site.token(account) for account in (AUTHOR, STRANGER)]
    with httpx.Client(timeout=60) as client:
        sources = [
            connect_sse(client, "GET", f"{site.address}/api/realtime", params={"tables": "posts", "token": token})
            for token in tokens
        ]
        with sources[0] as first, sources[1] as second:
            streams = [each.iter_sse() for each in (first, second)]
            for stream in streams:
                assert next(stream).event == "connected"
            for title in titles:
                site.add_post(title, published=title == titles[-1])
            for stream in streams:
                while titles[-1] not in next(stream).data:
                    pass
    return tokens


def test_spans_lead_from_the_relay_to_the_streams_and_hold_nothing_but_numbers(site: Example, tmp_path: Path) -> None:
    tokens = streamed(site, ["secret title one", "secret title two"])
    site.stop()
    spans = told(tmp_path)
    numbered, delivered, checked = (spans[f"ayb_realtime.{name}"] for name in ("number", "deliver", "check"))
    assert (total(numbered, "changes"), total(numbered, "announced")) == (2, 2)
    assert (total(checked, "changes"), total(delivered, "deliveries"), total(checked, "repeated")) == (2, 3, 0)
    assert {span["attributes"]["ayb_realtime.identities"] for span in checked} == {2}
    number_ids = {span["context"]["span_id"] for span in numbered}
    assert {link["context"]["span_id"] for span in delivered for link in span["links"]} == number_ids
    assert {span["parent_id"] for span in delivered} == {None}
    assert {span["parent_id"] for span in checked} <= {span["context"]["span_id"] for span in delivered}
    rows = re.findall(r"^\| `(ayb_realtime\.\w+)` \| .*? \| (.*?) \|", PAGE, re.MULTILINE)
    listed = {name: set(re.findall(r"`(\w+)`", attributes)) for name, attributes in rows}
    assert listed == {
        name: {key.removeprefix("ayb_realtime.") for span in each for key in span["attributes"]}
        for name, each in spans.items()
    }
    assert {type(value) for each in spans.values() for span in each for value in span["attributes"].values()} == {int}
    text = "".join(path.read_text() for path in tmp_path.glob("*.spans"))
    assert not [secret for secret in (*tokens, "secret title", AUTHOR.email, str(AUTHOR.id)) if secret in text]


def test_failure_is_told_by_its_class_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    exporter, provider, tracing = InMemorySpanExporter(), TracerProvider(), Tracing()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr("opentelemetry.trace.get_tracer", provider.get_tracer)
    tracing.begin(True)
    linked = tracing.record("ayb_realtime.number", 1.0, changes=7)
    with pytest.raises(ValueError, match="a row"), tracing.span("ayb_realtime.deliver", [linked or "", "no trace"]):
        raise ValueError("a row")
    number, deliver = exporter.get_finished_spans()
    assert (number.start_time, number.attributes) == (10**9, {"ayb_realtime.changes": 7})
    assert [link.context.span_id for link in deliver.links] == [number.context.span_id]
    assert (deliver.status.is_ok, deliver.status.description, deliver.events) == (False, "ValueError", ())
