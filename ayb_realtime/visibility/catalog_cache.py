"""Keeps what Postgres' catalogs say of streamed tables until their fingerprint changes. Called by ``catalog_guard``.

The cached facts are used without asking whether they still hold. After the check a fingerprint of the catalogs is
compared. If it has changed, the answers are thrown away, the facts are forgotten, and the check is repeated.
"""

import json
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from weakref import WeakKeyDictionary

from ayb_realtime.conf import conf
from ayb_realtime.exceptions import CheckerNotMade
from ayb_realtime.filters import Comparand
from ayb_realtime.postgres import database, sessions
from ayb_realtime.postgres.tables import Table
from ayb_realtime.visibility.check_functions import make_check_function
from ayb_realtime.visibility.comparisons import Comparison
from ayb_realtime.visibility.locking import Lockable
from ayb_realtime.visibility.policy_predicates import Equality
from ayb_realtime.visibility.role_states import RoleState, TableRole
from ayb_realtime.visibility.transactions import Connection

FACTS = (
    "select m.*, pg_catalog.to_json(c)::pg_catalog.text"
    " from ayb_realtime.memberships_v1() m, ayb_realtime.check_context_v1(%s::bigint[], %s::pg_catalog.text[]) c"
)
# How many tables are kept, each with a set of roles.
MOST_SUBJECTS = 5000

# A table's oid, and the roles to know of.
Subject = tuple[int, frozenset[str]]


@dataclass(frozen=True, slots=True)
class TableFacts:
    """What the catalogs say of a table.

    deciders: the objects in the catalogs that decide who sees the table's rows, as a Postgres composite literal.
    fingerprint: of the versions of the deciders when this was read.
    lockable: those deciders that are tables which the hub's user, or one of the roles, may lock.
    roles: by name.
    equalities: by role, what the policies require, once it has been derived: ``shortlist.derive_equalities``.
    comparisons: by role, how columns are compared, once it has been asked: ``filtering.comparisons``.
    """

    table: Table
    deciders: str
    fingerprint: str
    lockable: tuple[Lockable, ...]
    roles: dict[str, TableRole]
    equalities: dict[str, list[Equality] | None] = field(default_factory=dict)
    comparisons: dict[str, dict[Comparand, Comparison]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Row:
    """A row of FACTS: of one table and one role."""

    memberships: str
    facts: TableFacts
    role: TableRole

    @classmethod
    def of(cls, memberships: str, context: str) -> "_Row":
        fields = json.loads(context)
        table = Table.of(fields["streamed_table"])
        lockable = tuple((role, name) for role, name in fields["lockable"])
        facts = TableFacts(table, fields["deciders"], fields["fingerprint"], lockable, {})
        state = RoleState(**fields["role_state"])
        return cls(memberships, facts, TableRole(state, fields["check_function"], fields["is_check_function_made"]))


class _Plans:
    """Tells which connections may hold plans that are out of date.

    Postgres keeps a plan when a membership changes, with the policies that applied before.

    generation: increases with each change that may concern a plan.
    memberships: a digest of all memberships when facts were last read.
    """

    def __init__(self) -> None:
        self.generation = 0
        self.memberships = ""
        self.planned: WeakKeyDictionary[Connection, int] = WeakKeyDictionary()


_cache: dict[Subject, TableFacts] = {}
_plans = _Plans()


def fingerprints(tables: int) -> str:
    """Return a query for the fingerprints of so many tables, whose parameters are their deciders.

    It returns one row with an array.
    """
    # A call for each, with its argument as a constant: Postgres plans that in half the time of a query with a FROM.
    return f"select array[{', '.join(['ayb_realtime.fingerprint_v1(%s)'] * tables)}]::pg_catalog.text[]"


def known(subject: Subject) -> TableFacts | None:
    """Return what is kept of a table, or None."""
    return _cache.get(subject)


async def facts(connection: Connection, subjects: Sequence[Subject]) -> dict[Subject, TableFacts]:
    """Return what the catalogs say of these, without those that are not streamed, and make missing check functions.

    connection: in no transaction. subjects: all with the same roles. Raises psycopg.Error.
    """
    known = {subject: _cache[subject] for subject in subjects if subject in _cache}
    if unknown := [subject for subject in subjects if subject not in known]:
        read = await _read(connection, unknown)
        for each in read.values():
            await _make_check_functions(each)
        if len(_cache) + len(read) > MOST_SUBJECTS:
            _cache.clear()
        _cache.update(read)
        known |= read
    return known


async def _read(connection: Connection, subjects: Sequence[Subject]) -> dict[Subject, TableFacts]:
    ((_, roles), *_) = subjects
    read: dict[Subject, TableFacts] = {}
    parameters = [[relation for relation, _ in subjects], sorted(roles)]
    for columns in await sessions.fetch(connection, FACTS, parameters):
        row = _Row.of(*columns)
        if row.memberships != _plans.memberships:
            _plans.memberships = row.memberships
            _plans.generation += 1
        table = read.setdefault((row.facts.table.relation, roles), row.facts)
        table.roles[row.role.state.role] = row.role
    return read


async def _make_check_functions(facts: TableFacts) -> None:
    for name, role in facts.roles.items():
        if role.check_function is not None and not role.is_check_function_made:
            # If that fails, the check tries again and tells the subscribers that it concerns.
            with suppress(CheckerNotMade):
                # The hub's own connection may be to a standby.
                async with await database.connect(conf.hub_primary()) as maker:
                    made = await make_check_function(maker, facts.table, name)
                facts.roles[name] = replace(role, check_function=made, is_check_function_made=True)


def forget(subjects: Collection[Subject]) -> None:
    """Read the catalogs again the next time, since something has changed."""
    _plans.generation += 1
    for subject in subjects:
        _cache.pop(subject, None)


@contextmanager
def discarding_old_plans(connection: Connection) -> Iterator[list[str]]:
    """Yield the statements, if any, that make a connection plan again what it may have planned before a change.

    The block runs them, in the transaction whose plans matter, or raises an error.
    """
    generation = _plans.generation
    is_old = _plans.planned.get(connection) != generation
    yield ["discard plans"] if is_old else []
    if is_old:
        _plans.planned[connection] = generation


async def discard_old_plans(connection: Connection) -> None:
    """Run what ``discarding_old_plans`` yields."""
    with discarding_old_plans(connection) as statements:
        for statement in statements:
            await connection.execute(statement)
