"""Checks of what monitoring needs to be installed."""

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, Tags, Warning  # noqa: A004 - Django's name

from ayb_realtime.checks.registration import register
from ayb_realtime.conf import conf
from ayb_realtime.counts import has_prometheus_client
from ayb_realtime.tracing import MISSING, has_opentelemetry

Apps = Sequence[AppConfig] | None


@register(Tags.async_support)
def check_metrics(app_configs: Apps, **kwargs: Any) -> list[CheckMessage]:
    """Warn if there is a token for metrics, but not what they need."""
    if not conf.metrics_token or has_prometheus_client():
        return []
    return [
        Warning(
            "AYB_REALTIME['METRICS_TOKEN'] is set, but prometheus-client is not installed, so the answer is 500.",
            hint="pip install django-ayb-realtime[metrics]",
            id="ayb_realtime.W060",
        )
    ]


@register(Tags.async_support)
def check_tracing(app_configs: Apps, **kwargs: Any) -> list[CheckMessage]:
    """Warn if spans are wanted, but not what they need."""
    if not conf.tracing or has_opentelemetry():
        return []
    hint = 'pip install "django-ayb-realtime[tracing]"'
    return [Warning(f"AYB_REALTIME['TRACING']: {MISSING}.", hint=hint, id="ayb_realtime.W061")]
