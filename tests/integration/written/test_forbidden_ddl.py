"""Where DDL is forbidden, a writer does without creating a shadow."""

from collections.abc import Callable, Iterator

import pytest

from tests.integration.scenario import MakeTable, Owner
from tests.integration.written.conftest import BODIES, Logged, make_cast, ran

FORBID = """
create function public.refuse() returns event_trigger language plpgsql as $$ begin raise 'no DDL'; end $$;
create event trigger refuse on ddl_command_start execute function public.refuse()
"""
ALLOW = "drop event trigger if exists refuse; drop function if exists public.refuse()"
IS_SUPERUSER = "select rolsuper from pg_roles where rolname = current_user"
# As which shadows are made.
CREATOR = "select proowner::regrole::text from pg_proc where oid = 'ayb_realtime.capture_v1'::regproc"


@pytest.fixture
def forbid(owner: Owner) -> Iterator[Callable[[bool], None]]:
    """Forbids DDL or allows it: by an event trigger, or else by a right on our schema."""
    forbidding, allowing = FORBID, ALLOW
    if owner.execute(IS_SUPERUSER).fetchone() != (True,):
        (creator,) = owner.execute(CREATOR).fetchone() or ("",)
        forbidding = f"revoke create on schema ayb_realtime from {creator}"
        allowing = f"grant create on schema ayb_realtime to {creator}"

    def forbid(forbids: bool) -> None:
        owner.execute((forbidding if forbids else allowing).encode())

    yield forbid
    owner.execute(allowing.encode())


WRITE = """
insert into notes values (1, E'"\\\\', 'in', '{in,null}', row(1, 'in'), 'out', '2026-02-07 22:00+00', '{"b": 1}', 'a');
insert into notes values (2);
update notes set body = 'y' where id = 1;
update notes set id = 3 where id = 1;
delete from notes
"""
ADDED = {
    "place": ("place", "in"),
    "places": ("place[]", ["in", None]),
    "pair": ("pair", "(1,in)"),  # an object if other writers have created a shadow of the composite type
    'a "value"': ("placed", "out"),
    "at": ("timestamptz", "2026-02-07T22:00:00+00:00"),
    "doc": ("json", {"b": 1}),
    "word": ("char(3)", "a  "),
}
FULL = {"body": '"\\', **{name: value for name, (_, value) in ADDED.items()}}
EMPTY = dict.fromkeys(FULL)


@pytest.fixture
def altered(owner: Owner, make_table: MakeTable, types: None) -> Iterator[None]:
    """A table that got new columns while it was streamed."""
    owner.execute("create type pair as (of_this_test int, place place)")
    make_table("notes", "id int primary key, body text")
    owner.execute("insert into notes values (0, 'x')")
    owner.execute("delete from notes")
    for name, (kind, _) in ADDED.items():
        quoted = name.replace('"', '""')
        owner.execute(f'alter table notes add column "{quoted}" {kind}'.encode())
    make_cast(owner, BODIES["raises"])
    yield
    owner.execute("drop type pair cascade")


@pytest.mark.usefixtures("altered")
def test_new_columns_are_logged_where_a_writer_may_not_create_their_shadow(
    owner: Owner, logged: Logged, forbid: Callable[[bool], None]
) -> None:
    forbid(True)
    logged()
    owner.execute(WRITE.encode())
    assert logged() == [
        ("create", {"id": 1, **FULL}),
        ("create", {"id": 2, **EMPTY}),
        ("update", {"id": 1, **FULL, "body": "y"}),
        ("delete", {"id": 1, **FULL, "body": "y"}),
        ("create", {"id": 3, **FULL, "body": "y"}),
        ("delete", {"id": 2, **EMPTY}),
        ("delete", {"id": 3, **FULL, "body": "y"}),
    ]
    assert not ran(owner)


@pytest.mark.usefixtures("altered")
def test_shadow_is_used_once_a_privileged_user_has_run_what_the_log_says(
    owner: Owner, logged: Logged, forbid: Callable[[bool], None]
) -> None:
    forbid(True)
    owner.execute("insert into notes values (1)")
    forbid(False)
    owner.execute("select ayb_realtime.make_check_function_v1('notes'::regclass, 'ayb_authenticated')")
    forbid(True)
    logged()
    owner.execute("insert into notes (id, pair) values (2, row(1, 'in'))")
    assert logged() == [("create", {"id": 2, **EMPTY, "pair": {"of_this_test": 1, "place": "in"}})]


@pytest.mark.usefixtures("types")
@pytest.mark.parametrize("suffix", ["", "partition by list (id)"])
def test_shadow_of_a_new_table_is_there_before_its_first_writer(
    owner: Owner, make_table: MakeTable, logged: Logged, forbid: Callable[[bool], None], suffix: str
) -> None:
    make_table("notes", "id int primary key, held held", suffix=suffix, enable=False)
    if suffix:
        owner.execute("create table notes_1 partition of notes default")
    owner.execute("select ayb_realtime.enable_v1('notes'::regclass)")
    forbid(True)
    owner.execute("insert into notes values (1, row(1, 'in'))")
    assert logged() == [("create", {"id": 1, "held": {"n": 1, "place": "in"}})]
