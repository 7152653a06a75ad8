"""Who gets what of a run of changes: Postgres is asked, and a delivery made of its answers. Called by the hub."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from psycopg_pool import AsyncConnectionPool

from ayb_realtime import visibility
from ayb_realtime.conf import conf
from ayb_realtime.exceptions import CatalogChanged, KeyChanged, UncancellablePolicy
from ayb_realtime.hub.delivery import LARGEST_CHARACTERS, Delivery
from ayb_realtime.identity import Identity
from ayb_realtime.log.changes import Action, Change
from ayb_realtime.postgres.tables import Table
from ayb_realtime.visibility.failures import UNANSWERED, failures
from ayb_realtime.wire.records import Row


async def prepare(
    pool: AsyncConnectionPool[Any], changes: Sequence[Change], audience: Mapping[int, Collection[Identity]]
) -> Delivery:
    """Find out who gets what of these changes.

    pool: of connections whose transactions are read-only and see one snapshot.
    changes: in position order.
    audience: table → the identities that subscribe to it.
    Raises psycopg.Error or PoolTimeout where the database does not answer: then nobody has been told anything.
    """
    by_relation: dict[int, list[Change]] = {}
    for change in changes:
        if change.relation in audience:
            by_relation.setdefault(change.relation, []).append(change)
    if not by_relation:
        return Delivery()
    roles = {identity.role for relation in by_relation for identity in audience[relation]}
    undefined_is_failure = False
    uncancellable: set[int] = set()
    while True:
        delivery = Delivery()
        try:
            async with (
                pool.connection() as connection,
                visibility.check_transaction(connection, by_relation, roles) as streamed,
            ):
                for table in streamed:
                    await _add(
                        delivery,
                        connection,
                        table,
                        by_relation[table.relation],
                        audience[table.relation],
                        undefined_is_failure=undefined_is_failure,
                        isolate=table.relation in uncancellable,
                    )
            return delivery
        except CatalogChanged:
            undefined_is_failure = True
        except UncancellablePolicy as error:
            uncancellable.add(error.relation)


async def _add(
    delivery: Delivery,
    connection: visibility.Connection,
    table: Table,
    changes: Sequence[Change],
    identities: Collection[Identity],
    *,
    undefined_is_failure: bool,
    isolate: bool,
) -> None:
    """Add the changes of one table, as ``visibility.check`` has it. connection: in a configured transaction."""
    delivery.add_enabled(table, [change for change in changes if change.action is Action.ENABLE])
    changes = [change for change in changes if change.action is not Action.ENABLE]
    if not changes:
        return None
    readers, refused = await visibility.may_select(connection, table, identities)
    delivery.ended.update(refused)
    delivery.allow(table, readers)
    changes = _without_large(delivery, table, changes, readers)
    if not changes:
        return None
    rows = {change.position: Row(change.record) for change in changes if change.record is not None}
    resets = [change for change in changes if change.record is None]
    if not table.key_columns or any(name not in row.columns for row in rows.values() for name in table.key_columns):
        # It has lost its key, or a key column was renamed since: the rows cannot be found any more.
        return delivery.add_reset(table, "table definition changed", changes[-1].position)
    if resets:
        reason = "table altered" if resets[-1].action is Action.ALTER else "table truncated"
        delivery.add_reset(table, reason, resets[-1].position)

    told = [change for change in changes if change.position in rows]
    asked = {change.position: change for change in told if change.action is not Action.DELETE}
    seen = visibility.Answers()
    if asked:
        now = {at: rows[at] for at in asked}
        try:
            seen = await visibility.check(
                connection, table, now, readers, undefined_is_failure=undefined_is_failure, isolate=isolate
            )
        except KeyChanged:
            return delivery.add_reset(table, "table definition changed", changes[-1].position)
        delivery.add_rows(table, asked, rows, seen)
        delivery.add_unanswered(table, seen.unanswered)
        delivery.ended |= seen.postponed
    deletes = [change for change in told if change.action is Action.DELETE]
    if conf.delete_visibility == "everyone" or not table.row_security:
        # By the protocol, deletes go to everyone: there is no row left to ask about.
        return delivery.add_deletes(table, deletes, rows)
    hidden = (position for reader in readers for position in seen.hidden(reader, asked.keys()))
    gone = deletes + [asked[position] for position in set(hidden) if asked[position].action is Action.UPDATE]
    if gone:
        before = {change.position: Row(change.before) if change.before else None for change in gone}
        saw = await visibility.check_before(
            connection, table, before, readers, undefined_is_failure=undefined_is_failure, isolate=isolate
        )
        delivery.add_gone(table, gone, rows, seen, saw)
        delivery.add_unanswered(table, saw.unanswered)
        delivery.ended |= saw.postponed
    return None


def _without_large(
    delivery: Delivery, table: Table, changes: Sequence[Change], readers: Collection[Identity]
) -> Sequence[Change]:
    """Tell all who may read a table to fetch it in place of rows that are too large, and return the other changes."""
    large = {change.position for change in changes if change.characters > LARGEST_CHARACTERS}
    if large:
        failures.add(UNANSWERED, table.relation, table.name, dict.fromkeys(readers, "they are too large to ask about"))
        delivery.add_unanswered(table, dict.fromkeys(readers, large))
    return [change for change in changes if change.position not in large]
