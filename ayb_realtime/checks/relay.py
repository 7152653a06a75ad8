"""Checks that a relay leads, without which no event arrives, and that the web processes can hear it."""

from typing import Any

from asgiref.sync import async_to_sync
from django.core.checks import CheckMessage, Tags, Warning  # noqa: A004 - Django's names

from ayb_realtime.checks.registration import register
from ayb_realtime.checks.tables import Apps, Databases, is_checked
from ayb_realtime.conf import conf
from ayb_realtime.postgres import database, notifications
from ayb_realtime.postgres.database import own_cursor
from ayb_realtime.relay.leadership import STATUS, Status


@register(Tags.database, deploy=True)
def check_relay(app_configs: Apps, databases: Databases = None, **kwargs: Any) -> list[CheckMessage]:
    """Warn if no relay leads, and the web processes do not run one."""
    if conf.relay_in_process or not is_checked(databases):
        return []
    with own_cursor(conf.database) as cursor:
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


@register(Tags.database, deploy=True)
def check_listen(app_configs: Apps, databases: Databases = None, **kwargs: Any) -> list[CheckMessage]:
    """Warn if the web processes LISTEN, and would hear nothing."""
    if conf.channel_layer is not None or not is_checked(databases) or async_to_sync(_is_heard)():
        return []
    return [
        Warning(
            f"CHANNEL_LAYER is None, but LISTEN hears nothing in the database {conf.database!r}. Most likely there is a"
            " connection pooler in transaction mode before it. Each process finds every change up to a second late, by"
            " asking the log.",
            hint="Connect directly or through a pooler in session mode, or configure a Channels layer.",
            id="ayb_realtime.W027",
        )
    ]


async def _is_heard() -> bool:
    async with await database.connect(conf.database) as listener, await database.connect(conf.database) as speaker:
        await notifications.listen(listener, "ayb_realtime.check")
        return await notifications.is_heard(listener, speaker, "ayb_realtime.check")
