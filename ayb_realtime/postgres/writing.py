"""Writes by Django's own connection of the calling thread, where the hub's pool is not at hand."""

from collections.abc import Mapping
from typing import Any

from django.db import connections, transaction

from ayb_realtime.conf import conf

BEGIN = "set transaction isolation level read committed, read write"


def write(query: str, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Run a statement in a transaction of its own, in the database that DATABASE names; return its rows.

    Raises django.db.Error.
    """
    with transaction.atomic(conf.database, durable=True), connections[conf.database].cursor() as cursor:
        cursor.execute(BEGIN)
        cursor.execute(query, parameters)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows
