"""Runs a case: what the owner does to the database, and which events those who may see it must get."""

import json
from collections.abc import Sequence
from typing import Any

import psycopg

from ayb_realtime.identity import AUTHENTICATED_ROLE
from tests.policies.shapes import UNPROTECTED, Shape
from tests.policies.tables import SLOTS, Act, AddColumn, Allow, Delete, Join, Move, Put, Secure, Table

Connection = psycopg.Connection[Any]
# A row, or a part of it, as pairs of a column's name and its value.
Record = tuple[tuple[str, Any], ...]


def parse(text: str) -> Any:
    """Parse JSON exactly: objects as pairs, numbers as text."""
    return json.loads(
        text, object_pairs_hook=tuple, parse_int=_Number, parse_float=_Number, parse_constant=_no_constant
    )


class _Number(str):
    """A number as it was written; it equals no string."""

    __slots__ = ()
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Number) and str(self) == str(other)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


class World:
    """One table.

    script: the statements so far, so that a person can run them again.
    shape: of its policies.
    readable: by role, the columns that it may read.
    told: the action and key of each expected event, in order.
    keys: the keys of the slots.
    """

    def __init__(self, owner: Connection, table: Table) -> None:
        self.table = table
        self.shape = UNPROTECTED
        self.script: list[str] = []
        self.readable: dict[str, Sequence[str]] = {}
        self.told: list[tuple[str, Record]] = []
        self._owner = owner
        self._present: set[int] = set()
        self._has_added = False
        self._make()
        self.keys = [self._key_record(slot) for slot in SLOTS]

    def _make(self) -> None:
        columns = ", ".join(f"{name} {kind}" for name, kind in self.table.columns)
        suffix = f" partition by hash ({self.table.keys[0]})" if self.table.partitioned else ""
        self._run(f"create table {self.table.name} ({columns}, primary key ({', '.join(self.table.keys)})){suffix}")
        for part in range(2 * self.table.partitioned):
            values = f"for values with (modulus 2, remainder {part})"
            self._run(f'create table "the proof".part_{part} partition of {self.table.name} {values}')
        self._run(f"select ayb_realtime.enable_v1({_literal(self.table.name, 'regclass')})")
        self.readable[AUTHENTICATED_ROLE] = [name for name, _ in self.table.columns]

    def drop(self) -> None:
        """Remove everything."""
        self._run(f"drop table {self.table.name}")
        self._run('truncate "the proof".members, "the proof".guarded, "the proof".closed')

    def do(self, transaction: Sequence[Act]) -> None:
        """Run these acts in one transaction, and record what that did to each row."""
        before = set(self._present)
        touched: dict[int, None] = {}
        with self._owner.transaction():
            for act in transaction:
                for slot in self._do(act):
                    # A row's last change decides its place among the others.
                    touched.pop(slot, None)
                    touched[slot] = None
        for slot in touched:
            action = {(True, True): "update", (True, False): "delete", (False, True): "create"}.get(
                (slot in before, slot in self._present)
            )
            if action:
                self.told.append((action, self.keys[slot]))

    def _do(self, act: Act) -> Sequence[int]:
        """Run this act, and return the slots of the rows that it changes."""
        match act:
            case Put(slot, values):
                return self._put(slot, values)
            case Move(slot, to) if slot in self._present and to not in self._present:
                self._update(slot, dict(zip(self.table.keys, self.table.key(to), strict=True)))
                self._present ^= {slot, to}
                return slot, to
            case Delete(slot) if slot in self._present:
                self._run(f"delete from {self.table.name} where {self._is(slot)}")
                self._present.remove(slot)
                return (slot,)
            case Join():
                self._join(act)
            case Secure(shape):
                self._secure(shape)
            case Allow(role, columns):
                self._allow(role, columns)
            case AddColumn() if not self._has_added:
                self._run(f"alter table {self.table.name} add added timestamptz default '2026-06-01 12:00+02'")
                self._has_added = True
        return ()

    def _put(self, slot: int, values: dict[str, str | None]) -> Sequence[int]:
        if slot in self._present:
            self._update(slot, values)
        else:
            row = {**values, **dict(zip(self.table.keys, self.table.key(slot), strict=True))}
            literals = ", ".join(self._literals(row).values())
            self._run(f"insert into {self.table.name} ({', '.join(row)}) values ({literals})")
            self._present.add(slot)
        return (slot,)

    def _update(self, slot: int, values: dict[str, str | None]) -> None:
        changes = ", ".join(f"{name} = {literal}" for name, literal in self._literals(values).items())
        self._run(f"update {self.table.name} set {changes} where {self._is(slot)}")

    def _join(self, join: Join) -> None:
        for table in ("members", "guarded", "closed"):
            pair = f"({join.team}, {_literal(join.person, 'text')})"
            if join.is_in:
                self._run(f'insert into "the proof".{table} values {pair} on conflict do nothing')
            else:
                self._run(f'delete from "the proof".{table} where (team, person) = {pair}')

    def _secure(self, shape: Shape) -> None:
        for number in range(len(self.shape.policies)):
            self._run(f"drop policy p{number} on {self.table.name}")
        for number, policy in enumerate(shape.policies):
            self._run(f"create policy p{number} on {self.table.name} {policy.replace('{t}', self.table.name)}")
        switch = "enable" if shape.row_security else "disable"
        self._run(f"alter table {self.table.name} {switch} row level security")
        self.shape = shape

    def _allow(self, role: str, columns: Sequence[str]) -> None:
        self._run(f"revoke select on {self.table.name} from {role}")
        if set(columns) == {name for name, _ in self.table.columns}:
            self._run(f"grant select on {self.table.name} to {role}")
        elif columns:
            self._run(f"grant select ({', '.join(columns)}) on {self.table.name} to {role}")
        self.readable[role] = columns

    def columns_of(self, role: str) -> list[str]:
        """Return the columns that a role may read, in the table's order; none, if it may not read the whole key."""
        all_columns = [name for name, _ in self.table.columns]
        readable = self.readable.get(role, ())
        if not set(self.table.keys) <= set(readable):
            return []
        # A grant on the whole table includes columns that are added later.
        added = ["added"] if self._has_added and len(readable) == len(all_columns) else []
        return [name for name in all_columns if name in readable] + added

    def _key_record(self, slot: int) -> Record:
        literals = self._literals(dict(zip(self.table.keys, self.table.key(slot), strict=True)))
        columns = ", ".join(f"{literal} as {name}" for name, literal in literals.items())
        row = self._owner.execute(f"select row_to_json(k)::text from (select {columns}) k".encode()).fetchone()
        record: Record = parse(row[0] if row else "")
        return record

    def _is(self, slot: int) -> str:
        literals = self._literals(dict(zip(self.table.keys, self.table.key(slot), strict=True)))
        return " and ".join(f"{name} = {literal}" for name, literal in literals.items())

    def _literals(self, values: dict[str, str | None]) -> dict[str, str]:
        types = dict(self.table.columns)
        return {name: _literal(value, types[name]) for name, value in values.items()}

    def _run(self, statement: str) -> None:
        self.script.append(f"{statement};")
        self._owner.execute(statement.encode())


def _literal(value: str | None, kind: str) -> str:
    return "null" if value is None else "'{}'::{}".format(value.replace("'", "''"), kind)
