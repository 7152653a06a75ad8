"""System checks, for ``manage.py check --deploy``."""

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig, apps
from django.core.checks import CheckMessage, Tags, Warning, register  # noqa: A004 - Django's name


@register(Tags.async_support, deploy=True)
def check_daphne(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Warn where the site may be served by Daphne as it is. To be told in advance is all that helps there."""
    if not apps.is_installed("daphne"):
        return []
    return [
        Warning(
            "Daphne is installed. The bare `daphne` command has no backpressure: what a client does not read piles up"
            " in the memory of its process.",
            hint="In production, serve the site by `manage.py runrealtime --serve`, uvicorn, hypercorn or granian."
            " If you do, add ayb_realtime.W001 to SILENCED_SYSTEM_CHECKS.",
            id="ayb_realtime.W001",
        )
    ]
