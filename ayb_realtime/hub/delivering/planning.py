"""Who gets which changes of a slice: Postgres is asked, and a delivery planned by its answers.

Called by ``live`` and ``replay``.
"""

from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from psycopg_pool import AsyncConnectionPool

from ayb_realtime import visibility
from ayb_realtime.counts import counts
from ayb_realtime.exceptions import CatalogChanged, KeyChanged, NeedsTransaction, UncancellablePolicy
from ayb_realtime.hub.delivering.delivery import DeliveryPlan
from ayb_realtime.hub.delivering.filtering import asks_about_old_rows, left, old_matches, with_filters
from ayb_realtime.hub.delivering.in_transaction import InTransaction
from ayb_realtime.hub.delivering.repeating import Changes, plan_repeatedly
from ayb_realtime.hub.delivering.table_changes import TableChanges, hidden_updates
from ayb_realtime.identity import Identity
from ayb_realtime.log.changes import Action, Change
from ayb_realtime.postgres.tables import Table
from ayb_realtime.reset_reasons import ResetReason
from ayb_realtime.visibility import Answers, OneMessage, SharedView, with_filtered
from ayb_realtime.visibility.failures import UNANSWERED, failures
from ayb_realtime.visibility.identities import IdentitiesByRole
from ayb_realtime.wire.records import Row


async def plan_delivery(
    pool: AsyncConnectionPool[Any], changes: Sequence[Change], identities_by_table: Mapping[int, Collection[Identity]]
) -> DeliveryPlan:
    """Find out who gets which of these changes.

    pool: of connections whose transactions are read-only and see one snapshot.
    changes: in position order.
    identities_by_table: table (oid) → the identities that subscribe to it.
    Raises psycopg.Error or PoolTimeout where the database does not answer, or StandbyBehind: then nothing has been
    delivered.
    """
    by_relation: dict[int, list[Change]] = {}
    for change in changes:
        if change.relation in identities_by_table:
            by_relation.setdefault(change.relation, []).append(change)
    if delivery := await _plan_in_one_message(pool, by_relation, identities_by_table):
        return delivery
    uncancellable: set[int] = set()
    repeated = 0

    async def plan(asked: Changes, is_first: bool) -> DeliveryPlan:
        nonlocal repeated
        # On the second try, a name that is still undefined is the policy's failure, and no longer a sign that a
        # migration has committed since the snapshot.
        while True:
            try:
                return await _plan(pool, asked, identities_by_table, not is_first, uncancellable)
            except UncancellablePolicy as error:
                uncancellable.add(error.relation)
            except CatalogChanged:
                repeated += 1
                raise

    delivery = await plan_repeatedly(pool, by_relation, identities_by_table, plan)
    delivery.repeated = repeated
    return delivery


async def _plan_in_one_message(
    pool: AsyncConnectionPool[Any],
    by_relation: Mapping[int, Sequence[Change]],
    identities_by_table: Mapping[int, Collection[Identity]],
) -> DeliveryPlan | None:
    """Plan the delivery of changes of one table if they need but one question; None if they need a transaction."""
    if len(by_relation) != 1:
        return None
    ((relation, found),) = by_relation.items()
    readers = IdentitiesByRole.of(identities_by_table[relation])
    asking = OneMessage.about(pool, relation, _roles(identities_by_table[relation]))
    if asking is None:
        return None
    changes = TableChanges.of(asking.facts.table, found)
    if not _is_usual(asking.facts.table, changes, readers):
        return None
    delivery = DeliveryPlan()
    try:
        await _Planner(delivery, asking, asking.facts.table).plan(changes, identities_by_table[relation])
    except NeedsTransaction:
        return None
    return delivery


def _is_usual(table: Table, changes: TableChanges, readers: IdentitiesByRole) -> bool:
    """Tell whether it only has to be asked who sees rows as they are now."""
    if not changes.current or changes.too_large:
        return False
    if not asks_about_old_rows(table, readers):
        return True
    return not changes.deletes and all(each.action is Action.CREATE for each in changes.current.values())


def _roles(identities: Collection[Identity]) -> Set[str]:
    return IdentitiesByRole.of(identities).by_role.keys()


async def _plan(
    pool: AsyncConnectionPool[Any],
    by_relation: Mapping[int, Sequence[Change]],
    identities_by_table: Mapping[int, Collection[Identity]],
    undefined_is_failure: bool,
    uncancellable: Set[int],
) -> DeliveryPlan:
    roles = {role for relation in by_relation for role in _roles(identities_by_table[relation])}
    upto = max(changes[-1].position for changes in by_relation.values())
    delivery = DeliveryPlan()
    async with (
        pool.connection() as connection,
        visibility.check_transaction(connection, by_relation, roles, upto) as streamed,
    ):
        for table in streamed:
            asking = InTransaction(connection, undefined_is_failure, table.relation in uncancellable)
            planner = _Planner(delivery, asking, table)
            changes = TableChanges.of(table, by_relation[table.relation])
            await planner.plan(changes, identities_by_table[table.relation])
    return delivery


@dataclass(frozen=True, slots=True)
class _Planner:
    """Adds the changes of one table to a delivery."""

    delivery: DeliveryPlan
    asking: InTransaction | OneMessage
    table: Table

    async def plan(self, changes: TableChanges, identities: Collection[Identity]) -> None:
        """Add these changes, for the identities that may see them. Raises what ``visibility.check`` raises."""
        delivery, table = self.delivery, self.table
        delivery.add_enabled(table, changes.enables)
        if changes.has_only_enables:
            return
        readers, refused = await self.asking.may_select(table, identities)
        delivery.add_endings(table, refused)
        delivery.set_readers(table, readers)
        self._reset_too_large(changes.too_large, readers)
        if changes.reset:
            delivery.add_reset(table, *changes.reset)
        try:
            now = await self._add_current(changes, readers)
        except KeyChanged:
            delivery.add_reset(table, ResetReason.DEFINITION_CHANGED, changes.last)
            return
        if not asks_about_old_rows(table, readers):
            # By the protocol, deletes go to everyone: there is no row left to ask about.
            delivery.add_deletes(table, changes.deletes, changes.rows)
        else:
            await self._add_vanished(changes, now, readers)

    def _reset_too_large(self, positions: Set[int], readers: Collection[Identity]) -> None:
        """Tell all readers to fetch the table, in place of rows that are too large to check."""
        if positions:
            reasons = dict.fromkeys(readers, "they are too large to ask about")
            failures.add(UNANSWERED, self.table, reasons)
            self.delivery.add_unanswered(self.table, dict.fromkeys(readers, positions))

    async def _add_current(self, changes: TableChanges, readers: IdentitiesByRole) -> Answers:
        """Add the rows that are there now, for the identities that see them, and return who sees them."""
        if not changes.current:
            return Answers()
        rows = {position: changes.rows[position] for position in changes.current}
        answers = await self.asking.check(self.table, rows, readers)
        counts.add_answers(len(rows) * len(readers), *answers.tally(len(rows)))
        answers = await with_filters(self.asking, self.table, rows, answers, readers)
        self.delivery.add_rows(self.table, changes.current, rows, answers)
        self._add_resets_and_endings(answers)
        return answers

    async def _add_vanished(self, changes: TableChanges, now: Answers, readers: IdentitiesByRole) -> None:
        """Add a delete of each row that is gone, for the identities that saw it, and no longer do."""
        updates = [each for each in changes.current.values() if each.action is Action.UPDATE]
        matches = await old_matches(self.asking, self.table, [*changes.deletes, *updates], readers)
        hidden = hidden_updates(changes.current, now, readers) if self.table.row_security else []
        vanished = [*changes.deletes, *dict.fromkeys([*hidden, *left(updates, now, readers, matches)])]
        if not vanished:
            return
        before = await self._before(vanished, readers)
        own = None if self.table.row_security else await self._before(changes.deletes, readers)
        before = with_filtered(before, readers.filters, matches, own)
        self.delivery.add_vanished(self.table, vanished, changes.rows, now, before)
        self._add_resets_and_endings(before)

    async def _before(self, changes: Sequence[Change], readers: IdentitiesByRole) -> Answers:
        """Return who saw rows before their changes."""
        if not self.table.row_security:
            return Answers([SharedView({change.position: None for change in changes}, readers)])
        rows = {change.position: Row(change.before) if change.before else None for change in changes}
        return await self.asking.check_before(self.table, rows, readers)

    def _add_resets_and_endings(self, answers: Answers) -> None:
        self.delivery.add_unanswered(self.table, answers.unanswered)
        self.delivery.add_endings(self.table, answers.locked_out)
