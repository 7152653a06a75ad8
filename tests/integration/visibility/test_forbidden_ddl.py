"""A database in which the hub may not create the functions that check tables."""

import pytest

from tests.integration.scenario import OWN, World, person

MAKE = "ayb_realtime.make_check_function_v1"
# As if an event trigger forbids DDL: existing functions are found.
FORBIDDEN = """
create function ayb_realtime.make_check_function_v1(relation oid, role name) returns text language plpgsql as $$
declare
    made constant text := (select c.name from ayb_realtime.check_function_v1(relation, role) c);
begin
    if to_regproc('ayb_realtime.' || made) is null then
        raise exception 'no DDL';
    end if;
    return made;
end
$$
"""


async def test_function_that_the_hub_may_not_make_is_made_by_what_the_log_says(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.table("notes", "id int primary key, author text", policy=OWN)
    world.write(f"alter function {MAKE} rename to aside")
    world.write(FORBIDDEN)
    try:
        stream = await world.stream(person(1), "notes")
        async with world.relaying():
            world.write("insert into notes values (1, '1')")
            assert (await stream.next()).event == "reset"
            *_, remedy = next(text for text in caplog.messages if "no DDL" in text).partition("functions there: ")
            world.write(remedy.replace(MAKE, "ayb_realtime.aside"))
            world.write("insert into notes values (2, '1')")
            assert (await stream.next_action())[1] == {"id": 2, "author": "1"}
    finally:
        world.write(f"drop function {MAKE}")
        world.write("alter function ayb_realtime.aside rename to make_check_function_v1")
