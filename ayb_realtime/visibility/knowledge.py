"""What is known of the tables of a run, and kept while nothing that decides it has changed. Called by ``runs``.

It is taken for true until a fingerprint of the catalogs, read after the check, says otherwise: then what was found is
thrown away, and the run asks again.
"""

from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from ayb_realtime.exceptions import CheckerNotMade
from ayb_realtime.postgres import sessions
from ayb_realtime.postgres.tables import Table
from ayb_realtime.visibility.checkers import make_checker
from ayb_realtime.visibility.transactions import Connection

QUESTION = b"select m.*, r.* from ayb_realtime.memberships_v1() m, ayb_realtime.run_v1(%s::bigint[], %s::text[]) r"
# So many columns of its rows are a table's; three more are its deciders, their fingerprint, and which to lock.
TABLE_COLUMNS = 7
# How many tables are kept, each with a set of roles.
KEPT = 5000

# A table, and the roles that it is about.
Subject = tuple[int, frozenset[str]]


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What ``run_v1`` has said of a table.

    deciders: the objects in the catalogs that decide who sees its rows, as Postgres writes them.
    fingerprint: of their versions when this was asked.
    lockable: those of them that are tables, quoted, as far as the hub's user may lock them.
    states: by role, the columns of ``role_states_v1``, the name of the checker, and whether that is made.
    """

    table: Table
    deciders: str
    fingerprint: str
    lockable: tuple[str, ...]
    states: dict[str, tuple[Any, ...]]


_kept: dict[Subject, Knowledge] = {}


class _Plans:
    """Which connections' plans may be out of date: Postgres keeps a plan when a membership changes, and its policies.

    number: one more each time that something has changed.
    """

    def __init__(self) -> None:
        self.number = 0
        self.memberships = ""
        self.planned: WeakKeyDictionary[Connection, int] = WeakKeyDictionary()


_plans = _Plans()


async def of(connection: Connection, subjects: Sequence[Subject]) -> dict[Subject, Knowledge]:
    """Return what is known of these, with the functions that check them made; those that are not streamed are left out.

    connection: in no transaction. subjects: all with the same roles. Raises psycopg.Error.
    """
    known = {subject: _kept[subject] for subject in subjects if subject in _kept}
    if unknown := [subject for subject in subjects if subject not in known]:
        learned = await _learn(connection, unknown)
        for knowledge in learned.values():
            await _make_checkers(connection, knowledge)
        if len(_kept) + len(learned) > KEPT:
            _kept.clear()
        _kept.update(learned)
        known |= learned
    return known


async def _learn(connection: Connection, subjects: Sequence[Subject]) -> dict[Subject, Knowledge]:
    ((_, roles), *_) = subjects
    learned: dict[Subject, Knowledge] = {}
    parameters = [[relation for relation, _ in subjects], sorted(roles)]
    for memberships, *row in await sessions.fetch(connection, QUESTION, parameters):
        if memberships != _plans.memberships:
            _plans.memberships = memberships
            _plans.number += 1
        table = Table.from_row(row[:TABLE_COLUMNS])
        deciders, fingerprint, lockable, *state = row[TABLE_COLUMNS:]
        knowledge = learned.setdefault(
            (table.relation, roles), Knowledge(table, deciders, fingerprint, tuple(lockable), {})
        )
        knowledge.states[state[0]] = tuple(state)
    return learned


async def _make_checkers(connection: Connection, knowledge: Knowledge) -> None:
    for role, (*state, name, is_made) in knowledge.states.items():
        if name is not None and not is_made:
            # Where that fails, the check says so, and to whom it matters.
            with suppress(CheckerNotMade):
                name = await make_checker(connection, knowledge.table.relation, role)
                knowledge.states[role] = (*state, name, True)


def forget(subjects: Collection[Subject]) -> None:
    """Ask again about these the next time, since something has changed."""
    _plans.number += 1
    for subject in subjects:
        _kept.pop(subject, None)


def fingerprints(tables: int) -> bytes:
    """Return the question of the fingerprints of so many tables' deciders. Its answer is an array, in one row."""
    # A call for each, with its argument as a constant: Postgres plans that in half the time of a query with a FROM.
    return b"select array[" + b", ".join([b"ayb_realtime.fingerprint_v1(%s)"] * tables) + b"]::pg_catalog.text[]"


async def discard_old_plans(connection: Connection) -> None:
    """Let a connection plan again what it may have planned when something else decided."""
    if _plans.planned.get(connection) != _plans.number:
        await connection.execute("discard plans")
        _plans.planned[connection] = _plans.number
