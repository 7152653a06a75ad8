"""Rows are split and joined exactly. The texts are what Postgres' row_to_json writes."""

import json

import pytest

from ayb_realtime.wire import records
from ayb_realtime.wire.records import Row

# Written by `select row_to_json(t)` of PostgreSQL 15.
ROWS = [
    '{"id":1,"author":"1","body":"first"}',
    '{"id":42,"title":"New Post","published":true,"created_at":"2026-02-07T22:00:00+00:00"}',
    '{"id":9223372036854775807,"price":1.10,"huge":123456789012345678901234567890.123,"missing":null}',
    '{"nan":"NaN","minus":"-Infinity","float":1e+300,"zero":-0}',
    '{"tags":["a,b","c}d","[\\"e\\"]",null],"grid":[[1,2],[3,4]],"none":[]}',
    '{"address":{"street":"1, Main St","zip":null},"empty":{}}',
    '{"text":"quote \\" backslash \\\\ both \\\\\\" slash / tab \\t newline \\n \\u0001 {[,:]}"}',
    '{"raw":{ "a" : [ 1 , 2 ],\n\t"b":  {"c": "}"} , "d" :\r\n null },"after":2}',
    '{"raw": \n"text" ,"raw2": 5\t,"raw3":\nnull}',
    '{"odd \\"name\\"":1,"a,b":2,"c:d":3,"{e}":4,"[f]":5," ":6,"back\\\\slash":7,"GROSS":8,"größe":9,"🦆":10}',
    '{"bytes":"\\\\x00ff","range":"[1,10)","uuid":"6a8e1d3c-0000-4000-8000-000000000000"}',
    "{}",
]


@pytest.mark.parametrize("row", ROWS)
def test_split_finds_the_columns_that_a_parser_finds(row: str) -> None:
    columns = records.split(row)
    assert list(columns) == list(json.loads(row))
    assert {name: json.loads(text) for name, text in columns.items()} == json.loads(row)


@pytest.mark.parametrize("row", [row for row in ROWS if "\n" not in row])
def test_joined_columns_are_the_row_to_the_letter(row: str) -> None:
    assert records.join(records.split(row)) == row


def test_white_space_around_a_json_column_is_not_part_of_the_value() -> None:
    columns = records.split('{"a": \n"text" ,"b":\t{ "x" : 1 }\r\n,"c": 5 }')
    assert columns == {"a": '"text"', "b": '{ "x" : 1 }', "c": "5"}


def test_white_space_inside_a_json_column_is_kept() -> None:
    value = '{ "a" : [ 1 ,\n 2 ] ,\t"b" : "  " }'
    assert records.split(f'{{"j":{value},"k":1}}') == {"j": value, "k": "1"}


def test_numbers_keep_their_digits() -> None:
    columns = records.split('{"a":0.10000000000000000000000001,"b":1E400,"c":12345678901234567890}')
    assert list(columns.values()) == ["0.10000000000000000000000001", "1E400", "12345678901234567890"]


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}"), ('[{"a":', "}]")])
def test_value_nested_a_hundred_thousand_deep_is_split_and_joined(opening: str, closing: str) -> None:
    value = opening * 100_000 + "1" + closing * 100_000
    row = f'{{"id":1,"deep":{value},"after":"x"}}'
    columns = records.split(row)
    assert columns == {"id": "1", "deep": value, "after": '"x"'}
    assert records.join(columns) == row


def test_string_with_many_escapes_is_one_value() -> None:
    value = json.dumps('"\\' * 500_000)
    assert records.split(f'{{"a":{value},"b":1}}') == {"a": value, "b": "1"}


def test_row_holds_its_text_and_its_columns() -> None:
    row = Row('{"id":1,"body":"x"}')
    assert row.text == '{"id":1,"body":"x"}'
    assert row.columns == {"id": "1", "body": '"x"'}
    assert row == Row('{"id":1,"body":"x"}')
    assert row != Row('{"id":1, "body":"x"}')


def test_array_is_split_into_its_objects() -> None:
    rows = ['{"id":1,"data":[{"a":"},{"}]}', "{}", '{"id":2,"text":"\\"]["}']
    assert records.elements(f"[{','.join(rows)}]") == rows
    assert records.elements("[]") == []
