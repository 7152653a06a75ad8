"""The transaction in which a slice of changes is checked: what decides who sees a row stays the same throughout."""

from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager

import psycopg

from ayb_realtime.conf import conf
from ayb_realtime.exceptions import CatalogChanged, StandbyBehind
from ayb_realtime.postgres.tables import Table
from ayb_realtime.visibility import catalog_cache, transactions
from ayb_realtime.visibility.catalog_cache import TableFacts
from ayb_realtime.visibility.transactions import Connection


@asynccontextmanager
async def check_transaction(
    connection: Connection, relations: Collection[int], roles: Collection[str], upto: int = 0, *, wait: bool = True
) -> AsyncIterator[list[Table]]:
    """Run a block in a configured transaction that is read-only and sees one snapshot.

    Yields those of these tables that are streamed. In the block, ``transactions.state`` knows their roles.
    Rows come from the snapshot, but Postgres reads policies, privileges, memberships and functions as they are when it
    uses them. So tables are locked before there is a snapshot, and the block's answers hold only if nothing that
    decides has changed from the snapshot to the end.
    upto: the position of the newest change that the block is about. A standby has to show it.
    wait: whether to wait a little for tables that other sessions have locked, and then to go on without them. Otherwise
        raises LockNotAvailable.
    Raises CatalogChanged, at the end, if something has changed: then ask again. Raises StandbyBehind or psycopg.Error.
    """
    subjects = [(relation, frozenset(roles)) for relation in relations]
    try:
        facts = list((await catalog_cache.facts(connection, subjects)).values())
        async with AsyncExitStack() as stack:
            locked = await _begin(stack, connection, facts, wait)
            await catalog_cache.discard_old_plans(connection)
            state = transactions.state(connection)
            if conf.hub_reads_standby() and state.head < upto:
                raise StandbyBehind(f"the standby shows position {state.head}, and not yet {upto}")
            state.locked = locked
            state.roles = {each.table.relation: each.roles for each in facts}
            state.equalities = {each.table.relation: each.equalities for each in facts}
            state.comparisons = {each.table.relation: each.comparisons for each in facts}
            yield [each.table for each in facts]
            await _commit(connection, facts)
    except BaseException:
        catalog_cache.forget(subjects)
        raise


async def _begin(stack: AsyncExitStack, connection: Connection, facts: Collection[TableFacts], wait: bool) -> set[int]:
    """Begin a configured transaction, which ends with the stack; return the tables that other sessions have locked."""
    locked: set[int] = set()
    while True:
        free = [each for each in facts if each.table.relation not in locked]
        lock = dict.fromkeys(name for each in free for name in each.lockable)
        try:
            await stack.enter_async_context(transactions.snapshot(connection, lock, wait=wait))
        except psycopg.errors.LockNotAvailable:
            if not wait:
                raise
            locked |= {
                each.table.relation for each in free if not await transactions.can_lock(connection, each.lockable)
            }
        except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName, psycopg.errors.InsufficientPrivilege):
            raise CatalogChanged from None
        else:
            return locked


async def _commit(connection: Connection, facts: Collection[TableFacts]) -> None:
    """Commit, and raise CatalogChanged if the fingerprints are no longer those under which the facts were read."""
    deciders = [each.deciders for each in facts]
    query = catalog_cache.fingerprints(len(facts))
    ((fingerprints,),) = await transactions.commit_and_query(connection, query, deciders)
    if fingerprints != [each.fingerprint for each in facts]:
        raise CatalogChanged
