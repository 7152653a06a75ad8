"""System checks, for ``manage.py check --deploy``."""

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig, apps
from django.core.checks import CheckMessage, Tags, Warning, register  # noqa: A004 - Django's name
from django.db import connections

from ayb_realtime.conf import conf
from ayb_realtime.database import sql


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


@register(Tags.database)
def check_old_rows(
    app_configs: Sequence[AppConfig] | None, databases: Sequence[str] | None, **kwargs: Any
) -> list[CheckMessage]:
    """Warn of the tables where DELETE_VISIBILITY = "policy" cannot tell whose a deleted row was."""
    if conf.delete_visibility == "everyone" or conf.database not in (databases or ()):
        return []
    with connections[conf.database].cursor() as cursor:
        cursor.execute("select to_regproc('ayb_realtime.inexact_v1') is not null")
        if cursor.fetchone() != (True,):
            return []  # not migrated yet
        cursor.execute(sql("inexact").decode())
        tables = cursor.fetchall()
    fate = {"withhold": "withheld from everyone", "everyone": "told to everyone"}[conf.inexact_deletes]
    return [
        Warning(
            f'Whose a deleted row of "{name}" was cannot be told: {reason}. Its deletes are {fate}.',
            hint="Write the policy on the row's own columns and on other tables; or choose by"
            ' AYB_REALTIME["INEXACT_DELETES"] what becomes of these deletes, and add ayb_realtime.W050 to'
            " SILENCED_SYSTEM_CHECKS.",
            id="ayb_realtime.W050",
        )
        for name, reason in tables
    ]
