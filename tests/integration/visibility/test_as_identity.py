"""Reading as a subscriber: a block's queries find what the stream would show, and no setting outlasts the block."""

from collections.abc import Iterator
from contextlib import suppress

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.core.exceptions import SynchronousOnlyOperation
from django.db import DatabaseError, connection, connections, transaction

from ayb_realtime.exceptions import RoleRefused
from ayb_realtime.identity import ANONYMOUS_ROLE, AUTHENTICATED_ROLE, Identity, identify
from ayb_realtime.visibility import as_identity
from example_project.blog.models import Post, User
from tests.integration.scenario import OWN, MakeTable, Owner, person


@pytest.fixture
def notes(owner: Owner, make_table: MakeTable) -> None:
    """Notes of two authors, who may see and write their own."""
    make_table("notes", "id int primary key, author text", policy=OWN)
    owner.execute("insert into notes values (1, '1'), (2, '2')")
    owner.execute("grant insert, update, delete on notes to ayb_authenticated")


def ids() -> list[int]:
    """Select the notes, on Django's connection."""
    with connection.cursor() as cursor:
        cursor.execute("select id from notes order by id")
        return [row_id for (row_id,) in cursor.fetchall()]


def write(row_id: int, author: str) -> None:
    """Insert a note, on Django's connection."""
    with connection.cursor() as cursor:
        cursor.execute("insert into notes values (%s, %s)", [row_id, author])


def acting() -> tuple[str, str]:
    """Return the current role and the user's id that policies see."""
    with connection.cursor() as cursor:
        cursor.execute("select current_setting('role'), coalesce(current_setting('ayb.user_id', true), '')")
        role, user_id = cursor.fetchall()[0]
        return role, user_id


NOBODY = ("none", "")


@pytest.mark.usefixtures("notes")
def test_what_is_written_in_a_block_is_kept_and_held_by_the_policies() -> None:
    with as_identity(person(1)):
        write(3, "1")
    assert ids() == [1, 2, 3]
    with pytest.raises(DatabaseError, match="row-level security"), as_identity(person(1)):
        write(4, "2")
    assert (ids(), acting()) == ([1, 2, 3], NOBODY)


@pytest.mark.usefixtures("notes")
def test_block_in_a_transaction_gives_back_the_role_and_the_settings_before_it() -> None:
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("select set_config('ayb.user_id', 'before', true)")
        with as_identity(person(2)):
            assert (ids(), acting()) == ([2], (AUTHENTICATED_ROLE, "2"))
        assert (ids(), acting()) == ([1, 2], ("none", "before"))
    assert acting() == NOBODY


@pytest.mark.usefixtures("notes")
def test_block_in_a_block_is_the_inner_identity_and_then_the_outer_again() -> None:
    of_another_role = Identity(ANONYMOUS_ROLE, (("ayb.org", "acme"),))
    with as_identity(person(1)):
        with as_identity(person(2)):
            assert ids() == [2]
        assert (ids(), acting()) == ([1], (AUTHENTICATED_ROLE, "1"))
        with as_identity(of_another_role):
            assert acting() == (ANONYMOUS_ROLE, "1")
        assert (ids(), acting()) == ([1], (AUTHENTICATED_ROLE, "1"))
    assert (ids(), acting()) == ([1, 2], NOBODY)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, GeneratorExit, StopIteration])
@pytest.mark.usefixtures("notes")
def test_block_that_raises_leaves_nothing_behind_in_the_transaction_around_it(error: type[BaseException]) -> None:
    with transaction.atomic():
        with suppress(error), as_identity(person(1)):
            write(3, "1")
            raise error
        assert (ids(), acting()) == ([1, 2], NOBODY)
        write(4, "the owner writes whatever they like")
    assert ids() == [1, 2, 4]


def write_twice_as(identity: Identity) -> None:
    """Insert an existing note, and ignore the error."""
    with as_identity(identity):
        write(3, "1")
        with suppress(DatabaseError):
            write(3, "1")


@pytest.mark.usefixtures("notes")
def test_error_of_the_database_that_a_block_keeps_to_itself_leaves_nothing_behind() -> None:
    with transaction.atomic():
        with pytest.raises(DatabaseError, match="transaction is aborted"):
            write_twice_as(person(1))
        assert (ids(), acting()) == ([1, 2], NOBODY)


@pytest.mark.usefixtures("notes")
def test_block_that_asks_to_be_rolled_back_is_and_leaves_nothing_behind() -> None:
    with transaction.atomic():
        with as_identity(person(1)):
            write(3, "1")
            transaction.set_rollback(True)
        assert (ids(), acting()) == ([1, 2], NOBODY)


@pytest.mark.usefixtures("notes")
def test_block_without_autocommit_gives_back_the_role() -> None:
    transaction.set_autocommit(False)
    try:
        with as_identity(person(2)):
            assert ids() == [2]
        assert (ids(), acting()) == ([1, 2], NOBODY)
    finally:
        transaction.rollback()
        transaction.set_autocommit(True)


def test_policy_that_leaves_the_role_is_found_out_and_what_was_written_is_undone(
    owner: Owner, make_table: MakeTable
) -> None:
    make_table("notes", "id int primary key", policy="set_config('role', 'none', true) = 'none'")
    make_table("log", "id int primary key")
    owner.execute("insert into notes values (1)")
    owner.execute("grant insert on log to ayb_authenticated")
    with transaction.atomic():
        with pytest.raises(RoleRefused, match=r"has changed the role.* ayb_authenticated"):
            write_and_read_as(person(1))
        assert acting() == NOBODY
    assert owner.execute("select count(*) from log").fetchone() == (0,)


def write_and_read_as(identity: Identity) -> None:
    """Log something, then read the notes."""
    with as_identity(identity), connection.cursor() as cursor:
        cursor.execute("insert into log values (1)")
        ids()


@pytest.mark.django_db
def test_block_in_a_test_case_follows_the_policies_of_the_orms_models() -> None:
    one, other = User.objects.create(email="one@example.com"), User.objects.create(email="other@example.com")
    mine = Post.objects.create(author=one, title="mine", published=False)
    shown = Post.objects.create(author=other, title="shown", published=True)
    Post.objects.create(author=other, title="hidden", published=False)
    with as_identity(identify(one)):
        assert set(Post.objects.all()) == {mine, shown}
    assert Post.objects.count() == 3
    assert acting() == NOBODY


@pytest.mark.usefixtures("notes")
async def test_asynchronous_code_reads_in_a_function_of_its_own() -> None:
    @as_identity(person(2))
    def read() -> list[int]:
        return ids()

    assert await sync_to_async(read)() == [2]
    assert (await sync_to_async(ids)(), await sync_to_async(acting)()) == ([1, 2], NOBODY)
    with pytest.raises(SynchronousOnlyOperation), as_identity(person(2)):
        pytest.fail("the block was entered")
    await sync_to_async(connections.close_all)()


@pytest.mark.usefixtures("notes")
def test_asynchronous_code_that_a_block_calls_reads_as_the_block_does() -> None:
    async def read() -> list[int]:
        return await sync_to_async(ids)()

    with as_identity(person(2)):
        assert async_to_sync(read)() == [2]


@pytest.mark.usefixtures("notes")
def test_role_is_named_as_it_is_written() -> None:
    no_role = Identity("AYB_AUTHENTICATED", ())
    with pytest.raises(RoleRefused, match='no role "AYB_AUTHENTICATED"'), as_identity(no_role):
        pytest.fail("the block was entered")


@pytest.fixture
def replica(notes: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The alias of a second database, which shares the first one's connection."""
    monkeypatch.setitem(connections.settings, "replica", dict(connections.settings["default"]))
    connection.ensure_connection()
    connections["replica"].connection = connection.connection
    yield "replica"
    del connections["replica"]


def test_query_on_another_database_is_refused_in_a_block(replica: str) -> None:
    with pytest.raises(RoleRefused, match=r"on the database 'default' alone.* for 'replica'"), as_identity(person(1)):
        list(User.objects.using(replica).all())
    assert (list(User.objects.using(replica).all()), ids(), acting()) == ([], [1, 2], NOBODY)
