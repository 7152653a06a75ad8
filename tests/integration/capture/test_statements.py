"""Each kind of statement: every committed change is in the log, once, in order."""

import psycopg
import pytest
from psycopg import sql

from example_project.blog.models import Post, User
from tests.integration.capture.conftest import Logged, log_after, newest_id
from tests.integration.conftest import number
from tests.integration.scenario import MakeTable, Owner


def test_orm_writes_are_logged(logged: Logged) -> None:
    author = User.objects.create_user("reader@example.com", "correct horse")
    post = Post.objects.create(author=author, title="first")
    post.title = "second"
    post.save()
    Post.objects.bulk_create([Post(author=author, title="third")])
    Post.objects.filter(title="third").update(published=True)
    post.delete()
    changes = logged()
    assert [(action, record["title"], record["published"]) for action, record in changes] == [
        ("create", "first", False),
        ("update", "second", False),
        ("create", "third", False),
        ("update", "third", True),
        ("delete", "second", False),
    ]
    assert {record["author_id"] for _, record in changes} == {str(author.pk)}


def test_one_statement_logs_each_row(owner: Owner, make_table: MakeTable, logged: Logged) -> None:
    make_table("notes", "id int primary key, body text")
    owner.execute("insert into notes select n, 'x' from generate_series(1, 3) as n")
    owner.execute("update notes set body = 'y' where id > 1")
    owner.execute("delete from notes where id < 3")
    assert logged() == [
        *[("create", {"id": n, "body": "x"}) for n in (1, 2, 3)],
        *[("update", {"id": n, "body": "y"}) for n in (2, 3)],
        ("delete", {"id": 1, "body": "x"}),
        ("delete", {"id": 2, "body": "y"}),
    ]


def test_statement_that_hits_no_row_logs_nothing(owner: Owner, make_table: MakeTable, logged: Logged) -> None:
    make_table("notes", "id int primary key, body text")
    owner.execute("update notes set body = 'y'")
    owner.execute("delete from notes")
    assert logged() == []


def test_copy_is_logged(owner: Owner, make_table: MakeTable, logged: Logged) -> None:
    make_table("notes", "id int primary key, body text")
    with owner.cursor() as cursor, cursor.copy("copy notes from stdin") as copy:
        for n in range(100):
            copy.write_row((n, 'tab \t quote " newline \n'))
    assert logged() == [("create", {"id": n, "body": 'tab \t quote " newline \n'}) for n in range(100)]


def test_cascade_is_logged_for_each_table(owner: Owner, make_table: MakeTable, logged: Logged) -> None:
    make_table("threads", "id int primary key")
    make_table("replies", "id int primary key, thread int references threads on delete cascade on update cascade")
    owner.execute("insert into threads values (1)")
    owner.execute("insert into replies values (10, 1), (11, 1)")
    logged()
    owner.execute("delete from threads")
    assert logged() == [
        ("delete", {"id": 1}),
        ("delete", {"id": 10, "thread": 1}),
        ("delete", {"id": 11, "thread": 1}),
    ]


def test_upsert_logs_what_it_did(owner: Owner, make_table: MakeTable, logged: Logged) -> None:
    make_table("notes", "id int primary key, body text")
    upsert = "insert into notes values (1, %s) on conflict (id) do update set body = excluded.body"
    owner.execute(upsert, ["first"])
    owner.execute(upsert, ["second"])
    owner.execute("insert into notes values (1, 'third') on conflict do nothing")
    assert logged() == [("create", {"id": 1, "body": "first"}), ("update", {"id": 1, "body": "second"})]


def test_merge_logs_what_it_did(owner: Owner, make_table: MakeTable, logged: Logged) -> None:
    make_table("notes", "id int primary key, body text")
    owner.execute("insert into notes values (1, 'old'), (2, 'gone')")
    logged()
    owner.execute(
        "merge into notes using (values (1), (2), (3)) as v (id) on notes.id = v.id"
        " when matched and v.id = 2 then delete when matched then update set body = 'new'"
        " when not matched then insert values (v.id, 'made')"
    )
    assert logged() == [
        ("update", {"id": 1, "body": "new"}),
        ("delete", {"id": 2, "body": "gone"}),
        ("create", {"id": 3, "body": "made"}),
    ]


def test_rollback_leaves_nothing(owner: Owner, make_table: MakeTable, logged: Logged) -> None:
    make_table("notes", "id int primary key, body text")
    with owner.transaction():
        owner.execute("insert into notes values (1, 'never')")
        raise psycopg.Rollback
    assert logged() == []
    owner.execute("insert into notes values (1, 'after')")
    assert logged() == [("create", {"id": 1, "body": "after"})]


def test_rolled_back_savepoint_leaves_what_is_around_it(owner: Owner, make_table: MakeTable, logged: Logged) -> None:
    make_table("notes", "id int primary key, body text")
    with owner.transaction():
        owner.execute("insert into notes values (1, 'before')")
        with owner.transaction():
            owner.execute("insert into notes values (2, 'never')")
            owner.execute("update notes set body = 'never'")
            raise psycopg.Rollback
        with owner.transaction():
            owner.execute("insert into notes values (3, 'kept')")
    assert logged() == [("create", {"id": 1, "body": "before"}), ("create", {"id": 3, "body": "kept"})]


def test_savepoints_are_logged_under_their_transaction(owner: Owner, make_table: MakeTable) -> None:
    make_table("notes", "id int primary key")
    last_id = newest_id(owner)
    with owner.transaction():
        for n in range(3):
            with owner.transaction():
                owner.execute("insert into notes values (%s)", [n])
        row = owner.execute("select pg_current_xact_id()::text").fetchone()
    logged = owner.execute("select xid::text from ayb_realtime.change where id > %s", [last_id]).fetchall()
    assert logged == [row] * 3


def test_truncate_is_logged_once_for_each_table(owner: Owner, make_table: MakeTable) -> None:
    make_table("threads", "id int primary key")
    make_table("replies", "id int primary key, thread int references threads")
    owner.execute("insert into threads select generate_series(1, 10)")
    last_id = newest_id(owner)
    owner.execute("truncate threads cascade")
    assert sorted(log_after(owner, last_id)) == [("replies", "truncate", None), ("threads", "truncate", None)]


@pytest.mark.parametrize("characters", [8_000, 100_000, 5_000_000])
def test_row_of_any_size_is_logged_whole(owner: Owner, make_table: MakeTable, logged: Logged, characters: int) -> None:
    make_table("notes", "id int primary key, body text")
    body = "ä" * characters
    owner.execute("insert into notes values (1, %s)", [body])
    owner.execute("update notes set body = body")
    assert logged() == [("create", {"id": 1, "body": body}), ("update", {"id": 1, "body": body})]


def test_change_that_cannot_be_logged_is_not_made(owner: Owner, make_table: MakeTable, logged: Logged) -> None:
    make_table("notes", "id int primary key")
    refuse = sql.SQL("alter table ayb_realtime.change add constraint refuse check (action <> 'create') not valid")
    with owner.transaction(force_rollback=True):
        owner.execute(refuse)
        with pytest.raises(psycopg.errors.CheckViolation), owner.transaction():
            owner.execute("insert into notes values (1)")
        assert owner.execute("select count(*) from notes").fetchone() == (0,)
    assert logged() == []


def test_disabled_table_is_no_longer_logged(owner: Owner, make_table: MakeTable, logged: Logged) -> None:
    make_table("notes", "id int primary key")
    owner.execute("select ayb_realtime.disable_v1('notes')")
    owner.execute("insert into notes values (1)")
    owner.execute("truncate notes")
    assert logged() == []


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ("id int primary key, a json", {"create", "update", "delete"}),
        # To compare this key, the row has to be parsed.
        ("a json, id int primary key", {"create", "update", "delete", "truncate"}),
    ],
)
def test_row_that_is_nested_too_deeply_to_be_taken_apart_stops_neither_its_writer_nor_the_numbering(
    owner: Owner, make_table: MakeTable, columns: str, expected: set[str]
) -> None:
    make_table("notes", columns)
    nested = "(repeat('[', %s) || repeat(']', %s))::json"
    depth, step = 0, 1 << 16
    while step := step // 2:  # as deep as this session's stack allows
        try:
            owner.execute(f"select {nested}".encode(), [depth + step] * 2)
            depth += step
        except psycopg.errors.StatementTooComplex:
            pass
    last = newest_id(owner)
    for less in range(0, depth // 40, 10):
        try:
            owner.execute(f"insert into notes (id, a) select 1, {nested}".encode(), [depth - less] * 2)
        except psycopg.errors.StatementTooComplex:
            continue
        owner.execute("update notes set a = a; delete from notes")
    actions = {action for _, action, _ in log_after(owner, last)}
    assert actions == expected
    number(owner)
    behind = (
        "select count(*) from ayb_realtime.change where xid >="
        " (select pg_snapshot_xmax(snapshot) from ayb_realtime.batch order by id desc limit 1)"
    )
    assert owner.execute(behind).fetchone() == (0,)
