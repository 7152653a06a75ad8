"""In which form a stream's changes are written. Pure. The hub chooses it when it opens the stream."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from ayb_realtime.exceptions import InvalidParameter
from ayb_realtime.postgres.tables import Table

# The schema and the name of a table.
TableName = tuple[str, str]


class Form(NamedTuple):
    """The form of a stream's events. Equal forms of the same rows are the same bytes.

    columns: each table whose records are not sent whole, with the columns that are sent besides the key.
    is_named: whether each change is an event with a name, such as ``posts.create``.
    """

    columns: tuple[tuple[TableName, frozenset[str]], ...] = ()
    is_named: bool = False

    def of_row(self, table: Table, columns: Mapping[str, str]) -> dict[str, str]:
        """Return those of a row's columns that are sent, in the row's order."""
        for name, sent in self.columns:
            if name == (table.schema, table.name):
                return {each: text for each, text in columns.items() if each in sent or each in table.key_columns}
        return dict(columns)

    def event_name(self, table: Table, action: str) -> str:
        """Return the name of a change's event; "" if it has none."""
        # A line end would end the name. A table may have one in its name.
        return f"{' '.join(table.name.splitlines())}.{action}" if self.is_named else ""


WHOLE = Form()
NAMED = Form(is_named=True)


def sent_columns(
    fields: Sequence[str], tables: Sequence[Table], readable: Mapping[int, Collection[str]]
) -> tuple[tuple[TableName, frozenset[str]], ...]:
    """Return which columns of which tables these fields are, as ``Form`` has them.

    fields: columns of each table that has them, or of one table: ``title``, ``posts.title``, ``public.posts.title``.
    readable: table (oid) → the columns that the subscriber may read.
    A table that only fields of other tables name is sent whole. Raises InvalidParameter for an unknown column.
    """
    columns = {table: _spellings(table, readable.get(table.relation, ())) for table in tables}
    for field in fields:
        if not any(field in spellings for spellings in columns.values()):
            raise InvalidParameter(f"fields: unknown column: {field}")
    concern_all = any(field in readable.get(table.relation, ()) for field in fields for table in tables)
    sent = {
        (table.schema, table.name): frozenset(spellings[field] for field in fields if field in spellings)
        for table, spellings in columns.items()
    }
    return tuple((name, chosen) for name, chosen in sent.items() if chosen or concern_all)


def _spellings(table: Table, columns: Collection[str]) -> dict[str, str]:
    """Return the columns of a table by all that a field may call them."""
    prefixes = f"{table.schema}.{table.name}.", f"{table.name}.", ""
    return {prefix + column: column for prefix in prefixes for column in columns}
