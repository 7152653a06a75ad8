"""Fixtures of the tests of capture: what was logged, and a role that writes."""

import json
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest

from tests.integration.scenario import Owner

Logged = Callable[[], list[tuple[str, Any]]]


@pytest.fixture
def logged(owner: Owner) -> Logged:
    """Return what has been logged since the last call: each change's action, and its record, parsed."""
    last = [newest_id(owner)]

    def read() -> list[tuple[str, Any]]:
        rows = log_after(owner, last[0])
        last[0] = newest_id(owner)
        return [(action, record and json.loads(record)) for _, action, record in rows]

    return read


def newest_id(connection: Owner) -> int:
    row = connection.execute("select coalesce(max(id), 0) from ayb_realtime.change").fetchone()
    assert row is not None
    return int(row[0])


def log_after(connection: Owner, last_id: int = 0) -> list[tuple[str, str, str | None]]:
    """Return the table, the action and the record's text of each change after this one."""
    query = """
    select relation::regclass::text, action, record::text from ayb_realtime.change
     where id > %s and action <> 'enable' order by id
    """
    return connection.execute(query, [last_id]).fetchall()


@pytest.fixture
def writer_role(owner: Owner) -> Iterator[str]:
    """A role without privileges, which the owner can act as."""
    name = f"writer_{uuid4().hex}"
    owner.execute(f"create role {name}".encode())
    owner.execute(f"grant {name} to current_user".encode())
    yield name
    owner.execute("reset role")
    owner.execute(f"drop owned by {name}".encode())
    owner.execute(f"drop role {name}".encode())
