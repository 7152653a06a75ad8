"""Checks that each name belongs to one streamed table: where each tenant has a schema, several share a name."""

from collections import defaultdict
from typing import Any

from django.core.checks import CheckMessage, Tags, Warning  # noqa: A004 - Django's names

from ayb_realtime.checks.registration import register
from ayb_realtime.checks.tables import Apps, Databases, read_states


@register(Tags.database)
def check_names(app_configs: Apps, databases: Databases = None, **kwargs: Any) -> list[CheckMessage]:
    """Warn of streamed tables of different schemas that have the same name."""
    by_name = defaultdict(list)
    for table in read_states(databases):
        by_name[table.name].append(table.schema)
    return [
        Warning(
            f"Streamed tables of the schemas {', '.join(sorted(schemas))} have the name {name}: a client that asks for"
            f" {name} gets the one in public, or else in the first of these.",
            hint=f"Clients can name one with its schema: tables={min(schemas)}.{name}. If they do, add"
            " ayb_realtime.W023 to SILENCED_SYSTEM_CHECKS.",
            id="ayb_realtime.W023",
        )
        for name, schemas in by_name.items()
        if len(schemas) > 1
    ]
