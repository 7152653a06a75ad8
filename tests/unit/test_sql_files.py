"""Every SQL file has its one place in the Python, and every function its one definition."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import ayb_realtime
from ayb_realtime.migrations import __file__ as migrations_file

PACKAGE = Path(ayb_realtime.__file__).parent
FILES = {path.stem: path.read_text() for path in (PACKAGE / "sql").iterdir()}
PYTHON = {path: path.read_text() for path in PACKAGE.rglob("*.py")}
MIGRATIONS = Path(migrations_file).parent


def used(source: str) -> Iterator[str]:
    """Yield the SQL files that Python code names."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"sql", "RunSQLFile"}:
            yield from (str(argument.value) for argument in node.args[:1] if isinstance(argument, ast.Constant))


def test_each_file_is_used_exactly_once() -> None:
    uses = Counter(name for source in PYTHON.values() for name in used(source))
    assert uses == Counter(dict.fromkeys(FILES, 1))


def test_files_that_create_are_run_by_the_migrations_and_no_others() -> None:
    migrated = {name for path, source in PYTHON.items() if path.parent == MIGRATIONS for name in used(source)}
    assert migrated == {name for name, text in FILES.items() if re.search(r"^create ", text, re.MULTILINE)}


def test_each_file_says_what_it_is_for() -> None:
    assert all(text.startswith("-- ") for text in FILES.values())


def test_each_function_is_defined_once_and_called_somewhere() -> None:
    defined = Counter(
        name for text in FILES.values() for name in re.findall(r"create function ayb_realtime\.(\w+)", text)
    )
    assert set(defined.values()) == {1}
    code = [re.sub(r"--.*|create function ayb_realtime\.\w+", "", text) for text in FILES.values()]
    called = {name for text in [*code, *PYTHON.values()] for name in re.findall(r"\b\w+_v\d+\b", text)}
    assert called == set(defined)


# A literal, or whatever may hold what looks like one.
LITERAL = re.compile(r"""--[^\n]*|(?P<escaped>\bE'(?:[^'\\]|\\.|'')*')|(?P<plain>'(?:[^']|'')*')""", re.IGNORECASE)


def test_no_literal_means_something_else_where_standard_conforming_strings_is_off() -> None:
    misread = {
        (name, literal["plain"])
        for name, text in FILES.items()
        for literal in LITERAL.finditer(text)
        if "\\" in (literal["plain"] or "")
    }
    assert not misread
