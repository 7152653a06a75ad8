"""What a policy's condition says of whose a row is: a column that has to equal what the identity's settings say. Pure.

Called by ``routing``. What is not understood to the letter is taken to say nothing.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

_token = re.compile(r"""\s*('(?:[^']|'')*'|"(?:[^"]|"")*"|\w+|::|[(),]|[^\s\w'"(),]+)""", re.ASCII)
_name = re.compile(r"[a-z_][a-z0-9_]*", re.ASCII)
# One conjunct among others is in parentheses, or a column or a call; words in capitals there belong to something else.
_keyword = re.compile(r"[A-Z][A-Z_]*")
# Postgres writes these without a schema only where they are its own.
TYPES = {"text", "uuid", "smallint", "integer", "bigint", "boolean", "json", "jsonb", "character"}
OPERATORS = {"->", "->>"}

Tokens = Sequence[str]


@dataclass(frozen=True, slots=True)
class Match:
    """A row is shown only to those for whom the column, as text, equals the expression, as text.

    expression: SQL that reads nothing but settings.
    names: of these settings.
    """

    column: str
    expression: str
    names: frozenset[str]


@cache
def derive(condition: str, columns: frozenset[str]) -> Match | None:
    """Return what a condition implies, or None.

    condition: as ``pg_get_expr`` writes it where nothing but pg_catalog is in the search path.
    columns: those whose types are such that values are equal where their texts are, and only there.
    """
    tokens = _token.findall(condition)
    return next((match for part in _conjuncts(tokens) if (match := _match(part, columns))), None)


def _conjuncts(tokens: Tokens) -> list[Tokens]:
    """Split at each AND that every row has to satisfy."""
    tokens = _unwrapped(tokens)
    parts = _split(tokens, "AND")
    if len(parts) == 1:
        return parts
    if any(_keyword.fullmatch(token) and token != "AND" for token in _outermost(tokens)):
        return []
    return [conjunct for part in parts if _unwrapped(part) != part for conjunct in _conjuncts(part)]


def _match(tokens: Tokens, columns: frozenset[str]) -> Match | None:
    sides = _split(tokens, "=")
    if len(sides) != 2:
        return None
    for named, read in (sides, sides[::-1]):
        column = _column(named)
        names = _settings(read)
        if column in columns and names is not None:
            return Match(column, " ".join(read), names)
    return None


def _column(tokens: Tokens) -> str:
    """Return the name of a column that stands alone, or is cast to text; else the empty string."""
    if len(tokens) == 5 and tokens[0] == "(" and [*tokens[2:]] == [")", "::", "text"]:
        tokens = tokens[1:2]
    if len(tokens) != 1:
        return ""
    if tokens[0].startswith('"'):
        return tokens[0][1:-1].replace('""', '"')
    return tokens[0] if _name.fullmatch(tokens[0]) and tokens[0] not in {"true", "false"} else ""


def _settings(tokens: Tokens) -> frozenset[str] | None:
    """Return the names of the settings that an expression reads; None where it may read anything else."""
    reader = _Reader(tokens)
    try:
        reader.value()
    except _Foreign:
        return None
    return frozenset(reader.names) if reader.next() == "" else None


class _Foreign(Exception):
    """Something that is not in the grammar."""


class _Reader:
    """Reads an expression: constants, settings, NULLIF, COALESCE, members of JSON, casts, and SELECT of such a one."""

    def __init__(self, tokens: Tokens) -> None:
        self.names: set[str] = set()
        self._tokens = [*tokens, ""]
        self._at = 0

    def next(self) -> str:
        """Take a token; the last is empty."""
        self._at += 1
        return self._tokens[self._at - 1]

    def _takes(self, token: str) -> bool:
        taken = self._tokens[self._at] == token
        self._at += taken
        return taken

    def _expect(self, *tokens: str) -> None:
        for token in tokens:
            if not self._takes(token):
                raise _Foreign

    def value(self) -> None:
        """Read one value."""
        token = self.next()
        if token == "(":
            self._parenthesis()
        elif token in {"NULLIF", "COALESCE"}:
            self._expect("(")
            self.value()
            while self._takes(","):
                self.value()
            self._expect(")")
        elif token == "current_setting":
            self._setting()
        elif not (token.startswith("'") or token.isdecimal() or token in {"true", "false", "NULL"}):
            raise _Foreign
        while self._takes("::"):
            self._type()

    def _parenthesis(self) -> None:
        if self._takes("SELECT"):
            self.value()
            if self._takes("AS"):
                self.next()
        else:
            self.value()
            if self._tokens[self._at] in OPERATORS:
                self.next()
                self.value()
        self._expect(")")

    def _setting(self) -> None:
        self._expect("(")
        name = self.next()
        if not name.startswith("'"):
            raise _Foreign
        # Postgres does not tell the cases apart.
        self.names.add(name[1:-1].lower())
        self._expect("::", "text")
        if self._takes(",") and self.next() not in {"true", "false"}:
            raise _Foreign
        self._expect(")")

    def _type(self) -> None:
        name = self.next()
        if name not in TYPES:
            raise _Foreign
        if name == "character":
            self._expect("varying")
            if self._takes("("):
                self.next()
                self._expect(")")


def _outermost(tokens: Tokens) -> list[str]:
    """Return the tokens outside of all parentheses."""
    return [token for part in _split(tokens, None) for token in part[:1]]


def _split(tokens: Tokens, at: str | None) -> list[Tokens]:
    """Split at a token outside of all parentheses; None: into tokens and whole parentheses."""
    parts: list[list[str]] = [[]]
    depth = 0
    for token in tokens:
        depth -= token == ")"
        if depth == 0 and token == at:
            parts.append([])
        else:
            parts[-1].append(token)
        depth += token == "("
        if at is None and depth == 0:
            parts.append([])
    return [*parts]


def _unwrapped(tokens: Tokens) -> Tokens:
    """Take off the parentheses that are around all."""
    while tokens and tokens[0] == "(" and len(_split(tokens, None)) == 2:
        tokens = tokens[1:-1]
    return tokens
