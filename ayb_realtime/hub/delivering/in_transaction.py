"""What ``planning`` asks Postgres about one table, in a ``check_transaction``."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from ayb_realtime import visibility
from ayb_realtime.identity import Identity
from ayb_realtime.postgres.tables import Table
from ayb_realtime.visibility import Answers, Connection, FilterIndex, Matches
from ayb_realtime.visibility.identities import IdentitiesByRole
from ayb_realtime.wire.records import Row


@dataclass(frozen=True, slots=True)
class InTransaction:
    """Asks. The fields are arguments of ``visibility.check``."""

    connection: Connection
    undefined_is_failure: bool
    isolate: bool

    async def may_select(
        self, table: Table, identities: Iterable[Identity]
    ) -> tuple[IdentitiesByRole, IdentitiesByRole]:
        return await visibility.may_select(self.connection, table, identities)

    async def check(self, table: Table, rows: Mapping[int, Row], identities: Iterable[Identity]) -> Answers:
        options = {"undefined_is_failure": self.undefined_is_failure, "isolate": self.isolate}
        return await visibility.check(self.connection, table, rows, identities, **options)

    async def check_before(
        self, table: Table, rows: Mapping[int, Row | None], identities: Collection[Identity]
    ) -> Answers:
        options = {"undefined_is_failure": self.undefined_is_failure, "isolate": self.isolate}
        return await visibility.check_before(self.connection, table, rows, identities, **options)

    async def matches(self, table: Table, role: str, rows: Mapping[int, Row], index: FilterIndex) -> Matches:
        return await visibility.matches(self.connection, table, role, rows, index)
