"""The names of the metrics that are told are those on the documentation's page, and in the dashboard."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ayb_realtime.counts import Counts
from ayb_realtime.metrics import LogFacts, RealtimeCollector
from ayb_realtime.relay.leadership import Status

CHECKOUT = Path(__file__).parents[2]
PAGE = (CHECKOUT / "docs" / "monitoring.md").read_text()
DASHBOARD = json.loads((CHECKOUT / "docs" / "grafana.json").read_text())
# Labels that Prometheus adds, or that a histogram's buckets have.
ADDED = {"instance", "le"}
# Imports everything but the metrics, without prometheus-client, and asks for the metrics.
WITHOUT = """
import sys
sys.modules["prometheus_client"] = None
import django
from django.conf import settings
settings.AYB_REALTIME["METRICS_TOKEN"] = "x" * 16
django.setup()
from django.core.management import CommandError, call_command
from django.core.checks import run_checks
import example_project.urls
assert "ayb_realtime.metrics" not in sys.modules
assert [each.id for each in run_checks() if "METRICS_TOKEN" in each.msg] == ["ayb_realtime.W060"]
try:
    call_command("runrealtime", "--metrics", "9102")
except CommandError as error:
    print(error)
"""


@pytest.fixture(scope="module")
def told() -> dict[str, set[str]]:
    """The names of the metrics, as a query has them, with their labels."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ayb_realtime.metrics.counts", counts := Counts())
        counts.failures["public.notes", "policy_failed"] = counts.refusals[401] = 1
        families = list(RealtimeCollector(lambda: LogFacts(Status(7, 0.1, 9, 0), 5, 8192)).collect())
    return {
        family.name + ("_total" if family.type == "counter" else ""): {
            label for sample in family.samples for label in sample.labels
        }
        for family in families
    }


def test_every_metric_is_documented_with_its_labels_and_no_other(told: dict[str, set[str]]) -> None:
    table = PAGE.partition("| metric | labels | |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \|", table, re.MULTILINE)
    assert {f"ayb_realtime_{name}": set(re.findall(r"`(\w+)`", labels)) for name, labels in rows} == {
        name: labels - ADDED for name, labels in told.items()
    }


def test_dashboard_and_alerts_ask_for_what_is_told(told: dict[str, set[str]]) -> None:
    queries = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
    alerts = re.findall(r"^\| `(.*ayb_realtime_.*?)`", PAGE, re.MULTILINE)
    assert len(queries) > 20
    assert len(alerts) > 4
    for query in [*queries, *alerts]:
        asked = set(re.findall(r"ayb_realtime_\w+", query))
        assert asked
        names = {re.sub(r"_(bucket|sum|count)$", "", name) for name in asked}
        assert names <= told.keys(), query
        by = {label.strip() for labels in re.findall(r"by \((.*?)\)", query) for label in labels.split(",")}
        assert by <= ADDED.union(*(told[name] for name in names)), query
    assert {re.sub(r"_(bucket|sum|count)$", "", name) for name in re.findall(r"ayb_realtime_\w+", str(queries))} == set(
        told
    )


def test_panels_name_the_labels_that_their_queries_leave(told: dict[str, set[str]]) -> None:
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            named = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
            grouped = re.search(r"by \((.*?)\)", target["expr"])
            left = {each.strip() for each in grouped[1].split(",")} if grouped else {"instance"}
            assert named <= left, target


def test_without_prometheus_client_everything_else_works_and_those_who_ask_are_told() -> None:
    environment = {"DJANGO_SETTINGS_MODULE": "example_project.settings", "PATH": ""}
    ran = subprocess.run(
        [sys.executable, "-c", WITHOUT], cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=60
    )
    assert ran.stdout.endswith("pip install django-ayb-realtime[metrics]\n"), ran.stderr
