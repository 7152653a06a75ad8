"""Fixtures of the tests of sessions: defaults of a database, each the opposite of what we rely on."""

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql

from tests.integration.scenario import Owner

SetDefault = Callable[[str, str], None]


COLUMNS = "id int primary key, author text"


PRESENT = "select name, setting from pg_catalog.pg_settings order by name"


@pytest.fixture
def set_default(owner: Owner) -> Iterator[SetDefault]:
    """Set a setting for the database, and so for sessions that begin afterwards."""
    statement = "alter database {} {}"
    done: list[str] = []

    def set_default(name: str, value: str) -> None:
        # A search path is a list, not one literal.
        value_sql = sql.SQL(value) if name == "search_path" else sql.Literal(value)
        change = sql.SQL("set {} = {}").format(sql.Identifier(name), value_sql)
        owner.execute(sql.SQL(statement).format(sql.Identifier(owner.info.dbname), change))
        done.append(name)

    yield set_default
    for name in done:
        change = sql.SQL("reset {}").format(sql.Identifier(name))
        owner.execute(sql.SQL(statement).format(sql.Identifier(owner.info.dbname), change))


def knows(owner: Owner, name: str) -> bool:
    """Tell whether this server knows a setting."""
    return owner.execute("select from pg_settings where name = %s", [name]).fetchone() is not None


async def settings_of(connection: psycopg.AsyncConnection[Any]) -> dict[str, str]:
    """Return a session's settings."""
    return dict(await (await connection.execute(PRESENT)).fetchall())


# Each of them the opposite of what we rely on.
ODD = {
    "default_transaction_isolation": "serializable",
    "default_transaction_deferrable": "on",
    "default_transaction_read_only": "on",
    "exit_on_error": "on",
    "jit": "on",
    "synchronous_commit": "off",
    "statement_timeout": "30000",
    "lock_timeout": "30000",
    "idle_in_transaction_session_timeout": "30000",
    "idle_session_timeout": "30000",
    "row_security": "off",
    "DateStyle": "SQL, DMY",
    "IntervalStyle": "sql_standard",
    "extra_float_digits": "-15",
    "max_parallel_workers_per_gather": "8",
    "search_path": "public, pg_catalog",
    "array_nulls": "off",
    "backslash_quote": "on",
    "quote_all_identifiers": "on",
    "standard_conforming_strings": "off",
    "transform_null_equals": "on",
    "enable_indexscan": "off",
    "random_page_cost": "1e9",
    "from_collapse_limit": "1",
}
