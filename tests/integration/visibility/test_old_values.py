"""Values of rows that are gone are read as they were, or reported as inexact."""

from collections.abc import Iterator

import pytest

from ayb_realtime import visibility
from ayb_realtime.wire.records import Row
from tests.integration.scenario import OWN, MakeTable, Owner
from tests.integration.visibility.conftest import LOGGED, PEOPLE, checking, reasons, would_see

TYPES = {
    "text": ["''", "'null'", "'a \"quoted\" \\ key\n, é 🙂'"],
    "char(10)": ["'ten chars.'", "'x'"],
    '"char"': ["'x'"],
    "bytea": ["'\\x00ff'", "''"],
    "boolean": ["false"],
    "bigint": ["9007199254740993"],
    "numeric": ["'NaN'", "1.10", "'Infinity'", "12345678901234567890.0123456789"],
    "double precision": ["'NaN'", "0.1", "-0.0", "'-Infinity'", "1e-300"],
    "real": ["0.1"],
    "timestamptz": ["'2026-02-28 12:00:00.123456+02'", "'infinity'", "'0044-03-15 BC'"],
    "timestamp": ["'294276-12-31 23:59:59.999999'"],
    "date": ["'0044-03-15 BC'", "'-infinity'"],
    "time with time zone": ["'12:00:00.5+02'"],
    "interval": ["'-1 year +2 days -03:04:05.000006'"],
    "uuid": ["'9e107d9d-372b-4bb8-9a2b-1d3d2f1b0c5a'"],
    "inet": ["'10.0.0.1/8'"],
    "bit(3)": ["b'101'"],
    "int4range": ["'[1,5)'", "'empty'"],
    "tstzrange": ["'[2026-02-07 23:00:00+01,)'"],
    "int4multirange": ["'{[1,2),[5,8)}'"],
    "int[]": ["'{}'", "'{{1,2},{3,null}}'"],
    "text[]": ["""'{"a b",NULL,"NULL"}'"""],
    "jsonb": ["""'{"a": [1, 2.50, null], "n": 1e400}'""", "'\"null\"'", "'[]'"],
    "tsvector": ["'a b c'"],
    "pair": ["row(1, 'x')", """row(2, 'a"b,(c')"""],
    "pair[]": ["array[row(1, 'x')::pair]"],
    "short_text": ["'abc'"],
    "stamp": ["'2026-02-28 12:00:00+02'"],
}


@pytest.fixture
def types(owner: Owner) -> Iterator[None]:
    """A composite type and domains."""
    owner.execute("create type pair as (a int, b text); create domain short_text text check (length(value) < 9)")
    owner.execute("create domain stamp timestamptz")
    yield
    owner.execute("drop type pair cascade; drop domain short_text cascade; drop domain stamp cascade")


@pytest.mark.usefixtures("types")
@pytest.mark.parametrize("kind", list(TYPES))
async def test_value_of_each_type_is_read_as_it_was(owner: Owner, make_table: MakeTable, kind: str) -> None:
    values = [*TYPES[kind], "null"]
    # The value's text keeps all of it, down to its bytes.
    policy = "value::text is not distinct from (select v::text from expected e where e.id = notes.id)"
    make_table("expected", f"id int primary key, v {kind}", enable=False)
    owner.execute("grant select on expected to ayb_authenticated")
    make_table("notes", f"id int primary key, value {kind}", policy=policy)
    for n, value in enumerate(values, 1):
        owner.execute(f"insert into expected values ({n}, {value})".encode())
        owner.execute(f"insert into notes values ({n}, {value})".encode())
    told, inexact = await would_see(owner, "notes")
    doubtful = {len(values)} if kind in {"jsonb", "pair", "pair[]"} else set()
    assert inexact == doubtful
    assert told == [set(range(1, len(values) + 1)) - doubtful] * 4


@pytest.mark.usefixtures("types")
@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("json", "'null'"),
        ("jsonb", "'null'"),
        ("json[]", "array['null'::json]"),
        ("jsonb[]", "array[null, '1'::jsonb]"),
        ("pair", "row(1, null)"),
    ],
)
async def test_null_that_may_be_json_s_own_does_not_tell(
    owner: Owner, make_table: MakeTable, kind: str, value: str
) -> None:
    make_table("notes", f"id int primary key, value {kind}, other json", policy="value is null or id = 2")
    owner.execute(f"insert into notes values (1, {value}, 'null'), (2, null, '1')".encode())
    assert (await would_see(owner, "notes"))[1] == {1, 2}
    owner.execute("alter policy p on notes using (id < 3)")
    assert await would_see(owner, "notes") == ([{1, 2}] * 4, set())
    owner.execute("alter policy p on notes using (notes is distinct from null)")
    assert (await would_see(owner, "notes"))[1] == {1, 2}


@pytest.mark.parametrize(
    "alteration",
    [
        "alter table notes add column later int default 5",
        "alter table notes drop column body",
        "alter table notes rename column body to content",
        "alter table notes alter column body type int using 1",
        "alter table notes alter column size type text",
    ],
)
async def test_row_of_another_definition_does_not_tell(owner: Owner, make_table: MakeTable, alteration: str) -> None:
    make_table("notes", "id int primary key, author text, size int, body text", policy=OWN)
    owner.execute("insert into notes values (1, '1', 5, 'x')")
    before = owner.execute(LOGGED, ["notes"]).fetchone() or [""]
    owner.execute(alteration.encode())
    async with checking("notes") as (connection, table):
        answers = await visibility.check_before(connection, table, {1: Row(before[0])}, PEOPLE)
    assert (answers.by_identity, answers.unanswered, answers.locked_out) == ({}, {}, set())


async def test_row_of_a_partition_with_another_order_of_columns_tells(owner: Owner, make_table: MakeTable) -> None:
    make_table("notes", "id int, author text, primary key (id)", policy=OWN, suffix="partition by list (id)")
    owner.execute("create table notes_1 (author text, extra int, id int not null)")
    owner.execute("alter table notes_1 drop column extra")
    owner.execute("alter table notes attach partition notes_1 for values in (1)")
    owner.execute("insert into notes values (1, '1')")
    assert owner.execute(LOGGED, ["notes"]).fetchall() == [('{"author":"1","id":1}',)]
    assert await would_see(owner, "notes") == ([{1}, set(), set(), set()], set())


async def test_virtual_column_cannot_be_told_and_a_stored_one_can(owner: Owner, make_table: MakeTable) -> None:
    generated = "int generated always as (a + 1)"
    make_table("notes", f"id int primary key, a int, b {generated} stored", policy="b = 2")
    owner.execute("insert into notes values (1, 1)")
    assert await would_see(owner, "notes") == ([{1}] * 4, set())
    if owner.info.server_version >= 180000:
        owner.execute(
            f"alter table notes add column c {generated} virtual; alter policy p on notes using (c = 2)".encode()
        )
        assert await reasons("notes") == "the policy p reads the virtual column c"
