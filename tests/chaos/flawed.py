"""Run the product with a flaw, to test that the checker finds it: ``python -m tests.chaos.flawed FLAW COMMAND ...``.

COMMAND is ``-m uvicorn ...`` or ``.../manage.py runrealtime``; each flaw removes one of the things that delivery
relies on. Only this module touches the product's internals.
"""

import os
import runpy
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from unittest.mock import patch

import django
import psycopg

NAIVE_TABLE = "create table if not exists public.chaos_naive (position bigint primary key, id bigint not null)"
NAIVE_NEXT = """
with numbered as (
    insert into public.chaos_naive (position, id)
    select (select coalesce(max(position), 0) from public.chaos_naive) + row_number() over (order by id), id
      from ayb_realtime.change
     where id > (select coalesce(max(id), 0) from public.chaos_naive)
    returning position, id
)
select position, relation::bigint, action, record::text, null
  from numbered join ayb_realtime.change using (id) order by position
"""
NAIVE_READ = """
select position, relation::bigint, action, record::text, null
  from public.chaos_naive join ayb_realtime.change using (id)
 where position > %s and position <= %s order by position
"""


def unfiltered() -> None:
    """Send every row without a check."""
    from ayb_realtime import visibility

    async def check(_: Any, __: Any, rows: Mapping[int, Any], identities: Sequence[Any], **___: Any) -> Any:
        return visibility.Answers([visibility.SharedView(dict.fromkeys(rows), identities)])

    patch.object(visibility, "check", check).start()


def unrepaired() -> None:
    """Take only what comes through the Channels layer."""
    from ayb_realtime.hub.hearing.feed import Feed

    async def skip(self: Any, *_: Any) -> None:
        self._skip_to(self._window.head)

    patch.object(Feed, "_fill_gap", skip).start()


def naive() -> None:
    """Number the changes with an id above the last: a transaction that began earlier and ends later is skipped."""
    from ayb_realtime.log import queries
    from ayb_realtime.log.changes import Announcement, Change

    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        connection.execute("select pg_advisory_lock(1)")
        connection.execute(NAIVE_TABLE)

    async def next_batch(connection: Any) -> Announcement | None:
        changes = [Change.from_row(row) for row in await (await connection.execute(NAIVE_NEXT)).fetchall()]
        return Announcement(changes[-1].position, tuple(changes)) if changes else None

    async def read(connection: Any, *, after: int, upto: int, skippable: object) -> list[Change]:
        return [Change.from_row(row) for row in await (await connection.execute(NAIVE_READ, [after, upto])).fetchall()]

    async def bounds(connection: Any) -> tuple[int, int]:
        cursor = await connection.execute("select coalesce(max(position), 0) from public.chaos_naive")
        return 0, (await cursor.fetchone())[0]

    patch.multiple(queries, next_batch=next_batch, read=read, bounds=bounds).start()


FLAWS: dict[str, Callable[[], None]] = {"unfiltered": unfiltered, "unrepaired": unrepaired, "naive": naive}


def main() -> None:
    """Apply the flaw, and run the command."""
    _, flaw, *command = sys.argv
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "example_project.settings")
    django.setup()
    FLAWS[flaw]()
    if command[0] == "-m":
        sys.argv = command[1:]
        runpy.run_module(command[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = command
        runpy.run_path(command[0], run_name="__main__")


if __name__ == "__main__":
    main()
