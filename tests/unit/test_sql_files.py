"""Python uses every SQL file in exactly one place, and every function has exactly one definition."""

import ast
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import ayb_realtime
from ayb_realtime.migrations import __file__ as migrations_file
from ayb_realtime.postgres.sql_files import sql, statement

PACKAGE = Path(ayb_realtime.__file__).parent
OBJECTS = {path.stem: sql(path.stem) for path in (PACKAGE / "sql").glob("*.sql")}
STATEMENTS = {path.stem: statement(path.stem) for path in (PACKAGE / "sql" / "statements").glob("*.sql")}
FILES = OBJECTS | STATEMENTS
PYTHON = {path: path.read_text() for path in PACKAGE.rglob("*.py")}
MIGRATIONS = Path(migrations_file).parent

USES = {"RunSQLFile", "sql", "statement"}


def used(source: str) -> Iterator[str]:
    """Yield the SQL files that Python code names."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in USES:
            yield from (str(argument.value) for argument in node.args[:1] if isinstance(argument, ast.Constant))


def test_each_file_is_used_exactly_once() -> None:
    uses = Counter(name for source in PYTHON.values() for name in used(source))
    assert uses == Counter(dict.fromkeys(FILES, 1))


def migrated() -> set[str]:
    """Return the SQL files that the migrations run."""
    return {name for path, source in PYTHON.items() if path.parent == MIGRATIONS for name in used(source)}


def test_files_that_create_are_run_by_the_migrations_and_no_others() -> None:
    assert migrated() == {name for name, text in FILES.items() if re.search(r"^(create|revoke) ", text, re.MULTILINE)}
    assert migrated() == OBJECTS.keys()


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


# A literal, or text that may hold something like one.
LITERAL = re.compile(r"""--[^\n]*|(?P<escaped>\bE'(?:[^'\\]|\\.|'')*')|(?P<plain>'(?:[^']|'')*')""", re.IGNORECASE)


def test_no_literal_means_something_else_where_standard_conforming_strings_is_off() -> None:
    misread = {
        (name, literal["plain"])
        for name, text in FILES.items()
        for literal in LITERAL.finditer(text)
        if "\\" in (literal["plain"] or "")
    }
    assert not misread


# An unqualified operator is Postgres' own unless a search path names pg_catalog last. A function may have no search
# path, so that Postgres can inline it or it can run policies unchanged: then it must qualify all names.
IGNORED = ("--ignore", "PS001", "--ignore", "PS005")


def test_pgspot_parses_each_file_and_finds_no_name_that_another_schema_could_take() -> None:
    created = migrated()
    queries = [
        re.sub(r"%\(\w+\)s", "$1", text).replace("%%", "%") for name, text in FILES.items() if name not in created
    ]
    # The hub and the relay set a search path before they query; the migrations run under any.
    script = [*(FILES[name] for name in sorted(created)), "set search_path = pg_catalog, pg_temp", *queries]

    command = [sys.executable, "-m", "pgspot", *IGNORED]
    found = subprocess.run(command, input="\n;\n".join(script), capture_output=True, text=True, check=False)

    assert found.returncode == 0, found.stdout + found.stderr
