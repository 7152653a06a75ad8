"""The same table in the schemas of two tenants."""

from collections.abc import Iterator

import pytest
from django.core.management import CommandError
from django.db import connections

from ayb_realtime.checks.names import check_names
from ayb_realtime.exceptions import UnknownTable
from ayb_realtime.operations import EnableRealtime
from ayb_realtime.postgres.operation import RunSQLFile
from tests.integration.operations.conftest import forwards
from tests.integration.scenario import Owner, World, person


@pytest.fixture
def tenants(owner: Owner) -> Iterator[None]:
    """A streamed table in each of two schemas, enabled as a migration of each schema does."""
    for schema in ("tenant_a", "tenant_b"):
        owner.execute(f"create schema {schema}; create table {schema}.orders (id int primary key)".encode())
        with connections["default"].cursor() as cursor:
            cursor.execute(f"set search_path to {schema}, public")
            forwards(EnableRealtime(table="orders"))
            cursor.execute("reset search_path")
    yield
    owner.execute("drop schema tenant_a, tenant_b cascade")


async def test_stream_of_one_tenants_table_has_the_rows_of_that_one(tenants: None, world: World) -> None:
    stream = await world.stream(person(1), "tenant_b.orders", "tenant_b.orders")
    bare = await world.stream(person(1), "orders")
    async with world.relaying():
        world.insert("tenant_a.orders", 1)
        world.insert("tenant_b.orders", 2)
        change = await stream.next_change()
        assert (change["table"], change["record"]) == ("orders", {"id": 2})
        assert (await bare.next_change())["record"] == {"id": 1}


async def test_table_of_another_schema_is_as_unknown_as_any(tenants: None, world: World) -> None:
    with pytest.raises(UnknownTable, match="unknown table: public"):
        await world.stream(person(1), "public.orders")


def test_bare_name_of_two_tables_is_warned_of(tenants: None) -> None:
    (message,) = check_names(None, ["default"])
    assert (message.id, "tenant_a, tenant_b" in message.msg) == ("ayb_realtime.W023", True)
    assert "tables=tenant_a.orders" in str(message.hint)


def test_name_of_one_table_is_not_warned_of(owner: Owner) -> None:
    assert check_names(None, ["default"]) == []


def test_our_own_migration_in_a_second_schema_is_told_where_the_app_belongs(owner: Owner) -> None:
    with pytest.raises(CommandError, match="SHARED_APPS alone"):
        forwards(RunSQLFile("schema"))
