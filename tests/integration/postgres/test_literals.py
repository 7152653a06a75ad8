"""Tables are enabled and written to, however the database is set to read literals."""

import pytest
from django.db import connections
from django.db.migrations.state import ProjectState

from ayb_realtime.hub.registry import close_hub, get_hub
from ayb_realtime.operations import EnableRealtime
from tests.integration.postgres.conftest import COLUMNS, ODD, SetDefault
from tests.integration.scenario import Owner, World, open_stream, person


async def test_writer_with_other_literals_updates_a_streamed_table(world: World, set_default: SetDefault) -> None:
    world.table("notes", COLUMNS)
    stream = await world.stream(person(1), "notes")
    body = 'C:\\users\\u0041 "quoted"'
    for name in ODD.keys() - {"default_transaction_read_only"}:
        world.write("select set_config(%s, %s, false)", [name, ODD[name]])
    async with world.relaying():
        world.table("letters", COLUMNS)
        world.write("insert into notes values (1, %s)", [body])
        assert (await stream.next_change())["action"] == "create"
        world.write("update notes set author = author || '.'")
        assert (await stream.next_change())["record"] == {"id": 1, "author": f"{body}."}
        world.write("update notes set id = 2")
        assert [(await stream.next_change())["action"] for _ in range(2)] == ["delete", "create"]


@pytest.mark.parametrize("conforming", ["on", "off"])
def test_table_with_a_backslash_in_its_name_is_enabled_however_literals_are_read(owner: Owner, conforming: str) -> None:
    owner.execute(r'create table "we\ird" (id int primary key)')
    connection = connections["default"]
    try:
        with connection.cursor() as cursor:
            cursor.execute(f"set standard_conforming_strings = {conforming}")
        with connection.schema_editor() as schema_editor:
            state = ProjectState()
            EnableRealtime(table=r'"we\ird"').database_forwards("blog", schema_editor, state, state)
        streamed = owner.execute("select name from ayb_realtime.streamed_tables_v1()").fetchall()
        assert (r"we\ird",) in streamed
    finally:
        owner.execute(r'drop table "we\ird"')


async def test_stream_and_its_guards_work_where_the_database_reads_literals_in_another_way(
    world: World, set_default: SetDefault
) -> None:
    for name, value in ODD.items():
        set_default(name, value)
    world.write("set standard_conforming_strings = off")
    world.write(
        "create function public.mine(who text) returns boolean language plpgsql immutable"
        " as $$ begin return who = current_setting('ayb.user_id'); end $$"
    )
    world.write(
        "create function public.sly(who text) returns boolean language plpgsql stable as"
        " $$ declare is_it boolean;"
        " begin execute 'select public.' || 'mi' || 'ne($1)' into is_it using who; return is_it; end $$"
    )
    world.table("notes", COLUMNS, policy="public.sly(author)")
    await close_hub()  # Its sessions began before the change.
    hub = await get_hub()
    try:
        relation = "select ayb_realtime.immutable_functions_v1('public.notes'::regclass)"
        assert world.write(relation).fetchone() == (["public.mine(text)"],)
        streams = [await open_stream(hub, person(n), "notes") for n in (1, 2)]
        async with world.relaying():
            world.write("insert into public.notes values (1, '1'), (2, '2')")
            assert [(await stream.next_change())["record"]["id"] for stream in streams] == [1, 2]
    finally:
        world.write("drop table public.notes; drop function public.sly(text); drop function public.mine(text)")
