"""The streamed tables, read from the catalog. Our trigger is the allow-list: a table that carries it is streamed."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import psycopg

from ayb_realtime.exceptions import UnknownTable
from ayb_realtime.postgres import sessions

STREAMED = "select pg_catalog.to_json(t)::pg_catalog.text from ayb_realtime.streamed_tables_v1() t"


@dataclass(frozen=True, slots=True)
class Table:
    """A streamed table.

    relation: its oid, which survives a rename.
    key_columns: of the primary key, in its order.
    utc_columns: those of type timestamp with time zone, arrays of it, or domains over either.
    row_security: whether row-level security is on.
    trigger: the oid of our trigger; it changes each time the table is enabled.
    virtual_columns: the virtual generated ones, which are null in a row as it was logged.
    """

    relation: int
    schema: str
    name: str
    key_columns: tuple[str, ...]
    utc_columns: tuple[str, ...]
    row_security: bool
    trigger: int
    virtual_columns: tuple[str, ...] = ()

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> "Table":
        """Make a table from a ``streamed_table`` of Postgres, read as JSON."""
        columns = {name: tuple(fields[name] or ()) for name in ("key_columns", "utc_columns", "virtual_columns")}
        return cls(**{**fields, **columns})

    def key_members(self, columns: Mapping[str, str]) -> dict[str, str]:
        """Return the values of a row's key as our SQL functions take them: ``k1``, ``k2`` and so on, as JSON text.

        columns: the JSON text of each column's value.
        """
        return {f"k{place}": columns[name] for place, name in enumerate(self.key_columns, start=1)}


async def streamed(connection: psycopg.AsyncConnection[Any]) -> list[Table]:
    """Return the streamed tables, those of the schema ``public`` first."""
    return [Table.of(json.loads(table)) for (table,) in await sessions.fetch(connection, STREAMED)]


def named(tables: Sequence[Table], names: Sequence[str]) -> list[Table]:
    """Return the tables with these names, each once. Raises UnknownTable.

    A name is a table's own, of which the first one is meant, or has its schema before it: ``tenant_b.orders``.
    """
    by_name = {f"{table.schema}.{table.name}": table for table in tables}
    by_name |= {table.name: table for table in reversed(tables)}
    try:
        return list(dict.fromkeys(by_name[name] for name in names))
    except KeyError as error:
        raise UnknownTable(error.args[0], [table.name for table in tables]) from None


@lru_cache(maxsize=1024)
def intern_tables(tables: tuple[Table, ...]) -> tuple[tuple[Table, ...], frozenset[int], frozenset[int]]:
    """Return these tables, their relations and triggers: the same objects for every stream of the same tables."""
    return tables, frozenset(table.relation for table in tables), frozenset(table.trigger for table in tables)
