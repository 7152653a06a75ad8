"""Checks that the hub reads the database whose changes are streamed, or a standby of it."""

from typing import Any

from django.core.checks import CheckMessage, Error, Tags
from django.db import connections

from ayb_realtime.checks.registration import register
from ayb_realtime.checks.tables import Apps, Databases, is_checked
from ayb_realtime.conf import conf
from ayb_realtime.postgres.database import own_cursor

# A standby has its primary's.
PLACE = (
    "select (pg_catalog.pg_control_system()).system_identifier, oid"
    "  from pg_catalog.pg_database where datname = pg_catalog.current_database()"
)


@register(Tags.database)
def check_hub_database(app_configs: Apps, databases: Databases = None, **kwargs: Any) -> list[CheckMessage]:
    """Refuse a HUB_DATABASE with a log of its own: streams would tell of that one."""
    alias = conf.hub_database
    if not conf.hub_reads_standby() or not is_checked(databases):
        return []
    if alias in connections and connections[alias].vendor == "postgresql" and _place(alias) == _place(conf.database):
        return []
    return [
        Error(
            f"HUB_DATABASE is {alias!r}, which is neither {conf.database!r} nor a standby of it: streams would tell"
            " what happens there.",
            hint="Name an entry of DATABASES that reaches a hot standby of that server, or set no HUB_DATABASE.",
            id="ayb_realtime.E028",
        )
    ]


def _place(alias: str) -> tuple[Any, ...]:
    with own_cursor(alias) as cursor:
        cursor.execute(PLACE)
        return tuple(cursor.fetchone())
