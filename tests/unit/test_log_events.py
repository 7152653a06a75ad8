"""Each line that the package logs has a stable name, and docs/monitoring.md lists each of them, with its level."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import ayb_realtime

PACKAGE = Path(ayb_realtime.__file__).parent
PAGE = Path(__file__).parents[2] / "docs" / "monitoring.md"
LEVELS = ("debug", "info", "warning", "error", "exception", "critical", "log")
# It passes on what it is given.
PASSES_ON = PACKAGE / "hub" / "quiet_logger.py"


def logged() -> Iterator[tuple[str, str, str]]:
    """Yield the place of each call that logs, its level, and its event_name; "" if it has none."""
    for path in {*PACKAGE.rglob("*.py")} - {PASSES_ON}:
        module = ast.parse(path.read_text())
        for call in ast.walk(module):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and logs(call.func):
                place = f"{path.relative_to(PACKAGE)}:{call.lineno}"
                yield place, call.func.attr.upper(), name_of(call, module)


def logs(function: ast.Attribute) -> bool:
    """Tell whether a function is a method of a logger that logs."""
    return function.attr in LEVELS and ast.unparse(function.value).endswith("logger")


def name_of(call: ast.Call, module: ast.AST) -> str:
    """Return the event_name in a call's ``extra``, which is a dict there, or was assigned to ``extra`` before."""
    given = [keyword.value for keyword in call.keywords if keyword.arg == "extra"]
    if given and isinstance(given[0], ast.Name):
        assigned = [each for each in ast.walk(module) if isinstance(each, ast.Assign)]
        given = [each.value for each in assigned if ast.unparse(each.targets[0]) == "extra"]
    extra: dict[str, str] = {}
    for each in given:
        if isinstance(each, ast.Dict):
            extra = {
                ast.unparse(key): ast.unparse(value) for key, value in zip(each.keys, each.values, strict=True) if key
            }
    return extra.get("'event_name'", "").strip("'")


def test_each_logged_line_has_a_name_that_is_listed_with_its_level_and_no_other_is_listed() -> None:
    listed = dict(re.findall(r"^\| `(\w+)` \| ([A-Z]+) \|", PAGE.read_text(), re.MULTILINE))
    found: dict[str, str] = {}
    for place, level, name in logged():
        assert name, f'{place}: add extra={{"event_name": "…"}}, and list the name in docs/monitoring.md'
        # A call of ``log`` has several levels, of which the page names one.
        known = listed.get(name, level) if level == "LOG" else level
        assert found.setdefault(name, known) == known, place
    assert found == listed
