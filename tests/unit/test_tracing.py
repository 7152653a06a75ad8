"""While the setting is off, nothing of OpenTelemetry is imported. A package that is wanted and missing is told."""

import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
BEGUN = """
import sys
import django
from django.conf import settings
django.setup()
from ayb_realtime.checks.monitoring import check_tracing
from ayb_realtime.conf import conf
from ayb_realtime.tracing import OFF, tracing
for wanted in (False, True):
    settings.AYB_REALTIME["TRACING"] = wanted
    tracing.begin(conf.tracing)
    assert tracing.span("ayb_realtime.deliver", map(print, "x")) is OFF
    assert tracing.record("ayb_realtime.number", 1.0, changes=1) is None
    print(wanted, [each.id for each in check_tracing(None)], [name for name in sys.modules if "opentelemetry" in name])
    sys.modules["opentelemetry"] = None
"""


def test_spans_import_nothing_unless_they_are_wanted_and_are_said_to_be_missing_without_the_package() -> None:
    environment = {"DJANGO_SETTINGS_MODULE": "example_project.settings", "PATH": ""}
    command = [sys.executable, "-c", BEGUN]
    ran = subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout == "False [] []\nTrue ['ayb_realtime.W061'] ['opentelemetry']\n"
    (line,) = ran.stderr.splitlines()
    assert "opentelemetry-api is not installed, so there are no spans" in line
