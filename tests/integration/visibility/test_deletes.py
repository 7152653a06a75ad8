"""DELETE_VISIBILITY = "policy": who is sent a delete, or an update that hides a row from them."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from channels.layers import BaseChannelLayer

from ayb_realtime.conf import conf
from ayb_realtime.identity import Identity
from ayb_realtime.log import queries
from ayb_realtime.postgres import database
from tests.integration.scenario import OWN, MakeTable, Owner, Stream, World, person, relaying

Told = list[tuple[str, Any]]


GONE: Told = [("delete", {"id": 1})]


class Stage:
    """Writes, and returns what each identity was sent."""

    def __init__(self, world: World, watcher: Stream) -> None:
        self._world = world
        self._watcher = watcher

    async def told(self, write: str, *identities: Identity, table: str = "notes") -> list[Told]:
        """Run SQL in one transaction; return what each identity was sent, both live and in a replay."""
        after, _ = await self._mark()
        live = [await self._world.stream(identity, table, "marks") for identity in identities]
        self._world.write(write)
        _, mark = await self._mark()
        told = [await read_upto(stream, mark) for stream in live]
        again = [await self._world.stream(identity, table, "marks", after=after) for identity in identities]
        assert [await read_upto(stream, mark) for stream in again] == told
        return told

    async def _mark(self) -> tuple[int, Any]:
        """Write a mark and wait until it is delivered; return its position and the mark."""
        row = self._world.write("insert into marks default values returning id").fetchone()
        mark = {"id": row[0]} if row else None
        while (event := await self._watcher.next()).json()["record"] != mark:
            pass
        return int(event.id), mark


async def read_upto(stream: Stream, mark: object) -> Told:
    """Return the action and record of each change before a mark."""
    told = []
    while (change := await stream.next_change())["table"] != "marks" or change["record"] != mark:
        told.append((change["action"], change["record"]))
    return told


@pytest_asyncio.fixture
async def stage(world: World, settings: Any) -> AsyncIterator[Stage]:
    """A relay and a hub whose deletes follow the policies."""
    settings.AYB_REALTIME = {"DELETE_VISIBILITY": "policy"}
    world.table("marks", "id int generated always as identity primary key")
    async with world.relaying():
        yield Stage(world, await world.stream(person("watcher"), "marks"))
    world.write("select setval('ayb_realtime.keeps_before', 0)")


async def test_delete_is_told_to_whom_the_policy_showed_the_row(
    stage: Stage, owner: Owner, make_table: MakeTable
) -> None:
    make_table("notes", "id int primary key, author text, body text", policy=OWN)
    owner.execute("insert into notes values (1, '1', 'a'), (2, '2', 'b')")
    assert await stage.told("delete from notes", person(1), person(2), person(3)) == [
        [("delete", {"id": 1})],
        [("delete", {"id": 2})],
        [],
    ]


async def test_update_that_takes_a_row_out_of_view_is_a_delete_to_who_saw_it(
    stage: Stage, owner: Owner, make_table: MakeTable
) -> None:
    make_table("notes", "id int primary key, author text, body text", policy=OWN)
    owner.execute("insert into notes values (1, '1', 'a')")
    assert await stage.told("update notes set author = '2'", person(1), person(2), person(3)) == [
        GONE,
        [("update", {"id": 1, "author": "2", "body": "a"})],
        [],
    ]
    assert await stage.told("update notes set body = 'b'", person(1), person(2)) == [
        [],
        [("update", {"id": 1, "author": "2", "body": "b"})],
    ]


async def test_row_that_comes_into_view_is_an_update(stage: Stage, owner: Owner, make_table: MakeTable) -> None:
    make_table("notes", "id int primary key, author text", policy=OWN)
    owner.execute("insert into notes values (1, '1')")
    update = [("update", {"id": 1, "author": "2"})]
    assert await stage.told("update notes set author = '2'", person(2), person(3)) == [update, []]


TRANSACTIONS: dict[str, list[Told]] = {
    # What users 1, 2 and 3 are sent about row 1, which was user 1's.
    "delete from notes": [GONE, [], []],
    "update notes set author = '2'; delete from notes": [GONE, [], []],
    "update notes set author = '2'; update notes set author = '3'": [
        GONE,
        [],
        [("update", {"id": 1, "author": "3"})],
    ],
    "update notes set author = '2'; update notes set author = '1'": [[("update", {"id": 1, "author": "1"})], [], []],
    "delete from notes; insert into notes values (1, '2')": [GONE, [("update", {"id": 1, "author": "2"})], []],
    "delete from notes; insert into notes values (1, '2'); delete from notes": [GONE, [], []],
    "insert into notes values (2, '2'); update notes set author = '3' where id = 2; delete from notes where id = 2": [
        [],
        [],
        [],
    ],
    "insert into notes values (2, '2'); update notes set author = '3' where id = 2": [
        [],
        [],
        [("create", {"id": 2, "author": "3"})],
    ],
    "update notes set id = 2": [[*GONE, ("create", {"id": 2, "author": "1"})], [], []],
    "update notes set author = '2'; update notes set id = 2": [GONE, [("create", {"id": 2, "author": "2"})], []],
    "update notes set id = 3; insert into notes values (1, '2')": [
        [("create", {"id": 3, "author": "1"}), *GONE],
        [("update", {"id": 1, "author": "2"})],
        [],
    ],
}


@pytest.mark.parametrize("transaction", list(TRANSACTIONS))
async def test_transaction_is_told_by_the_row_as_it_found_it(
    stage: Stage, owner: Owner, make_table: MakeTable, transaction: str
) -> None:
    make_table("notes", "id int primary key, author text", policy=OWN)
    owner.execute("insert into notes values (1, '1')")
    assert await stage.told(transaction, person(1), person(2), person(3)) == TRANSACTIONS[transaction]


async def test_composite_key_is_all_that_is_sent_and_partitions_are_one_table(
    stage: Stage, owner: Owner, make_table: MakeTable
) -> None:
    columns = 'team int, "a ""b" text, author text, secret text, primary key ("a ""b", team)'
    make_table("notes", columns, policy=OWN, suffix="partition by list (team)")
    owner.execute("create table notes_1 partition of notes for values in (1)")
    owner.execute('create table notes_2 (secret text, author text, team int not null, "a ""b" text not null)')
    owner.execute("alter table notes attach partition notes_2 for values in (2)")
    # A partition that has rows when it is first seen is told by a reset.
    owner.execute("select ayb_realtime.announce_altered_v1()")
    owner.execute("insert into notes values (1, 'x', '1', 's'), (2, 'y', '1', 's'), (2, 'z', '2', 's')")
    write = "update notes_2 set author = '3'; delete from notes_1"
    assert await stage.told(write, person(1), person(2)) == [
        [
            ("delete", {'a "b': "y", "team": 2}),
            ("delete", {'a "b': "x", "team": 1}),
        ],
        [("delete", {'a "b': "z", "team": 2})],
    ]


async def test_policy_counts_as_it_and_what_it_reads_are_now(stage: Stage, owner: Owner, make_table: MakeTable) -> None:
    make_table("members", "person text primary key", enable=False)
    owner.execute("grant select on members to ayb_authenticated; insert into members values ('1'), ('2')")
    member = "exists (select from members where person = current_setting('ayb.user_id'))"
    make_table("notes", "id int primary key", policy=member)
    owner.execute("insert into notes values (1)")
    write = "delete from notes; delete from members where person = '2'"
    assert await stage.told(write, person(1), person(2)) == [GONE, []]


async def test_table_without_row_security_tells_all_who_may_read_it(
    stage: Stage, owner: Owner, make_table: MakeTable
) -> None:
    make_table("notes", "id int primary key")
    owner.execute("insert into notes values (1)")
    assert await stage.told("delete from notes", person(1), person(2)) == [GONE, GONE]


async def test_update_that_the_policy_fails_on_takes_the_row_away(
    stage: Stage, owner: Owner, make_table: MakeTable
) -> None:
    make_table("notes", "id int primary key, n text", policy="n::int > 0")
    owner.execute("insert into notes values (1, '1')")
    assert await stage.told("update notes set n = 'none'", person(1)) == [GONE]
    assert await stage.told("delete from notes", person(1)) == [[]]


@pytest.mark.parametrize(("inexact", "expected"), [("withhold", [[], []]), ("everyone", [GONE, GONE])])
async def test_delete_whose_viewers_are_unknown_goes_to_none_or_all(
    stage: Stage, owner: Owner, make_table: MakeTable, settings: Any, inexact: str, expected: list[Told]
) -> None:
    settings.AYB_REALTIME = {"DELETE_VISIBILITY": "policy", "INEXACT_DELETES": inexact}
    make_table("notes", "id int primary key, author text, about json", policy=f"{OWN} or about is null")
    owner.execute("insert into notes values (1, '1', 'null')")
    assert await stage.told("delete from notes", person(1), person(2)) == expected
    owner.execute("insert into notes values (1, '1', '{}')")
    assert await stage.told("delete from notes", person(1), person(2)) == [GONE, []]
    owner.execute(f"alter policy p on notes using ({OWN} and ctid is not null)".encode())
    owner.execute("insert into notes values (1, '1', '{}')")
    create = [("create", {"id": 2, "author": "1", "about": {}})]
    assert await stage.told("insert into notes values (2, '1', '{}')", person(1), person(2)) == [create, []]
    owner.execute("delete from notes where id = 2")
    update = [("update", {"id": 1, "author": "2", "about": {}})]
    assert await stage.told("update notes set author = '2'", person(1), person(2)) == [expected[0], update]
    assert await stage.told("delete from notes", person(1), person(2)) == expected


async def test_row_that_was_not_kept_is_withheld(stage: Stage, owner: Owner, make_table: MakeTable) -> None:
    make_table("notes", "id int primary key, author text", policy=OWN)
    owner.execute("insert into notes values (1, '1'), (2, '1')")
    owner.execute("select setval('ayb_realtime.keeps_before', 0)")
    assert await stage.told("delete from notes where id = 1; update notes set author = '2'", person(1)) == [[]]
    # If old rows are logged only from the middle of a transaction on, the row before it is still unknown.
    write = "update notes set author = '1'; select setval('ayb_realtime.keeps_before', 1); delete from notes"
    assert await stage.told(write, person(1), person(2)) == [[], []]


async def test_row_that_is_no_text_is_withheld_and_others_are_told(
    stage: Stage, owner: Owner, make_table: MakeTable
) -> None:
    make_table("notes", "id int primary key, author text, about json", policy=OWN)
    owner.execute("""insert into notes values (1, '1', '{}'), (2, '1', '"\\u0000"'), (3, '1', '{}')""")
    assert await stage.told("delete from notes", person(1)) == [[*GONE, ("delete", {"id": 3})]]


async def test_by_default_nothing_is_kept_and_deletes_are_everyones(
    stage: Stage, owner: Owner, make_table: MakeTable, settings: Any, memory_layer: BaseChannelLayer
) -> None:
    settings.AYB_REALTIME = {}
    async with await database.connect(conf.relay_database) as connection:
        await queries.keep_before(connection, False)
    make_table("notes", "id int primary key, author text", policy=OWN)
    owner.execute("insert into notes values (1, '1')")
    (newest,) = owner.execute("select max(id) from ayb_realtime.batch").fetchone() or [0]
    assert await stage.told("update notes set author = '2'; delete from notes", person(1), person(3)) == [GONE, GONE]
    kept = "select count(before), count(*) > 2 from ayb_realtime.change where relation = 'notes'::regclass"
    assert owner.execute(kept).fetchone() == (0, True)
    counts = "select count(first_change_ids), count(outcomes) from ayb_realtime.batch where id > %s"
    assert owner.execute(counts, [newest]).fetchone() == (0, 1)


async def test_relay_that_starts_says_whether_rows_are_kept(
    owner: Owner, memory_layer: BaseChannelLayer, settings: Any
) -> None:
    for visibility, expected in [("policy", 1), ("everyone", 0)]:
        settings.AYB_REALTIME = {"DELETE_VISIBILITY": visibility}
        async with relaying(memory_layer):
            assert owner.execute("select last_value from ayb_realtime.keeps_before").fetchone() == (expected,)


async def test_slow_policy_on_an_old_row_costs_only_its_own_stream_a_reset(
    stage: Stage, world: World, settings: Any
) -> None:
    settings.AYB_REALTIME = {"DELETE_VISIBILITY": "policy", "CHECK_TIMEOUT_SECONDS": 0.2}
    slow = "case when current_setting('ayb.user_id') = '5' then pg_sleep(60) is null else true end"
    world.table("notes", "id int primary key")
    world.write("insert into notes values (1)")
    world.write(f"create policy p on notes using ({slow})")
    world.write("alter table notes enable row level security")
    # The insert is delivered first.
    await stage.told("select")
    culprit = await world.stream(person(5), "notes")
    assert await stage.told("delete from notes", person(6)) == [GONE]
    assert (await culprit.next()).event == "reset"
