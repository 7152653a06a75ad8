"""Tables and databases that cannot be streamed are refused with a message, and left unchanged."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.operations.base import Operation
from django.db.utils import ConnectionHandler

from ayb_realtime.operations import EnableRealtime
from ayb_realtime.postgres.operation import RunSQLFile
from ayb_realtime.postgres.sql_files import pinned, sql
from tests.integration.operations.conftest import backwards, forwards, may_select, refusal, triggers
from tests.integration.scenario import MakeTable, Owner

REFUSED = [
    (
        "create view refused as select 1 as id",
        "drop view refused",
        "public.refused is a view: a view has no changes of its own to stream",
        "HINT:  Enable realtime for the tables that it reads.",
    ),
    (
        "create materialized view refused as select 1 as id",
        "drop materialized view refused",
        "public.refused is a view: a view has no changes of its own to stream",
        "HINT:  Enable realtime for the tables that it reads.",
    ),
    (
        "create table whole (id int primary key) partition by list (id);"
        "create table refused partition of whole for values in (1)",
        "drop table whole",
        "public.refused is a partition of public.whole",
        "HINT:  Enable realtime for public.whole: it then covers every partition.",
    ),
    (
        "create table refused (id int unique not null)",
        "drop table refused",
        "public.refused has no primary key: subscribers could not tell its rows apart",
        "HINT:  Add one first: ALTER TABLE public.refused ADD PRIMARY KEY (...);",
    ),
    (
        "create table refused (id int primary key); create table child () inherits (refused)",
        "drop table refused cascade",
        "other tables inherit from public.refused",
        "HINT:  Their rows are among its own, and no trigger tells of their changes",
    ),
    ("create sequence refused", "drop sequence refused", "public.refused is not a table", ""),
    (
        "create table refused (id int primary key); select ayb_realtime.enable_v1('refused')",
        "drop table refused",
        "public.refused is streamed already",
        "HINT:  Another migration has enabled realtime for it: leave this operation out.",
    ),
    ("select 1", "select 1", 'relation "refused" does not exist', ""),
]


@pytest.mark.parametrize(("make", "drop", "sentence", "hint"), REFUSED)
def test_what_cannot_be_streamed_is_refused_with_a_sentence(
    owner: Owner, make: str, drop: str, sentence: str, hint: str
) -> None:
    owner.execute(make.encode())
    try:
        message = refusal("refused")
    finally:
        owner.execute(drop.encode())
    assert message.startswith(sentence)
    assert hint in message


def test_temporary_table_is_refused(database_url: str) -> None:
    with connections["default"].cursor() as cursor:
        cursor.execute("create temp table refused (id int primary key)")
        message = refusal("refused")
        cursor.execute("drop table refused")
    assert message.startswith("refused is a temporary table: only the session that made it could read its rows")


def test_foreign_table_is_refused(owner: Owner) -> None:
    make_wrapper = "create foreign data wrapper ayb_test_wrapper"
    if owner.info.parameter_status("is_superuser") != "on":
        # Only a superuser can allow a foreign table.
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            owner.execute(make_wrapper)
        return
    owner.execute(make_wrapper)
    try:
        owner.execute("create server ayb_test_server foreign data wrapper ayb_test_wrapper")
        owner.execute("create foreign table refused (id int) server ayb_test_server")
        message = refusal("refused")
    finally:
        owner.execute("drop foreign data wrapper ayb_test_wrapper cascade")
    assert message.startswith("public.refused is a foreign table: its changes happen on another server")
    assert "HINT:  Enable realtime in the database that holds the table." in message


def test_refused_table_is_left_as_it_was(owner: Owner, make_table: MakeTable) -> None:
    make_table("refused", "id int", enable=False)
    refusal("refused")
    assert (triggers(owner, "refused"), may_select(owner, "refused")) == ([], False)


def test_database_of_another_encoding_is_refused(owner: Owner, database_url: str) -> None:
    owner.execute("create database of_latin encoding 'LATIN1' lc_collate 'C' lc_ctype 'C' template template0")
    try:
        url = psycopg.conninfo.make_conninfo(database_url, dbname="of_latin", client_encoding="UTF8")
        refused = pytest.raises(psycopg.errors.WrongObjectType, match="of this database is LATIN1\nHINT:  As Django")
        with psycopg.connect(url) as connection, refused:
            connection.execute(pinned(sql("schema")).encode())
    finally:
        owner.execute("drop database of_latin")


def test_database_that_is_not_the_streamed_one_is_left_alone(
    owner: Owner, make_table: MakeTable, settings: Any
) -> None:
    make_table("notes", "id int primary key", enable=False)
    settings.AYB_REALTIME = {"DATABASE": "another"}
    forwards(EnableRealtime(table="notes"))
    backwards(EnableRealtime(table="notes"))
    forwards(RunSQLFile("schema"))
    backwards(RunSQLFile("schema", reverse_sql="drop schema ayb_realtime cascade"))
    assert triggers(owner, "notes") == []
    assert owner.execute("select to_regclass('ayb_realtime.change') is not null").fetchone() == (True,)


@pytest.fixture
def sqlite(transactional_db: None, tmp_path: Path) -> Iterator[BaseDatabaseWrapper]:
    """A database that is not Postgres, with the alias ``lite``."""
    database = {"ENGINE": "django.db.backends.sqlite3", "NAME": tmp_path / "lite"}
    connections["lite"] = ConnectionHandler({"default": database, "lite": database})["lite"]
    yield connections["lite"]
    connections["lite"].close()
    del connections["lite"]


@pytest.mark.parametrize("operation", [EnableRealtime("Post"), RunSQLFile("schema")])
def test_streamed_database_that_is_not_postgres_is_refused(
    sqlite: BaseDatabaseWrapper, settings: Any, operation: Operation
) -> None:
    forwards(operation, sqlite)
    settings.AYB_REALTIME = {"DATABASE": "lite"}
    with pytest.raises(ImproperlyConfigured, match=r"'lite' is sqlite.*AYB_REALTIME\[\"DATABASE\"\]"):
        forwards(operation, sqlite)
