"""What each role is sent is what its SELECT returns, as policies, roles and privileges change step by step."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool

from ayb_realtime.conf import conf
from ayb_realtime.hub.delivering import planning
from ayb_realtime.identity import Identity
from ayb_realtime.log import queries
from ayb_realtime.log.changes import Change
from ayb_realtime.postgres import database
from ayb_realtime.postgres.operation import TableOperation
from ayb_realtime.postgres.tables import streamed
from ayb_realtime.visibility import OneMessage
from tests.integration.conftest import GRANTEES
from tests.integration.scenario import Owner
from tests.integration.visibility.conftest import sent
from tests.integration.visibility.test_policies import Event, events, new_changes
from tests.policies.oracle import acting
from tests.policies.row_security import MEMBERSHIPS, ROLES, SITUATIONS, Situation
from tests.policies.world import Record, parse

IDENTITIES = [Identity(role, (("ayb.user_id", role),)) for role in ROLES]

# The columns of a table: whether each is of the key, and whether a role may read it.
COLUMNS = """
select quote_ident(attname), attnum = any (indkey), has_column_privilege(%(role)s, attrelid, attnum, 'select')
  from pg_attribute join pg_index on indrelid = attrelid and indisprimary
 where attrelid = %(table)s::regclass and attnum > 0 and not attisdropped
 order by attnum
"""
# Whether it can be said who saw its rows when they are gone; and the columns of its key.
EXACT = """
select not relrowsecurity or ayb_realtime.inexact_reason_v1(c.oid) is null,
       (select array_agg(attname::text) from pg_index join pg_attribute on attrelid = indrelid and attnum = any (indkey)
         where indrelid = c.oid and indisprimary)
  from pg_class c where c.oid = %(table)s::regclass
"""
OWNED = "select pg_has_role(%s, relowner, 'member') from pg_class where oid = %s::regclass"


@pytest.fixture
def regress(owner: Owner) -> Iterator[Owner]:
    """The owner's connection, with the roles, and a schema for the tables of a situation."""
    for role in ROLES:
        owner.execute(f"create role {role} nologin; grant {role} to {GRANTEES}".encode())
    owner.execute(MEMBERSHIPS.encode())
    owner.execute("create schema regress; grant usage, create on schema regress to public; set search_path = regress")
    yield owner
    owner.execute("reset search_path; drop schema regress cascade")
    for role in ROLES:
        owner.execute(f"drop owned by {role}; drop role {role}".encode())
    owner.execute("select setval('ayb_realtime.keeps_before', 0)")


class Script:
    """Compares what identities are sent of a situation's tables with what they select."""

    def __init__(
        self,
        pool: AsyncConnectionPool[Any],
        relay: queries.Connection,
        owner: Owner,
        settings: Any,
        identities: Sequence[Identity] = IDENTITIES,
    ) -> None:
        self.identities = identities
        self._pool = pool
        self._relay = relay
        self._owner = owner
        self._settings = settings

    async def compare(self, table: str) -> dict[Identity, list[Record]]:
        """Update all rows of a table, then delete them and put them back; return the rows that each identity saw."""
        self._owner.execute(f"update {table} set touched = touched + 1".encode())
        changes = await new_changes(self._relay)
        shown = {identity: self._shown(table, identity) for identity in self.identities}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(OneMessage, "about", lambda *args: None)
            by_transaction = await self._sent(table, changes, "everyone")
        by_message = await self._sent(table, changes, "everyone")
        before = await self._sent(table, await self._deletes(table), "policy")
        is_exact, key = self._owner.execute(EXACT, {"table": table}).fetchone() or (False, [])
        for identity, rows in shown.items():
            keys = [tuple(member for member in row if member[0] in key) for row in rows if is_exact]
            assert by_transaction[identity] == by_message[identity] == Counter(("update", row) for row in rows), (
                identity
            )
            assert before[identity] == Counter(("delete", key) for key in keys), identity
        return shown

    async def _deletes(self, table: str) -> list[Change]:
        self._owner.execute(f"create temp table kept as table {table}; delete from {table}".encode())
        deletes = await new_changes(self._relay)
        self._owner.execute(f"insert into {table} table kept; drop table kept".encode())
        await new_changes(self._relay)
        return deletes

    async def _sent(self, table: str, changes: Sequence[Change], deletes_to: str) -> dict[Identity, Counter[Event]]:
        self._settings.AYB_REALTIME = {"DELETE_VISIBILITY": deletes_to, "CHECK_TIMEOUT_SECONDS": 60}
        assert changes, table
        relation = changes[0].relation
        plan = await planning.plan_delivery(self._pool, changes, {relation: self.identities})
        assert not plan.unanswered
        async with self._pool.connection() as connection:
            (target,) = [each for each in await streamed(connection) if each.relation == relation]
        ended = plan.endings.get(relation, set())
        assert ended == {identity for identity in self.identities if self._is_owners(table, identity)}
        read = {each: await sent(plan, each, [target]) for each in self.identities if each not in ended}
        return {each: Counter(events(read.get(each, b""))) for each in self.identities}

    def _is_owners(self, table: str, identity: Identity) -> bool:
        return bool((self._owner.execute(OWNED, [identity.role, table]).fetchone() or (None,))[0])

    def _shown(self, table: str, identity: Identity) -> list[Record]:
        """Return what an identity selects; nothing if that fails, or if it is the table's owner."""
        found = self._owner.execute(COLUMNS, {"table": table, "role": identity.role}).fetchall()
        if not all(is_readable for _, is_key, is_readable in found if is_key) or self._is_owners(table, identity):
            return []
        columns = ", ".join(name for name, _, is_readable in found if is_readable)
        query = f"select row_to_json(r)::text from (select {columns} from {table}) r"
        try:
            with acting(self._owner, identity):
                return [parse(row) for (row,) in self._owner.execute(query.encode()).fetchall()]
        except psycopg.Error:
            return []


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda situation: situation.name)
async def test_what_each_role_is_sent_is_what_it_selects_after_each_step(
    regress: Owner, settings: Any, situation: Situation
) -> None:
    invoker = "security_invoker" if regress.info.server_version >= 150000 else "security_barrier"
    regress.execute(situation.setup.encode())
    for table in situation.tables:
        regress.execute("select ayb_realtime.enable_v1(%s)", [table])
    async with database.pool() as pool, await database.connect(conf.relay_database) as relay:
        await new_changes(relay)
        await queries.keep_before(relay, is_kept=True)
        script = Script(pool, relay, regress, settings)
        views = [await script.compare(table) for table in situation.tables]
        for step in situation.steps:
            regress.execute(step.replace("{invoker}", invoker).encode())
            await new_changes(relay)  # A step may write.
            views += [await script.compare(table) for table in situation.tables]
    # No rows, some, and others.
    assert len({frozenset(row[0] for row in rows) for view in views for rows in view.values()}) > 2


RECIPES = """
create table auth_user (id int primary key, is_staff boolean);
insert into auth_user values (1, false), (2, false), (3, true);
create table board_membership (team_id int, user_id int, primary key (team_id, user_id));
insert into board_membership values (1, 1), (2, 2);
create table board_card (id int primary key, owner_id int, team_id int, tenant text, title text, published boolean,
                         deleted_at date, touched int default 0);
insert into board_card values (1, 1, 1, 'north', 'a', false, null), (2, 2, 1, 'south', 'b', true, null),
                              (3, 1, 2, 'south', 'c', true, current_date), (4, 2, 2, 'north', 'd', false, null);
"""
READERS = [
    Identity("ayb_authenticated", (("ayb.user_id", str(key)), ("ayb.tenant", tenant)))
    for key, tenant in ((1, "north"), (2, "south"), (3, ""))
]
VISITOR = Identity("ayb_anonymous", (("ayb.user_id", ""), ("ayb.tenant", "")))
COOKBOOK = (Path(__file__).parents[3] / "docs" / "cookbook.md").read_text()
RECIPE = re.compile(r"^## (.+?)\n\n```python\n(.*?)```\n\n\| Ann .*?\n\|.*?\n\|(.*?)\|\n", re.DOTALL | re.MULTILINE)
FOUND = RECIPE.findall(COOKBOOK)
BEGINNING = re.findall(r"```python\n(.*?)```", COOKBOOK, re.DOTALL)[1]


@pytest.mark.parametrize(("code", "row"), [each[1:] for each in FOUND], ids=[name for name, *_ in FOUND])
async def test_recipe_of_the_cookbook_shows_what_its_table_says(
    regress: Owner, settings: Any, code: str, row: str
) -> None:
    names: dict[str, Any] = {}
    exec(BEGINNING + code, names)
    regress.execute(RECIPES.encode())
    for operation in names["operations"]:
        table = {"Card": "board_card", "Membership": "board_membership", "": "auth_user"}
        is_ours = isinstance(operation, TableOperation)
        for statement in operation.forwards(table[operation.model_name]) if is_ours else [operation.sql]:
            regress.execute(statement.encode())
    identities = [*READERS, VISITOR]
    async with database.pool() as pool, await database.connect("default") as relay:
        await new_changes(relay)
        await queries.keep_before(relay, is_kept=True)
        script = Script(pool, relay, regress, settings, identities)
        shown = await script.compare("board_card")
    keys = [", ".join(str(key) for key in sorted(int(dict(each)["id"]) for each in shown[who])) for who in identities]
    assert keys == [cell.strip() for cell in row.split("|")]
