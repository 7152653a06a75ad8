"""Random tables and changes: key types, composite keys, odd names, columns of many types."""

from dataclasses import dataclass

from hypothesis import strategies as st

from ayb_realtime.identity import ANONYMOUS_ROLE, AUTHENTICATED_ROLE, Identity
from tests.policies.shapes import SHAPES, Shape

ANN, BOB = "0b1f0f4e-6d3f-4d55-9f0a-3c8a3c0f7a11", "9e107d9d-372b-4bb8-9a2b-1d3d2f1b0c5a"
ODD = """O'Brien "\\ 'x'"""
PEOPLE = ("1", "2", ANN, BOB, ODD, "404")
IDENTITIES = (
    *(
        Identity(
            AUTHENTICATED_ROLE,
            (
                ("ayb.claims", f'{{"team": {place % 3 + 1}}}'),
                ("ayb.user_email", f"{person}@Example.com"),
                ("ayb.user_id", person),
            ),
        )
        for place, person in enumerate(PEOPLE)
    ),
    Identity(ANONYMOUS_ROLE, (("ayb.claims", ""), ("ayb.user_email", ""), ("ayb.user_id", ""))),
)

# Six keys of each type.
KEYS = {
    "bigint": ("1", "-9223372036854775808", "9007199254740993", "0", "42", "7"),
    "integer": ("1", "-1", "2147483647", "0", "42", "7"),
    "uuid": tuple(f"0000000{n}-0000-4000-8000-00000000000{n}" for n in range(6)),
    "text": ('a "quoted" \\ key', "é🙂\n", "", " null ", "O'Brien", "{1}"),
    "varchar(12)": ("twelve chars", "a", "b\tc", "true", "A", " a"),
    "date": ("2026-02-28", "0044-03-15 BC", "infinity", "1970-01-01", "2000-02-29", "9999-12-31"),
    "numeric": ("1.50", "-0.001", "12345678901234567890.0123456789", "0", "NaN", "3"),
}
SLOTS = range(6)

# Type and values of the columns that policies use.
COLUMNS = {
    "owner": ("text", (*PEOPLE, *PEOPLE, "x", None)),
    "owner_uuid": ("uuid", (ANN, BOB, None)),
    "owner_int": ("int", ("1", "2", "3", None)),
    "team": ("int", ("1", "2", "3", None)),
    "shown": ("boolean", ("true", "false", None)),
    "tags": ("text[]", ("{1,x}", f"{{2,NULL,{BOB}}}", "{}", None)),
    "doc": ("jsonb", ('{"owner": "1"}', f'{{"owner": "{ANN}", "n": 1.50}}', '{"owner": null}', "[]", None)),
    "raw": ("json", ('{"owner": "1"}', '{"owner":  "2", "owner": "1"}', r'{"owner": "\u0000"}', "null", None)),
    "day": ("date", ("2026-01-02", "2099-01-01", "1999-12-31", "-infinity", None)),
    "email": ("varchar(60)", ("1@example.COM", f"{ANN}@example.com", "@", None)),
    "amount": ("numeric(8, 2)", ("1.50", "20", "4.2", None)),
    "divisor": ("int", ("1", "0", "5", None)),
}
# Types and values of other columns, some of which a table gets.
MORE = {
    "at": ("timestamptz", ("2026-02-28 12:00:00.5+02", "infinity", None)),
    "stamps": ("timestamptz[]", ("{2026-02-28 12:00:00+02,NULL}", "{}")),
    '"Blob"': ("bytea", ("\\x00ff", None)),
    '"a ""b"" % {c}"': ("double precision", ("0.1", "-Infinity", "1e300")),
    "lasted": ("interval", ("1 year 2 days", None)),
    "sizes": ("int[]", ("{{1,2},{3,NULL}}", None)),
    "code": ("char(5)", ("ab", None)),
    "bits": ("bit(3)", ("101",)),
    "span": ("int4range", ("[1,5)", None)),
    "record": ("text", ("r", None)),
    "relation": ("inet", ("10.0.0.1", None)),
}
UTC_COLUMNS = {"at", "stamps", "added"}

TABLE_NAMES = ("notes", '"Order ""lines"""', '"select"', '"t"', '"k"', '"Ünï % {0}"', '''"it's"''')
KEY_NAMES = ("id", '"n"', '"k1"', '"Key ""one"""', '"t"', '"current"', '"№"', '"order"')


@dataclass(frozen=True, slots=True)
class Table:
    """A table: its quoted name, its key's columns in the key's order, and all columns in theirs, with their types."""

    name: str
    keys: tuple[str, ...]
    columns: tuple[tuple[str, str], ...]
    partitioned: bool

    def key(self, slot: int) -> tuple[str, ...]:
        """Return the key in a slot, the values as text."""
        types = dict(self.columns)
        pools = [KEYS[types[name]] for name in self.keys]
        return (pools[0][slot],) if len(pools) == 1 else (pools[0][slot // 2], pools[1][slot % 2])


@dataclass(frozen=True, slots=True)
class Put:
    """Insert the row with the key of a slot, or update it."""

    slot: int
    values: dict[str, str | None]


@dataclass(frozen=True, slots=True)
class Move:
    """Change the key of a row to that of a free slot."""

    slot: int
    to: int


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete a row."""

    slot: int


@dataclass(frozen=True, slots=True)
class Join:
    """Add a user to a team, or remove one."""

    team: int
    person: str
    is_in: bool


@dataclass(frozen=True, slots=True)
class Secure:
    """Replace the table's policies."""

    shape: Shape


@dataclass(frozen=True, slots=True)
class Allow:
    """Let a role read only these columns."""

    role: str
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AddColumn:
    """Add a column, with a default."""


Act = Put | Move | Delete | Join | Secure | Allow | AddColumn


@dataclass(frozen=True, slots=True)
class Case:
    """A table, and what happens to it: steps of transactions of acts. After each step the hub delivers."""

    table: Table
    steps: tuple[tuple[tuple[Act, ...], ...], ...]


@st.composite
def tables(draw: st.DrawFn) -> Table:
    """Draw a table with every column that policies use, in any order, and some others."""
    keys = draw(st.lists(st.sampled_from(KEY_NAMES), min_size=1, max_size=2, unique=True))
    columns = [(name, draw(st.sampled_from(list(KEYS)))) for name in keys]
    columns += [(name, kind) for name, (kind, _) in COLUMNS.items()]
    columns += [(name, MORE[name][0]) for name in draw(st.lists(st.sampled_from(list(MORE)), unique=True))]
    shuffled = draw(st.permutations(columns))
    return Table(draw(st.sampled_from(TABLE_NAMES)), tuple(keys), tuple(shuffled), draw(st.booleans()))


def puts(table: Table, slots: st.SearchStrategy[int]) -> st.SearchStrategy[Put]:
    """Draw a row for one of these slots."""
    values = {name: st.sampled_from((COLUMNS | MORE)[name][1]) for name, _ in table.columns if name not in table.keys}
    return st.builds(Put, slots, st.fixed_dictionaries(values))


def readable(table: Table) -> st.SearchStrategy[tuple[str, ...]]:
    """Draw the columns that a role may read: all, none, or some."""
    names = [name for name, _ in table.columns]
    return (st.sampled_from([names, []]) | st.lists(st.sampled_from(names), unique=True)).map(tuple)


def acts(table: Table) -> st.SearchStrategy[Act]:
    """Draw anything that may happen."""
    slots = st.sampled_from(SLOTS)
    put, join = puts(table, slots), st.builds(Join, st.sampled_from([1, 2, 3]), st.sampled_from(PEOPLE), st.booleans())
    allow = st.builds(Allow, st.sampled_from([AUTHENTICATED_ROLE, ANONYMOUS_ROLE]), readable(table))
    # An entry that is listed twice is drawn twice as often.
    return st.one_of(
        *(put, put, put, put),
        *(join, join),
        st.builds(Move, slots, slots),
        st.builds(Delete, slots),
        st.builds(Secure, st.sampled_from(SHAPES)),
        allow,
        st.builds(AddColumn),
    )


@st.composite
def cases(draw: st.DrawFn, shape: Shape) -> Case:
    """Draw a case that begins with a full table under the policies of this shape."""
    table = draw(tables())
    full: tuple[Act, ...] = tuple(draw(puts(table, st.just(slot))) for slot in SLOTS)
    joined = st.builds(Join, st.sampled_from([1, 2, 3]), st.sampled_from(PEOPLE), is_in=st.just(True))
    allow = Allow(ANONYMOUS_ROLE, draw(readable(table)))
    before: tuple[Act, ...] = (Secure(shape), allow, *draw(st.lists(joined, min_size=3)))
    transactions = st.lists(acts(table), min_size=1, max_size=4).map(tuple)
    steps = draw(st.lists(st.lists(transactions, min_size=1, max_size=3).map(tuple), min_size=3, max_size=5))
    return Case(table, ((before, full), *steps))
