"""The streamed tables, read from the catalog. Our trigger is the allow-list: a table that carries it is streamed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import psycopg

from ayb_realtime.exceptions import UnknownTable
from ayb_realtime.postgres import sessions


@dataclass(frozen=True, slots=True)
class Table:
    """A streamed table.

    relation: its oid, which survives a rename.
    key_columns: of the primary key, in its order.
    utc_columns: those of type timestamp with time zone, arrays of it, or domains over either.
    row_security: whether row-level security is on.
    trigger: the oid of our trigger; it changes each time the table is enabled.
    """

    relation: int
    schema: str
    name: str
    key_columns: tuple[str, ...]
    utc_columns: tuple[str, ...]
    row_security: bool
    trigger: int

    @classmethod
    def from_row(cls, row: Sequence[Any]) -> "Table":
        """Make a table from a row of ``streamed_tables_v1``."""
        relation, schema, name, keys, utc, row_security, trigger = row
        return cls(relation, schema, name, tuple(keys or ()), tuple(utc), row_security, trigger)

    def key_members(self, columns: Mapping[str, str]) -> dict[str, str]:
        """Return the values of a row's key as our SQL functions take them: ``k1``, ``k2`` and so on, as JSON text.

        columns: the JSON text of each column's value.
        """
        return {f"k{place}": columns[name] for place, name in enumerate(self.key_columns, start=1)}


async def streamed(connection: psycopg.AsyncConnection[Any]) -> list[Table]:
    """Return the streamed tables, those of the schema ``public`` first."""
    return [
        Table.from_row(row)
        for row in await sessions.fetch(connection, "select * from ayb_realtime.streamed_tables_v1()")
    ]


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
