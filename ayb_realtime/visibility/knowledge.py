"""What is known of the tables of a run, and kept while nothing that decides it has changed. Called by ``runs``.

It is taken for true until a fingerprint of the catalogs, read after the check, says otherwise: then what was found is
thrown away, and the run asks again.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from ayb_realtime.tables import Table
from ayb_realtime.visibility.transactions import Connection

QUESTION = b"select * from ayb_realtime.run_v1(%s::bigint[], %s::text[])"
FINGERPRINTS = (
    b"select ayb_realtime.fingerprint_v1(d::ayb_realtime.deciders) from pg_catalog.unnest(%s::pg_catalog.text[]) as d"
)
# So many columns of its rows are a table's; two more are its deciders and their fingerprint.
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
    states: by role, the columns of ``role_states_v1``, the name of the checker, and whether that is made.
    """

    table: Table
    deciders: str
    fingerprint: str
    states: dict[str, tuple[Any, ...]]


_kept: dict[Subject, Knowledge] = {}
# Under which fingerprints a connection's plans were made, or later. Postgres keeps those when a membership changes.
_planned: WeakKeyDictionary[Connection, dict[Subject, str]] = WeakKeyDictionary()


def kept(subjects: Iterable[Subject]) -> dict[Subject, Knowledge]:
    """Return what is known of these."""
    return {subject: _kept[subject] for subject in subjects if subject in _kept}


def learn(rows: Iterable[Sequence[Any]], roles: frozenset[str]) -> dict[Subject, Knowledge]:
    """Keep what the rows of ``run_v1`` say of tables, and return it."""
    learned: dict[Subject, Knowledge] = {}
    for row in rows:
        table = Table.from_row(row[:TABLE_COLUMNS])
        deciders, fingerprint, *state = row[TABLE_COLUMNS:]
        subject = table.relation, roles
        if subject not in learned:
            learned[subject] = Knowledge(table, deciders, fingerprint, {})
        learned[subject].states[state[0]] = tuple(state)
    if len(_kept) + len(learned) > KEPT:
        _kept.clear()
    _kept.update(learned)
    return learned


def forget(subjects: Collection[Subject]) -> None:
    """Ask anew about these, the next time."""
    for subject in subjects:
        _kept.pop(subject, None)


async def discard_old_plans(connection: Connection, known: Mapping[Subject, Knowledge]) -> None:
    """Let a connection plan again what it may have planned when something else decided."""
    planned = _planned.setdefault(connection, {})
    if any(planned.get(subject) != knowledge.fingerprint for subject, knowledge in known.items()):
        await connection.execute("discard plans")
        if len(planned) > KEPT:
            planned.clear()
        planned.update((subject, knowledge.fingerprint) for subject, knowledge in known.items())
