"""The transaction in which a run of changes is checked. What decides is the same from its beginning to its end."""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

from ayb_realtime.tables import Table
from ayb_realtime.visibility import knowledge, transactions
from ayb_realtime.visibility.question import CatalogChanged
from ayb_realtime.visibility.transactions import Connection


@asynccontextmanager
async def run(connection: Connection, relations: Collection[int], roles: Collection[str]) -> AsyncIterator[list[Table]]:
    """Run a block in a prepared transaction, that is read-only and sees one snapshot.

    Yields those of these tables that are streamed. What there is to say of these roles is known in the block.
    Rows come from the snapshot, but policies, privileges, memberships and functions are those of the moment in which
    Postgres uses them. So the block's answers are of one moment only if none of these has changed since the snapshot.
    Raises CatalogChanged, at the end, where one has: then ask again. Raises psycopg.Error.
    """
    subjects = [(relation, frozenset(roles)) for relation in relations]
    try:
        known = await knowledge.of(connection, subjects)
        async with transactions.prepared(connection):
            await knowledge.discard_old_plans(connection)
            states = {each.table.relation: each.states for each in known.values()}
            transactions.known(connection).states.update(states)
            yield [each.table for each in known.values()]
            deciders = [each.deciders for each in known.values()]
            now = await transactions.commit(connection, knowledge.FINGERPRINTS, [deciders])
            if [fingerprint for (fingerprint,) in now] != [each.fingerprint for each in known.values()]:
                raise CatalogChanged
    except BaseException:
        knowledge.forget(subjects)
        raise
