"""A row is written alike when it is logged and when it is checked, so that a difference means that it has changed."""

import re

from ayb_realtime.postgres.database import sql
from ayb_realtime.visibility.transaction_settings import JSON_SETTINGS


def test_settings_of_the_check_are_those_of_the_capture() -> None:
    _, _, capture = sql("capture").partition("create function ayb_realtime.capture_v1()")
    clauses = re.findall(r"^ +set (\w+) = (.+)$", capture, re.MULTILINE)
    captured = {name: value.strip("'") for name, value in clauses}
    assert captured.pop("search_path") == "pg_catalog, pg_temp"
    assert captured == JSON_SETTINGS
