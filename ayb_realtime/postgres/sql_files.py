"""The package's SQL files, and the settings that they and checks have in common."""

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


@cache
def sql(name: str) -> str:
    """Return the SQL file ``sql/{name}.sql``, with JSON_SETTINGS where it says ``{{json_settings}}``."""
    text = (files("ayb_realtime") / "sql" / f"{name}.sql").read_text("utf-8")
    clauses = (f"set {setting} = '{value}'" for setting, value in JSON_SETTINGS.items())
    return text.replace("{{json_settings}}", "\n    ".join(clauses))
