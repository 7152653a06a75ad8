"""Finds the settings that an SQL expression reads, if it reads nothing else. Pure. Called by ``policy_predicates``."""

from collections.abc import Sequence

# Postgres writes these names without a schema only for its own types.
TYPES = {"text", "uuid", "smallint", "integer", "bigint", "boolean", "json", "jsonb", "character"}
OPERATORS = {"->", "->>"}

Tokens = Sequence[str]


def settings_read(tokens: Tokens) -> frozenset[str] | None:
    """Return the names of the settings that an expression reads; None if it may read anything else.

    tokens: of an expression, as ``pg_get_expr`` writes it with a search path of pg_catalog alone.
    """
    parser = _Parser(tokens)
    try:
        parser.value()
    except _Unsupported:
        return None
    return frozenset(parser.settings) if parser.next() == "" else None


class _Unsupported(Exception):
    """The expression holds something that is not in the parser's grammar."""


class _Parser:
    """Parses constants, settings, NULLIF, COALESCE, members of JSON, casts, and a SELECT of one such expression.

    settings: the names of the settings that it has found.
    """

    def __init__(self, tokens: Tokens) -> None:
        self.settings: set[str] = set()
        self._tokens = [*tokens, ""]
        self._at = 0

    def next(self) -> str:
        """Take a token; empty after the last."""
        self._at += 1
        return self._tokens[self._at - 1]

    def _take_if(self, token: str) -> bool:
        taken = self._tokens[self._at] == token
        self._at += taken
        return taken

    def _expect(self, *tokens: str) -> None:
        for token in tokens:
            if not self._take_if(token):
                raise _Unsupported

    def value(self) -> None:
        """Parse one value. Raises _Unsupported."""
        token = self.next()
        if token == "(":
            self._parenthesis()
        elif token in {"NULLIF", "COALESCE"}:
            self._expect("(")
            self.value()
            while self._take_if(","):
                self.value()
            self._expect(")")
        elif token == "current_setting":
            self._setting()
        elif not (token.startswith("'") or token.isdecimal() or token in {"true", "false", "NULL"}):
            raise _Unsupported
        while self._take_if("::"):
            self._type()

    def _parenthesis(self) -> None:
        if self._take_if("SELECT"):
            self.value()
            if self._take_if("AS"):
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
            raise _Unsupported
        # Postgres ignores the case of a setting's name.
        self.settings.add(name[1:-1].lower())
        self._expect("::", "text")
        if self._take_if(",") and self.next() not in {"true", "false"}:
            raise _Unsupported
        self._expect(")")

    def _type(self) -> None:
        name = self.next()
        if name not in TYPES:
            raise _Unsupported
        if name == "character":
            self._expect("varying")
            if self._take_if("("):
                self.next()
                self._expect(")")
