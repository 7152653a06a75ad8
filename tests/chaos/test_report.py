"""The table, and the files that are written and read back."""

import math
from pathlib import Path

from tests.chaos.checker import LEAKED, LOST, Finding, Verdict
from tests.chaos.history import Event, Membership, Transaction, Write, read_events, split_text
from tests.chaos.report import Report
from tests.chaos.subscribers import Parser
from tests.chaos.truth import Truth


def test_each_fault_lasts_until_the_next() -> None:
    report = Report([(10, "Redis killed"), (20, "web process killed"), (30, "Redis killed")])
    report.add(Verdict([Finding(LOST, 5, ""), Finding(LEAKED, 35, "")], [(12, 0.5), (31, 2.0), (19, 4.0)], [21]))
    none, redis, web = report.lines.values()
    assert (none.times, none.found[LOST]) == (0, 1)
    assert (redis.times, redis.deliveries, redis.silence, redis.found[LEAKED]) == (2, 3, 2.0, 1)
    assert (web.times, web.deliveries, web.resets) == (1, 0, 1)
    # Committed before the fault, and held up by it.
    assert web.silence == 4.0


def test_table_ends_with_the_sum_of_all_runs() -> None:
    transaction = Transaction("t", 1, 2, (Write("posts", 1, 1, "create", "a", "all", 0),))
    total, second = Report([(0, "Redis killed")]), Report([(0, "relay killed")])
    total.add_truth(Truth([transaction]))
    second.add(Verdict([Finding(LOST, 1, "")], [(1, 2.25)]))
    total.merge(second)
    cells = [cell.strip() for cell in list(total.table())[-1].strip("|").split("|")]
    assert cells == ["all", "2", "1", "1", "0", "1", "0", "0", "0", "0", "2.2 s"]


def test_histories_come_back_as_they_were(tmp_path: Path) -> None:
    write = Write("posts", 1, 2, "update", "w1-2", "team 3", 0.5)
    for transaction in (
        Transaction("a", 1.5, 2.5, (write,)),
        Transaction("b", 1, math.inf, (), (Membership(1, "u", True),)),
    ):
        assert Transaction.from_line(transaction.to_line()) == transaction
    events = [Event(1.5, 7, "change", "create", "posts", 3, "w1-2", 4), Event(2.5, 8, "connected")]
    lines = [event.to_line() for event in events]
    assert list(read_events([*lines, '[3.5, 9, "chan'])) == events


def test_text_without_a_version_has_version_zero() -> None:
    assert split_text("w1-2 17") == ("w1-2", 17)
    assert split_text("A draft by third") == ("A draft by third", 0)


def test_events_are_read_across_chunks() -> None:
    parser = Parser()
    assert list(parser.feed(b'retry: 2000\nid: 7\nevent: connected\ndata: {"a":')) == []
    assert list(parser.feed(b"1}\n\n: heartbeat\n\nid: 8\nda")) == [
        {"retry": "2000", "id": "7", "event": "connected", "data": '{"a":1}'}
    ]
    assert list(parser.feed(b"ta: {}\n\n")) == [{"id": "8", "data": "{}"}]
