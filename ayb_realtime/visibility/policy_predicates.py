"""Finds in a policy's condition a column that has to equal an expression of the identity's settings. Pure.

Called by ``shortlist``. A condition that this module does not understand completely implies nothing.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from ayb_realtime.visibility.setting_expressions import Tokens, settings_read

_token = re.compile(r"""\s*('(?:[^']|'')*'|"(?:[^"]|"")*"|\w+|::|[(),]|[^\s\w'"(),]+)""", re.ASCII)
_name = re.compile(r"[a-z_][a-z0-9_]*", re.ASCII)
# Beside AND, each conjunct is in parentheses, or a column or a call. Other words in capitals are other constructs.
_keyword = re.compile(r"[A-Z][A-Z_]*")
# To parse a longer condition could keep all streams waiting: a table's owner may write one of any length.
MOST_CHARACTERS = 10_000


@dataclass(frozen=True, slots=True)
class Equality:
    """A row is shown only to identities for which the column, as text, equals the expression, as text.

    expression: SQL that reads nothing but settings.
    settings: the names of these settings.
    """

    column: str
    expression: str
    settings: frozenset[str]


@lru_cache(maxsize=4096)
def derive_equality(condition: str, columns: frozenset[str]) -> Equality | None:
    """Return an equality that a condition implies, or None.

    condition: as ``pg_get_expr`` writes it with a search path of pg_catalog alone.
    columns: those whose types compare as their texts do.
    """
    if len(condition) > MOST_CHARACTERS:
        return None
    try:
        tokens = _token.findall(condition)
        return next((equality for part in _conjuncts(tokens) if (equality := _equality(part, columns))), None)
    except RecursionError:
        return None


def _conjuncts(tokens: Tokens) -> list[Tokens]:
    """Split at each AND that every row has to satisfy."""
    tokens = _unwrapped(tokens)
    parts = _split(tokens, "AND")
    if len(parts) == 1:
        return parts
    if any(_keyword.fullmatch(token) and token != "AND" for token in _outermost(tokens)):
        return []
    return [conjunct for part in parts if _unwrapped(part) != part for conjunct in _conjuncts(part)]


def _equality(tokens: Tokens, columns: frozenset[str]) -> Equality | None:
    sides = _split(tokens, "=")
    if len(sides) != 2:
        return None
    for one, other in (sides, sides[::-1]):
        column = _column(one)
        settings = settings_read(other)
        if column in columns and settings is not None:
            return Equality(column, " ".join(other), settings)
    return None


def _column(tokens: Tokens) -> str:
    """Return the name of a column that stands alone, or is cast to text; empty if the tokens are anything else."""
    if len(tokens) == 5 and tokens[0] == "(" and [*tokens[2:]] == [")", "::", "text"]:
        tokens = tokens[1:2]
    if len(tokens) != 1:
        return ""
    if tokens[0].startswith('"'):
        return tokens[0][1:-1].replace('""', '"')
    return tokens[0] if _name.fullmatch(tokens[0]) and tokens[0] not in {"true", "false"} else ""


def _outermost(tokens: Tokens) -> list[str]:
    """Return the tokens outside of all parentheses."""
    return [token for part in _split(tokens, None) for token in part[:1]]


def _split(tokens: Tokens, at: str | None) -> list[Tokens]:
    """Split at a token that is outside of all parentheses.

    at: the token; None to split into single tokens and whole parentheses.
    """
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
    """Remove the parentheses around the whole."""
    while tokens and tokens[0] == "(" and len(_split(tokens, None)) == 2:
        tokens = tokens[1:-1]
    return tokens
