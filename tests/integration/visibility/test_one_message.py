"""The usual check is one message; whatever fails in it is checked in a transaction, with the same answer."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import psycopg
import pytest
import pytest_asyncio
from psycopg_pool import AsyncConnectionPool

from ayb_realtime.exceptions import NeedsTransaction
from ayb_realtime.hub.delivering import planning
from ayb_realtime.log.changes import Action, Change
from ayb_realtime.postgres import database, tables
from ayb_realtime.visibility import Answers, OneMessage, one_message, shortlist, transactions
from ayb_realtime.visibility.identities import IdentitiesByRole
from tests.integration.scenario import OWN, USER, MakeTable, Owner, person
from tests.integration.visibility.conftest import sent, within_a_message

PEOPLE = IdentitiesByRole.of(person(n) for n in range(1, shortlist.FEW + 5))
COLUMNS = "id int primary key, author text"
# A switch that policies read: what was known of a table stays true when it is turned.
SWITCH = "create table switch (state text); grant select on switch to public; insert into switch values ('')"
MISBEHAVE = """
create function misbehave() returns boolean language plpgsql as $$
begin
    if current_setting('ayb.user_id') = '2' then
        case (select state from switch)
            when 'raises' then raise exception 'no';
            when 'names what is missing' then perform no_such_function();
            when 'sleeps' then perform pg_sleep(60);
            when 'ends its session' then perform pg_terminate_backend(pg_backend_pid());
            when 'catches its timeout' then
                begin perform pg_sleep(60); exception when query_canceled then loop end loop; end;
            else null;
        end case;
    end if;
    return true;
end $$
"""


class Delivery:
    """Delivers changes of the table ``notes`` to PEOPLE.

    outcomes: of each message so far, whether its answers counted.
    messages: how many were sent for checks.
    """

    def __init__(self, pool: AsyncConnectionPool[Any], owner: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
        self.outcomes: list[bool] = []
        self.messages = 0
        self.pool, self._owner, self._monkeypatch = pool, owner, monkeypatch
        self._count()

    def _count(self) -> None:
        check, results = OneMessage.check, transactions.results

        async def noted_check(*args: Any) -> Answers:
            try:
                answers = await check(*args)
            except NeedsTransaction:
                self.outcomes.append(False)
                raise
            self.outcomes.append(True)
            return answers

        async def counted_results(*args: Any) -> Any:
            self.messages += 1
            return await results(*args)

        self._monkeypatch.setattr(OneMessage, "check", noted_check)
        self._monkeypatch.setattr(transactions, "results", counted_results)

    async def both(self, record: str = '{"id":1,"author":"1"}') -> list[bytes]:
        """Deliver an update, and again in a transaction; assert that both are the same; return what each is sent."""
        chunks = await self.once(record)
        with self._monkeypatch.context() as patch:
            patch.setattr(OneMessage, "about", lambda *args: None)
            assert await self.once(record) == chunks
        return chunks

    async def once(self, record: str = '{"id":1,"author":"1"}') -> list[bytes]:
        """Deliver an update of a row that was logged like this; return what each is sent."""
        ((relation,),) = self._owner.execute("select 'notes'::regclass::oid::int8").fetchall()
        change = Change(1, relation, Action.UPDATE, record)
        plan = await planning.plan_delivery(self.pool, [change], {relation: PEOPLE})
        async with self.pool.connection() as connection:
            notes = [table for table in await tables.streamed(connection) if table.relation == relation]
        return [await sent(plan, who, notes) for who in PEOPLE]


@pytest_asyncio.fixture
async def delivery(owner: Owner, settings: Any, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Delivery]:
    """A delivery over a pool of one connection."""
    settings.AYB_REALTIME = {"POOL_SIZE": 1}
    async with database.pool() as pool:
        yield Delivery(pool, owner, monkeypatch)


def told(chunks: Sequence[bytes]) -> list[int]:
    """Return the numbers of the people who were sent something."""
    return [n for n, chunk in enumerate(chunks, start=1) if chunk]


@pytest.mark.parametrize(
    ("policy", "who"),
    [
        ("", range(1, len(PEOPLE) + 1)),
        (OWN, [1]),
        (f"author = {USER} or id = {USER}::int - 3", [1, 4]),
        ("exists (select from members m where m.name = current_setting('ayb.user_id'))", [3, 5]),
        ("false", []),
    ],
)
async def test_usual_check_is_one_message(
    owner: Owner, make_table: MakeTable, delivery: Delivery, policy: str, who: Sequence[int]
) -> None:
    make_table("members", "name text primary key", enable=False)
    owner.execute("insert into members values ('3'), ('5'); grant select on members to public")
    make_table("notes", COLUMNS, policy=policy)
    owner.execute("insert into notes values (1, '1')")
    first = await delivery.both()
    before = delivery.messages
    assert await delivery.once() == first
    assert (delivery.outcomes, delivery.messages) == ([True], before + 1)
    assert told(first) == list(who)


@pytest.mark.usefixtures("reading_hub")
async def test_row_that_has_another_owner_by_now_is_for_that_one(
    owner: Owner, make_table: MakeTable, delivery: Delivery
) -> None:
    make_table("notes", COLUMNS, policy=OWN)
    owner.execute("insert into notes values (1, '1')")
    await delivery.both()
    owner.execute("update notes set author = '2'")
    assert told(await delivery.both()) == [2]
    assert delivery.outcomes == [False]
    owner.execute("delete from notes")
    assert told(await delivery.both()) == []
    assert delivery.outcomes == [False, True]


@pytest.mark.parametrize(
    "state", ["raises", "names what is missing", "sleeps", "ends its session", "catches its timeout"]
)
async def test_policy_that_misbehaves_is_answered_in_a_transaction(
    owner: Owner, make_table: MakeTable, delivery: Delivery, settings: Any, state: str
) -> None:
    settings.AYB_REALTIME = {"CHECK_TIMEOUT_SECONDS": 1}
    owner.execute(SWITCH.encode())
    owner.execute(MISBEHAVE.encode())
    try:
        make_table("notes", COLUMNS, policy="misbehave()")
        owner.execute("insert into notes values (1, '1')")
        await delivery.both()
        await delivery.both()
        owner.execute("update switch set state = %s", [state])
        others = [n for n in range(1, len(PEOPLE) + 1) if n != 2]
        try:
            chunks = await delivery.once()
        except psycopg.OperationalError:
            # A connection that is lost once may be the database's fault: the hub delivers the same changes again.
            assert state == "ends its session"
            chunks = await delivery.once()
        assert [n for n in told(chunks) if n != 2] == others
        assert delivery.outcomes == [True, False]
        # The policy's session has ended, or is idle.
        assert owner.execute(
            "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
            " and backend_type = 'client backend' and state <> 'idle'"
        ).fetchone() == (0,)
    finally:
        owner.execute("drop table notes; drop table switch; drop function misbehave()")


async def test_table_that_is_locked_is_left_to_a_transaction_at_once(
    owner: Owner, make_table: MakeTable, delivery: Delivery, database_url: str, settings: Any
) -> None:
    settings.AYB_REALTIME = {"CHECK_TIMEOUT_SECONDS": 1}
    make_table("notes", COLUMNS, policy=OWN)
    owner.execute("insert into notes values (1, '1')")
    await delivery.both()
    with psycopg.connect(database_url) as migration:
        migration.execute("lock table notes in access exclusive mode")
        assert told(await delivery.once()) == []
    assert delivery.outcomes == [False]


@pytest.mark.parametrize("table", ["notes", "members"])
async def test_tables_are_locked_when_the_snapshot_is_taken(
    owner: Owner,
    make_table: MakeTable,
    delivery: Delivery,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    table: str,
) -> None:
    make_table("members", "name text primary key", enable=False)
    owner.execute("insert into members values ('3'); grant select on members to public")
    make_table("notes", COLUMNS, policy="exists (select from members m where m.name = current_setting('ayb.user_id'))")
    owner.execute("insert into notes values (1, '1')")
    await delivery.both()

    async def alter() -> None:
        with psycopg.connect(database_url) as migration, pytest.raises(psycopg.errors.LockNotAvailable):
            migration.execute(f"lock table {table} in access exclusive mode nowait".encode())
        altered.append(table)

    altered: list[str] = []
    within_a_message(monkeypatch, owner, alter)
    assert told(await delivery.once()) == [3]
    assert (altered, delivery.outcomes) == ([table], [True])


SETTINGS = "select name, setting from pg_settings union select 'user', current_user"
OPEN = "select xact_start is null, state = 'idle' from pg_stat_activity where pid = %s"
LOCKS = "select count(*) from pg_locks where pid = %s"


@pytest.mark.parametrize("fails", [False, True])
async def test_message_leaves_nothing_behind_on_its_connection(
    owner: Owner, make_table: MakeTable, delivery: Delivery, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    make_table("notes", COLUMNS, policy=OWN)
    owner.execute("insert into notes values (1, '1')")
    async with delivery.pool.connection() as connection:
        before = await (await connection.execute(SETTINGS)).fetchall()
        pid = connection.info.backend_pid
    await delivery.both()
    if fails:
        monkeypatch.setattr(one_message, "CURRENT_VALUES", "select 1 / 0, %s, %s, %s")
    assert told(await delivery.both()) == [1]
    assert delivery.outcomes == [not fails]
    assert owner.execute(OPEN, [pid]).fetchone() == (True, True)
    assert owner.execute(LOCKS, [pid]).fetchone() == (0,)
    async with delivery.pool.connection() as connection:
        # Those of PL/pgSQL have come since.
        assert set(before) <= set(await (await connection.execute(SETTINGS)).fetchall())
        assert connection.info.backend_pid == pid
