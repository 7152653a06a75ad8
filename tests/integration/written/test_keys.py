"""Keys are found, whatever the row holds."""

from tests.integration.scenario import MakeTable, Owner
from tests.integration.written.conftest import Logged


def test_key_is_found_among_escapes_of_each_kind(owner: Owner, make_table: MakeTable, logged: Logged) -> None:
    make_table("notes", "id text primary key, a json, b text")
    keys = ["\x01", "\\u0001", "\\", "\\\\u", "a\\u0000", "\x1f\\", '"\\u"']
    for value in (r'"\u0000"', r'{"\\u0000": "\\\u0000\ud800"}', r'"A\\"'):
        for key in keys:
            owner.execute("insert into notes values (%s, %s, %s)", [key, value, "\x01\\u"])
        owner.execute("update notes set b = '\\'")
        owner.execute("update notes set id = id || 'x'")
        assert [action for action, _ in logged()] == [
            *["create"] * len(keys),
            *["update"] * len(keys),
            *["delete", "create"] * len(keys),
        ]
        owner.execute("delete from notes")
        logged()
