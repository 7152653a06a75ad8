"""What a stream's filter makes of a row, asked of Postgres as the hub asks it. Part of ``explain``."""

from collections.abc import AsyncIterator, Sequence

from ayb_realtime import visibility
from ayb_realtime.diagnostics.step import Step
from ayb_realtime.exceptions import InvalidParameter
from ayb_realtime.filters import Clause, parse
from ayb_realtime.identity import Identity
from ayb_realtime.postgres.tables import Table
from ayb_realtime.visibility import Connection, FilteredIdentity, FilterIndex, filter_admission
from ayb_realtime.wire.records import Row


async def with_filters(
    connection: Connection, identity: Identity, table: Table, name: str, filters: Sequence[str]
) -> tuple[Identity, Step]:
    """Return the identity that a subscriber has by these ``filter`` parameters, and whether a request may have them.

    connection: as for ``explain_row.select_steps``. name: the table's, as clients write it.
    """
    await visibility.configure(connection)
    try:
        wanted = parse(filters, [name]).get(name, frozenset())
        refused = await filter_admission.refusals(connection, table, identity.role, [wanted])
        if wanted in refused:
            raise InvalidParameter(f"filter: {refused[wanted]}")
    except InvalidParameter as error:
        return identity, Step(False, f"A request with this filter is answered with 400: {error}")
    filtered = FilteredIdentity(identity.role, identity.settings, wanted)
    return filtered, Step(True, "The filter can be compared for the subscriber.")


async def filter_steps(connection: Connection, identity: Identity, table: Table, row: Row) -> AsyncIterator[Step]:
    """Yield which conditions of an identity's filter hold for a row, and whether it matches; nothing without a filter.

    connection: in a configured transaction. row: as the subscriber is sent it.
    """
    if not isinstance(identity, FilteredIdentity) or not identity.filter:
        return
    parts = {_written(clause): frozenset([clause]) for clause in identity.filter}
    filters = {identity.filter, *parts.values()}
    index = FilterIndex((identity, FilteredIdentity(identity.role, identity.settings, each)) for each in filters)
    found = await visibility.matches(connection, table, identity.role, {1: row}, index)
    for written, part in sorted(parts.items()):
        answer = "holds" if part in found.matched else "has no answer" if part in found.failed else "does not hold"
        yield Step(None, f"The condition {written} {answer} for it.")
    if identity.filter in found.matched:
        yield Step(True, "It matches the filter.")
    elif identity.filter in found.failed:
        yield Step(False, "Postgres cannot compare it with the filter: a reset is sent.")
    else:
        yield Step(False, "It does not match the filter: no create or update of it is sent.")


def _written(clause: Clause) -> str:
    return f"{clause.column} {clause.operator} {' or '.join(clause.values)}"
