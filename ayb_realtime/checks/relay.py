"""Checks that a relay leads: without one no event arrives."""

from typing import Any

from django.core.checks import CheckMessage, Tags, Warning  # noqa: A004 - Django's names
from django.db import connections

from ayb_realtime.checks.registration import register
from ayb_realtime.checks.tables import Apps, Databases, is_checked
from ayb_realtime.conf import conf
from ayb_realtime.relay.leadership import STATUS, Status


@register(Tags.database, deploy=True)
def check_relay(app_configs: Apps, databases: Databases = None, **kwargs: Any) -> list[CheckMessage]:
    """Warn if no relay leads, and the web processes do not run one."""
    if conf.relay_in_process or not is_checked(databases):
        return []
    with connections[conf.database].cursor() as cursor:
        cursor.execute(STATUS)
        status = Status.of(cursor.fetchone())
    if status.has_leader:
        return []
    return [
        Warning(
            "No relay leads, so no event arrives.",
            hint="Start one: manage.py runrealtime.",
            id="ayb_realtime.W022",
        )
    ]
