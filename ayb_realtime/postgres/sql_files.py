"""The package's SQL files, and the settings that they and checks have in common.

Migration 0001 runs those in ``sql/``: they create objects in the database. Those in ``sql/statements/`` are sent at run
time.
"""

from functools import cache
from importlib.resources import files

# How a row reads as JSON: capture_v1() writes rows under these settings, and so do checks, which compare the texts.
JSON_SETTINGS = {
    "timezone": "UTC",
    "datestyle": "ISO",
    "intervalstyle": "postgres",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "array_nulls": "on",
}

SQL = files("ayb_realtime") / "sql"


@cache
def sql(name: str) -> str:
    """Return what ``sql/{name}.sql`` creates, with JSON_SETTINGS where it says ``{{json_settings}}``."""
    text = (SQL / f"{name}.sql").read_text("utf-8")
    clauses = (f"set {setting} = '{value}'" for setting, value in JSON_SETTINGS.items())
    return text.replace("{{json_settings}}", "\n    ".join(clauses))


def pinned(text: str) -> str:
    """Return statements that find only Postgres' own objects, whatever the site's search path would put in their place.

    They run in one message, so that the path is the site's again after them.
    """
    kept, path = "'ayb_realtime.search_path'", "'search_path'"
    return (
        f"select pg_catalog.set_config({kept}, pg_catalog.current_setting({path}), true),"
        f" pg_catalog.set_config({path}, 'pg_catalog, pg_temp', true);\n{text}\n"
        f"select pg_catalog.set_config({path}, pg_catalog.current_setting({kept}), true);"
    )


@cache
def statement(name: str) -> str:
    """Return the statement in ``sql/statements/{name}.sql``."""
    return (SQL / "statements" / f"{name}.sql").read_text("utf-8")
