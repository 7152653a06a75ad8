"""What the benchmarks count, and how they judge it."""

from benchmarks.events import STAMP, Event, StampReader
from benchmarks.report import tables, target_table
from benchmarks.tally import Tally
from benchmarks.targets import Target, ratio


def arrivals(*numbers: int) -> list[tuple[bytes, bytes]]:
    """Return stamps as the load generator finds them, each written at 1,000,000 ns."""
    return [(str(n).encode(), b"1000000") for n in numbers]


def test_everything_arrived_in_order_is_no_fault() -> None:
    tally = Tally(10, 3, subscribers=2, shared=True)

    for subscriber in (0, 1):
        tally.add(subscriber, arrivals(10, 11, 12), at_ns=3_000_000)

    figures = tally.figures()
    assert tally.is_complete
    assert figures["delivered"] == 6
    assert [figures[name] for name in ("lost", "repeated", "inverted", "misdirected")] == [0, 0, 0, 0]
    assert figures["p50 ms"] == 2


def test_lost_repeated_and_inverted_events_are_counted_apart() -> None:
    tally = Tally(0, 5, subscribers=1, shared=True)

    tally.add(0, arrivals(0, 2, 1, 2), at_ns=1_000_000)

    figures = tally.figures()
    assert not tally.is_complete
    assert (figures["delivered"], figures["lost"], figures["repeated"], figures["inverted"]) == (3, 2, 1, 1)


def test_an_event_of_another_round_does_not_count() -> None:
    tally = Tally(5, 2, subscribers=1, shared=True)

    tally.add(0, arrivals(4, 5, 7), at_ns=1_000_000)

    assert (tally.figures()["delivered"], tally.figures()["lost"]) == (1, 1)


def test_an_event_for_somebody_else_is_misdirected() -> None:
    tally = Tally(0, 4, subscribers=2, shared=False)

    tally.add(0, arrivals(0, 1, 2), at_ns=1_000_000)

    figures = tally.figures()
    assert (figures["delivered"], figures["lost"], figures["misdirected"]) == (2, 2, 1)


def test_the_stamp_is_found_in_the_bytes_that_each_party_sends() -> None:
    event = Event(7, 123)

    for written in (event.text(), event.text().replace('":', '": '), event.text().replace('":', '" : ')):
        found = STAMP.search(written.encode())
        assert found is not None
        assert found.groups() == (b"7", b"123")


def test_a_target_says_whether_it_is_reached_and_what_was_not_measured() -> None:
    figures = {"ours": {"rate": 6.0}, "theirs": {"rate": 4.0}}
    reached, missed = Target("a", ratio("rate", "ours", "theirs"), 1.5), Target("b", ratio("rate", "ours", "theirs"), 2)
    unknown = Target("c", ratio("rate", "ours", "nobody"), 1)

    rows = target_table([reached, missed, unknown], figures)[1:]

    assert [row[2:] for row in rows] == [["1.50", "yes"], ["1.50", "**no**"], ["not measured", "—"]]


def test_what_is_zero_for_everybody_has_no_column() -> None:
    figures = {"ours": {"paced: rate": 1.0, "paced: lost": 0.0}, "theirs": {"paced: rate": 2.0, "paced: lost": 0.0}}
    assert tables(figures) == [("paced", [["", "rate"], ["ours", "1"], ["theirs", "2"]])]

    figures["theirs"]["paced: lost"] = 3.0
    assert tables(figures) == [("paced", [["", "rate", "lost"], ["ours", "1", "0"], ["theirs", "2", "3"]])]


def test_stamps_are_found_wherever_what_is_received_is_cut() -> None:
    event = Event(7, 123).text().encode()
    begin = event.index(b'"stamp"')
    sent = (
        b"57\r\n"
        + event[: begin + 3]
        + b"\r\n1F\r\n"
        + event[begin + 3 : begin + 12]
        + b"\r\n7\r\n"
        + event[begin + 12 :]
    )
    assert STAMP.search(sent) is None

    for at in range(len(sent)):
        reader = StampReader()
        assert reader.read(sent[:at]) + reader.read(sent[at:]) == [(b"7", b"123")], at
