"""The transaction in which a run of changes is checked. What decides is the same from its beginning to its end."""

from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager

import psycopg

from ayb_realtime.exceptions import CatalogChanged
from ayb_realtime.postgres.tables import Table
from ayb_realtime.visibility import knowledge, transactions
from ayb_realtime.visibility.knowledge import Knowledge
from ayb_realtime.visibility.transactions import Connection


@asynccontextmanager
async def run(connection: Connection, relations: Collection[int], roles: Collection[str]) -> AsyncIterator[list[Table]]:
    """Run a block in a prepared transaction, that is read-only and sees one snapshot.

    Yields those of these tables that are streamed. What there is to say of these roles is known in the block.
    Rows come from the snapshot, but policies, privileges, memberships and functions are those of the moment in which
    Postgres uses them. So tables are locked before there is a snapshot, and the block's answers hold only if nothing
    that decides has changed from the snapshot to the end.
    Raises CatalogChanged, at the end, where something has: then ask again. Raises psycopg.Error.
    """
    subjects = [(relation, frozenset(roles)) for relation in relations]
    try:
        known = await knowledge.of(connection, subjects)
        async with AsyncExitStack() as stack:
            locked = await _begin(stack, connection, known.values())
            await knowledge.discard_old_plans(connection)
            transaction = transactions.known(connection)
            transaction.locked = locked
            transaction.states = {each.table.relation: each.states for each in known.values()}
            yield [each.table for each in known.values()]
            deciders = [each.deciders for each in known.values()]
            ((now,),) = await transactions.commit(connection, knowledge.fingerprints(len(known)), deciders)
            if now != [each.fingerprint for each in known.values()]:
                raise CatalogChanged
    except BaseException:
        knowledge.forget(subjects)
        raise


async def _begin(stack: AsyncExitStack, connection: Connection, known: Collection[Knowledge]) -> set[int]:
    """Begin a prepared transaction, which ends with the stack; return the tables that others have locked."""
    locked: set[int] = set()
    while True:
        free = [each for each in known if each.table.relation not in locked]
        lock = dict.fromkeys(name for each in free for name in each.lockable)
        try:
            await stack.enter_async_context(transactions.prepared(connection, lock))
        except psycopg.errors.LockNotAvailable:
            locked |= {
                each.table.relation for each in free if not await transactions.can_lock(connection, each.lockable)
            }
        except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName, psycopg.errors.InsufficientPrivilege):
            raise CatalogChanged from None
        else:
            return locked
