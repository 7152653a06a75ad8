"""Repeats checks while the catalogs change, and gives up tables whose catalogs do not stand still.

Who owns a table may alter its policies and grants in a loop. That costs the other tables of a slice no more than a few
checks, and nothing once the table has been given up. Called by ``planning``.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from psycopg_pool import AsyncConnectionPool

from ayb_realtime.exceptions import CatalogChanged
from ayb_realtime.hub.delivering.delivery import DeliveryPlan
from ayb_realtime.identity import Identity
from ayb_realtime.log.changes import Action, Change
from ayb_realtime.postgres import tables
from ayb_realtime.visibility.failures import UNANSWERED, failures
from ayb_realtime.visibility.quarantine import quarantine

# How often the catalogs may change while several tables are checked together. Then each is checked by itself.
MOST_TOGETHER = 2
# The same for one table. Then it is given up. Migrations that follow one another change it five times under load.
MOST_ALONE = 20
# The same for a table that was given up lately, or after another one of the slice.
MOST_SUSPECTED = 2

# The member of a table's quarantine which says that the table was given up.
RESTLESS: Final = "restless"
REASON = "its policies, privileges or functions change all the time"

# Table (oid) → its changes.
Changes = Mapping[int, Sequence[Change]]
# Plans the delivery of some changes. Told whether these are asked about for the first time. Raises CatalogChanged.
Plan = Callable[[Changes, bool], Awaitable[DeliveryPlan]]


async def plan_repeatedly(
    pool: AsyncConnectionPool[Any],
    changes: Changes,
    identities_by_table: Mapping[int, Collection[Identity]],
    plan: Plan,
) -> DeliveryPlan:
    """Plan the delivery of changes, with a reset in place of those of each table that is given up.

    Raises what ``plan`` raises but CatalogChanged; psycopg.Error or PoolTimeout.
    """
    delivery = DeliveryPlan()
    given_up = {relation for relation in changes if quarantine.partition(relation, [RESTLESS]).barred}
    suspected = {relation for relation in changes if quarantine.partition(relation, [RESTLESS]).suspected}
    together = {relation: changes[relation] for relation in changes.keys() - given_up - suspected}
    alone = changes.keys() - given_up
    if len(together) > 1:
        with suppress(CatalogChanged):
            delivery.add(await _repeat(together, plan, MOST_TOGETHER))
            alone = alone - together.keys()
    for relation in sorted(alone):
        most = MOST_SUSPECTED if suspected else MOST_ALONE
        try:
            delivery.add(await _repeat({relation: changes[relation]}, plan, most))
            quarantine.release(relation, [RESTLESS])
        except CatalogChanged:
            quarantine.add(relation, [RESTLESS])
            suspected.add(relation)
            given_up.add(relation)
    if given_up:
        await _reset(pool, delivery, {relation: changes[relation] for relation in given_up}, identities_by_table)
    return delivery


async def _repeat(changes: Changes, plan: Plan, most: int) -> DeliveryPlan:
    """Plan until the catalogs stand still. Raises CatalogChanged if they have changed so many times."""
    for attempt in range(1, most):
        with suppress(CatalogChanged):
            return await plan(changes, attempt == 1)
    return await plan(changes, False)


async def _reset(
    pool: AsyncConnectionPool[Any],
    delivery: DeliveryPlan,
    changes: Changes,
    identities_by_table: Mapping[int, Collection[Identity]],
) -> None:
    """Tell all to fetch these tables, in place of their changes."""
    async with pool.connection() as connection:
        streamed = await tables.streamed(connection)
    for table in streamed:
        of_table = changes.get(table.relation, ())
        delivery.add_enabled(table, [change for change in of_table if change.action is Action.ENABLE])
        if positions := {change.position for change in of_table if change.action is not Action.ENABLE}:
            readers = identities_by_table[table.relation]
            failures.add(UNANSWERED, table, dict.fromkeys(readers, REASON))
            delivery.add_unanswered(table, dict.fromkeys(readers, positions))
