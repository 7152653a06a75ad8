"""Who sees what: Postgres is asked, under each identity's own role and settings. Nothing else sets a role.

Anything but a clear yes is a no. What is not an answer, such as a timeout, is never taken for one.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from django.db import connections, transaction

from ayb_realtime.conf import conf
from ayb_realtime.exceptions import RoleNotGranted
from ayb_realtime.identity import ANONYMOUS_ROLE, AUTHENTICATED_ROLE, Identity
from ayb_realtime.question import CatalogChanged, Connection, Question, Seen
from ayb_realtime.records import Row
from ayb_realtime.tables import Table

__all__ = ["CatalogChanged", "Connection", "Seen", "as_identity", "check", "check_roles", "may_select", "prepare"]

# How a row reads as JSON: the settings of capture_v1(), since visible_v1() compares the text.
JSON_SETTINGS = {
    "timezone": "UTC",
    "datestyle": "ISO",
    "intervalstyle": "postgres",
    "bytea_output": "hex",
    "extra_float_digits": "1",
}
# A key is looked up by its index, so that a policy is not run on rows that nobody asked about, and may fail on.
PLAN_SETTINGS = {"enable_seqscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off"}


async def prepare(connection: Connection) -> None:
    """Give the current transaction the settings under which rows are read and checked."""
    milliseconds = conf.check_timeout_seconds * 1000
    # A lock that a migration holds is told from a policy that is slow.
    timeouts = {"statement_timeout": f"{milliseconds:.0f}", "lock_timeout": f"{milliseconds / 2:.0f}"}
    await _set_local(connection, {**JSON_SETTINGS, **PLAN_SETTINGS, **timeouts})


async def check_roles(connection: Connection) -> None:
    """See whether this database user may act as the subscribers. Raises RoleNotGranted with what to run."""
    wanted = [AUTHENTICATED_ROLE, *([ANONYMOUS_ROLE] if conf.anonymous else [])]
    kind = "set" if connection.info.server_version >= 160000 else "member"
    cursor = await connection.execute(
        "select role, current_user from pg_catalog.unnest(%s::text[]) as role"
        " where pg_catalog.to_regrole(role) is null"
        " or not pg_catalog.pg_has_role(current_user::text, pg_catalog.to_regrole(role), %s)",
        [wanted, kind],
    )
    if missing := await cursor.fetchall():
        roles = ", ".join(role for role, _ in missing)
        user = missing[0][1]
        raise RoleNotGranted(
            f'The database user "{user}" may not act as {roles}, so that no row could be checked for anybody. Run this '
            f'as a superuser, or as the user that migrated: GRANT {roles} TO "{user}"'
            f"{' WITH SET TRUE, INHERIT FALSE' if kind == 'set' else ''};"
        )


async def may_select(connection: Connection, table: Table, identities: Sequence[Identity]) -> list[Identity]:
    """Return those identities whose role may read the key of a table, as far as row-level security lets it."""
    cursor = await connection.execute(
        "select r.rolname from pg_catalog.pg_roles r"
        " where r.rolname = any(%(roles)s) and not exists ("
        "   select from pg_catalog.unnest(%(keys)s::text[]) as key"
        "    where not pg_catalog.has_column_privilege(r.oid, %(relation)s::oid, key, 'select'))",
        {"roles": [i.role for i in identities], "keys": list(table.key_columns), "relation": table.relation},
    )
    roles = {role for (role,) in await cursor.fetchall()}
    return [identity for identity in identities if identity.role in roles]


async def check(
    connection: Connection,
    table: Table,
    rows: Mapping[int, Row],
    identities: Sequence[Identity],
    *,
    insist: bool = False,
) -> dict[Identity, Seen]:
    """Ask Postgres which of these rows each identity may see.

    connection: in a prepared, read-only transaction with one snapshot.
    rows: position of a create or update → the row as it was logged.
    insist: whether a name that is gone is the policy's fault.
    Returns for each identity the positions that it may see, with the row where it has changed since it was logged: an
    older one was perhaps never for that identity to see. An identity that is missing got no answer in time: its
    streams have to end, so that they resume.
    Raises CatalogChanged, if it does not insist, and psycopg.OperationalError if the connection is lost.
    """
    if table.row_security:
        asked = {identity: identity for identity in identities}
    else:
        # Without policies the role alone decides, so one identity of each role stands for all.
        by_role = {identity.role: identity for identity in identities}
        asked = {identity: by_role[identity.role] for identity in identities}
    question = Question(connection, table, insist)
    await question.ask(rows, list(dict.fromkeys(asked.values())))
    question.report()
    return {
        identity: question.seen.get(stand_in, {})
        for identity, stand_in in asked.items()
        if stand_in not in question.unanswered
    }


async def _set_local(connection: Connection, settings: Mapping[str, str]) -> None:
    calls = ", ".join(["set_config(%s, %s, true)"] * len(settings))
    await connection.execute(f"select {calls}", [part for setting in settings.items() for part in setting])


@contextmanager
def as_identity(identity: Identity) -> Iterator[None]:
    """Run a block's queries, the ORM's too, as a subscriber: they find the rows that the stream would show.

    A transaction of its own, on the database of the streamed tables. What the block writes, it writes under the
    identity's privileges and policies. Raises RuntimeError inside another ``atomic`` block, where the role would
    outlast this one.
    """
    settings = {**dict(identity.settings), "role": identity.role}
    with transaction.atomic(conf.database, durable=True), connections[conf.database].cursor() as cursor:
        for name, value in settings.items():
            cursor.execute("select set_config(%s, %s, true)", [name, value])
        yield
        # The end of the transaction does this too, but in a Django TestCase the transaction is not the outermost.
        cursor.execute("select set_config('role', 'none', true)")
