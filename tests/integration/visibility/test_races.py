"""A row that a user could never see is never sent to them while rows change owners fast, live and in replay."""

import asyncio
import math
import random
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
import pytest
from httpx_sse import ServerSentEvent

from ayb_realtime.conf import conf
from ayb_realtime.hub.hub import Hub
from ayb_realtime.log import queries
from ayb_realtime.postgres import database
from tests.integration.scenario import Owner, Stream, World, person, subscribed

ROWS = 40
WRITERS = 4
# Two readers resume so often from old positions, and read so many events; each time, every writer flips so many rows.
RESUMES = 12
READ = 20
FLIPS = 250

# A row passes from one reader to the other, to neither, and back. Its content says whom it is for.
NEXT_READER = """
create function next_reader(text) returns text language sql immutable
as $$ select case $1 when '1' then '2' when '2' then 'nobody' else '1' end $$
"""
# Decided by a column of the row itself, and by one of another table.
OWN = "reader = current_setting('ayb.user_id')"
SHARED = "exists (select from readers r where r.letter = letters.id and r.person = current_setting('ayb.user_id'))"

# Each flip is a transaction.
FLIP = f"""
do $$
declare
    now_for text;
    place int;
begin
    for n in 1 .. {FLIPS} loop
        place := 1 + floor(random() * {ROWS});
        if n % 2 = 0 then
            update notes set reader = next_reader(reader), content = 'for ' || next_reader(reader) || ', ' || n
             where id = place;
        else
            update readers set person = next_reader(person) where letter = place returning person into now_for;
            update letters set content = 'for ' || now_for || ', ' || n where id = place;
        end if;
        commit;
    end loop;
end
$$
"""
END = "the end"


def write(database_url: str, resumes: threading.Semaphore) -> None:
    """Flip rows over a separate connection; after each flip write something for the third reader, who sees no flip."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        for _ in range(2 * RESUMES):
            resumes.acquire()
            connection.execute(FLIP.encode())
            connection.execute("update notes set content = 'for 3, ' || now() where id = 0")


@dataclass
class Reader:
    """A user who reads both tables. seen: how many events, so far."""

    the_hub: Hub
    name: str
    seen: int = 0

    async def read(self, after: int, at_most: float = math.inf) -> None:
        """Read events after a position, to the last one or this many; if the stream ends, resume."""
        limit = self.seen + at_most
        is_over = False
        while not is_over:
            subscriber = await subscribed(self.the_hub, person(self.name), "notes", "letters", after=after)
            stream = Stream(subscriber)
            try:
                while not is_over:
                    event = await stream.next()
                    after = int(event.id)
                    is_over = self._take(event) or self.seen >= limit
            except StopAsyncIteration:
                continue
            finally:
                self.the_hub.leave(subscriber)

    def _take(self, event: ServerSentEvent) -> bool:
        """Count an event, which must be for this reader; return whether it is the last."""
        assert event.event == "message", event
        content = event.json()["record"]["content"]
        assert content.startswith(f"for {self.name}, "), event
        self.seen += 1
        return bool(content.endswith(END))

    async def resume_again_and_again(self, begin: int, resumes: threading.Semaphore) -> None:
        """Resume from random old positions, and read a little each time, while the writers write."""
        chance = random.Random(self.name)
        for _ in range(RESUMES):
            resumes.release(WRITERS)
            await self.read(chance.randint(begin, max(begin, self.the_hub.position)), READ)


@pytest.fixture
def next_reader(owner: Owner) -> Iterator[None]:
    """The function that returns for whom a row is next."""
    owner.execute(NEXT_READER)
    yield
    owner.execute("drop function next_reader")


def make_rows(world: World) -> None:
    """Make the tables, and fill them with rows that are for nobody yet."""
    world.table("readers", "letter int primary key, person text", enable=False)
    world.table("notes", "id int primary key, reader text, content text", policy=OWN)
    world.table("letters", "id int primary key, content text", policy=SHARED)
    world.write("grant select on readers to ayb_authenticated")
    rows = "generate_series(1, %s) n"
    world.write(f"insert into readers select n, 'nobody' from {rows}", [ROWS])
    world.write(f"insert into notes select n, 'nobody', 'for nobody' from {rows}", [ROWS])
    world.write("insert into notes values (0, '3', 'for 3, from the beginning')")
    world.write(f"insert into letters select n, 'for nobody' from {rows}", [ROWS])


@pytest.mark.usefixtures("next_reader")
async def test_content_reaches_only_those_who_could_see_it_while_rows_flip(world: World, database_url: str) -> None:
    make_rows(world)
    async with await database.connect(conf.relay_database) as connection:
        begin = await queries.head(connection)
    async with world.relaying():
        live = [Reader(world.hub, name) for name in ("1", "2", "3")]
        again = [Reader(world.hub, name) for name in ("1", "2")]
        # Each check is also for many identities who see nothing, so that rows flip during it.
        for n in range(50):
            await world.subscriber(person(f"bystander {n}"), "notes", "letters")
        resumes = threading.Semaphore(0)
        writing = asyncio.gather(*[asyncio.to_thread(write, database_url, resumes) for _ in range(WRITERS)])
        try:
            async with asyncio.TaskGroup() as reading:
                for reader in live:
                    reading.create_task(reader.read(begin))
                await asyncio.gather(*[reader.resume_again_and_again(begin, resumes) for reader in again])
                await writing
                for name in ("1", "2", "3"):
                    world.write("insert into notes values (-%s, %s, %s)", [int(name), name, f"for {name}, {END}"])
        finally:
            resumes.release(2 * RESUMES * WRITERS)
            await writing
        replayed = [Reader(world.hub, name) for name in ("1", "2", "3")]
        for reader in replayed:
            await reader.read(begin)

    flips = (
        "select count(distinct xid) from ayb_realtime.change where relation in ('notes'::regclass, 'letters'::regclass)"
    )
    assert (world.write(flips).fetchone() or [0])[0] >= 20_000
    assert all(reader.seen > ROWS for reader in (*live[:2], *replayed[:2]))
    assert all(reader.seen > 2 * RESUMES for reader in (live[2], replayed[2]))
    assert all(reader.seen == RESUMES * READ for reader in again)
