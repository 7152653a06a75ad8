"""The pages that describe the code name every module of the packages, and none that does not exist."""

import re
from pathlib import Path

import ayb_realtime

PACKAGE = Path(ayb_realtime.__file__).parent
DOCS = Path(__file__).parents[2] / "docs"
ROOMS = ("hub", "relay", "log", "visibility")


def test_every_module_of_the_rooms_is_described() -> None:
    pages = (DOCS / "architecture.md").read_text() + (DOCS / "visibility.md").read_text()
    named = set(re.findall(r"`(?:\w+/)?(\w+)(?:\.py)?`", pages))
    modules = {path.stem for room in ROOMS for path in (PACKAGE / room).glob("*.py")} - {"__init__"}
    assert modules - named == set()


def test_every_file_that_is_named_is_there() -> None:
    page = (DOCS / "architecture.md").read_text()
    paths = set(re.findall(r"`([\w/]+\.(?:py|sql))`", page))
    found = {str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.*")}
    assert {path for path in paths if not any(name == path or name.endswith(f"/{path}") for name in found)} == set()


def test_every_sql_file_is_described() -> None:
    page = (DOCS / "architecture.md").read_text().partition("### SQL")[2]
    named = {
        name for cell in re.findall(r"^\| (`[^|]+) \|", page, re.MULTILINE) for name in re.findall(r"`(\w+)`", cell)
    }
    assert named == {path.stem for path in (PACKAGE / "sql").rglob("*.sql")}
