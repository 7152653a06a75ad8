"""Rows as JSON text, split into columns without parsing the values. Pure.

Postgres writes a row as one JSON object. Its values travel to the client exactly as Postgres wrote them: a parser would
round numerics, and a json column may be nested deeper than a parser can go.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

# A column whose value is neither an array nor an object, without white space around it: almost every one.
_plain = re.compile(r'("[^"\\]*+(?:\\.[^"\\]*+)*+"):("[^"\\]*+(?:\\.[^"\\]*+)*+"|[^\s\[\]{}:,"]++)[,}]')
_token = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}:,]|[^\s\[\]{}:,"]+')


@dataclass(frozen=True, slots=True)
class Row:
    """A row: its JSON text, and the JSON text of each column's value.

    text: a JSON object, as Postgres' ``row_to_json`` writes it.
    """

    text: str
    columns: Mapping[str, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "columns", split(self.text))


def split(record: str) -> dict[str, str]:
    """Split a row into the JSON text of each column's value.

    record: a JSON object, as Postgres' ``row_to_json`` writes it.
    """
    columns: dict[str, str] = {}
    begin = 1
    while plain := _plain.match(record, begin):
        columns[_name(plain[1])] = plain[2]
        begin = plain.end()
    depth = 1
    name, start, end = "", 0, 0
    for match in _token.finditer(record, begin):
        token = match[0]
        if token in "{[":
            depth += 1
            if depth == 2:
                start = match.start()
        elif token in "}]":
            depth -= 1
            end = match.end() if depth else end
        elif depth == 1 and token not in ":,":
            if name:
                start, end = match.span()
            else:
                name = token
        if name and (depth == 0 or (depth == 1 and token == ",")):
            columns[_name(name)] = record[start:end]
            name = ""
    return columns


def elements(array: str) -> list[str]:
    """Split a JSON array of objects, without white space between them, into the text of each."""
    found, depth, start = [], 0, 1
    for match in _token.finditer(array, 1, len(array) - 1):
        depth += {"{": 1, "[": 1, "}": -1, "]": -1}.get(match[0], 0)
        if depth == 0 and match[0] == "}":
            found.append(array[start : match.end()])
            start = match.end() + 1
    return found


def join(columns: Mapping[str, str]) -> str:
    """Write a row from the JSON text of each column's value: the inverse of ``split``."""
    return "{" + ",".join([f"{_text(name)}:{value}" for name, value in columns.items()]) + "}"


# Of a few tables there are millions of rows.
@lru_cache(maxsize=4096)
def _name(text: str) -> str:
    return str(json.loads(text))


@lru_cache(maxsize=4096)
def _text(name: str) -> str:
    return json.dumps(name, ensure_ascii=False)
