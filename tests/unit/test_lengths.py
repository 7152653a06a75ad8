"""How many lines the package's modules and functions may have, which ruff does not count: part of ``make lint``."""

import ast
from collections.abc import Iterator
from pathlib import Path

import ayb_realtime

PACKAGE = Path(ayb_realtime.__file__).parent
MODULES = {path.relative_to(PACKAGE).as_posix(): path.read_text() for path in PACKAGE.rglob("*.py")}
MODULE_LINES_MAX, FUNCTION_LINES_MAX = 200, 40


def long_functions(source: str) -> Iterator[str]:
    """Yield the names of functions that are too long, from ``def`` to the last line, without the docstring."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = ast.get_docstring(node, clean=False) or ""
            lines = (node.end_lineno or node.lineno) - node.lineno + 1 - len(docstring.splitlines())
            if lines > FUNCTION_LINES_MAX:
                yield node.name


def test_modules_are_short() -> None:
    long = {name for name, source in MODULES.items() if len(source.splitlines()) > MODULE_LINES_MAX}
    assert not long


def test_functions_are_short() -> None:
    long = {name for source in MODULES.values() for name in long_functions(source)}
    assert not long
