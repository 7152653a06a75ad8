"""What the benchmarks count, and how they compare it with targets."""

import asyncio
import re
from collections.abc import Sequence
from pathlib import Path

from benchmarks import page
from benchmarks.client import Client, Turns
from benchmarks.events import STAMP, Event, EventReader
from benchmarks.parties import get
from benchmarks.report import Result, tables, target_table
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


def test_event_for_another_user_is_misdirected() -> None:
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


def test_figure_that_is_zero_for_all_has_no_column() -> None:
    figures = {"ours": {"paced: rate": 1.0, "paced: lost": 0.0}, "theirs": {"paced: rate": 2.0, "paced: lost": 0.0}}
    assert tables(figures) == [("paced", [["", "rate"], ["ours", "1"], ["theirs", "2"]])]

    figures["theirs"]["paced: lost"] = 3.0
    assert tables(figures) == [("paced", [["", "rate", "lost"], ["ours", "1", "0"], ["theirs", "2", "3"]])]


def test_the_page_names_an_older_postgresql_that_was_measured_too(tmp_path: Path) -> None:
    results = [Result("resume", {}, {"PostgreSQL": version}, "2026-11-27", 2) for version in ("18.6", "15.18")]

    page.write(tmp_path / "page.md", results)

    lines = (tmp_path / "page.md").read_text().splitlines()
    assert [line for line in lines if line.startswith("## ")] == ["## resume", "## resume, PostgreSQL 15"]
    assert "PostgreSQL 18.6" in lines


def test_subscribers_that_missed_events_are_named_with_the_ranges() -> None:
    tally = Tally(10, 6, subscribers=3, shared=True)
    tally.add(0, arrivals(10, 13, 14), at_ns=1_000_000)
    tally.add(1, arrivals(10, 11, 12, 13, 14, 15), at_ns=1_000_000)
    assert list(tally.missed()) == [(0, "11-12, 15"), (2, "10-15")]

    owners = Tally(10, 6, subscribers=2, shared=False)
    owners.add(1, arrivals(11), at_ns=1_000_000)
    assert list(owners.missed()) == [(0, "10-14"), (1, "13-15")]


def test_no_delivery_is_missed_where_all_have_arrived() -> None:
    tally = Tally(0, 2, subscribers=2, shared=False)
    tally.add(0, arrivals(0), at_ns=1_000_000)
    tally.add(1, arrivals(1), at_ns=1_000_000)
    assert list(tally.missed()) == []


def test_whole_events_are_found_wherever_what_is_received_is_cut() -> None:
    event = Event(7, 123).text().encode()
    begin = event.index(b'"stamp"')
    parts = (
        b"retry: 1500\nid: 4\nevent: connected\ndata: {}\n\nid: 5\ndata: ",
        event[: begin + 3],
        event[begin + 3 : begin + 12],
        event[begin + 12 :] + b"\n",
        b"\nid: 6\nevent: reset\ndata: {}\n\n",
    )
    sent = b"".join(b"%X\r\n%s\r\n" % (len(part), part) for part in parts)
    whole_at = len(sent) - len(parts[-1]) - 2 + 1

    for at in range(len(sent)):
        reader = EventReader()
        early, late = reader.read(sent[:at]), reader.read(sent[at:])
        assert early + late == [(b"7", b"123")], at
        assert bool(early) is (at >= whole_at), at
        assert (reader.last_id, reader.retry_seconds, reader.resets) == (b"6", 1.5, 1), at


async def test_a_client_comes_back_with_the_id_of_its_last_whole_event() -> None:
    came: list[int] = []
    arrived: list[tuple[bytes, bytes]] = []
    complete = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Send one whole event, and one that the end of the connection cuts off."""
        request = await reader.readuntil(b"\r\n\r\n")
        came.append(int(found[1]) if (found := re.search(rb"\r\nLast-Event-ID: (\d+)\r\n", request)) else 0)
        events = [b"id: %d\ndata: %s\n\n" % (n, Event(n, 123).text().encode()) for n in (came[-1] + 1, came[-1] + 2)]
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nretry: 1\n\n" + b"".join(events)[:-1])
        await writer.drain()
        writer.close()

    def receive(number: int, stamps: Sequence[tuple[bytes, bytes]]) -> None:
        arrived.extend(stamps)
        if arrived[-1][0] == b"3":
            complete.set()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        client = Client(0, get("/"), server.sockets[0].getsockname()[1], receive)
        staying = asyncio.create_task(client.stay(await client.open()))
        async with asyncio.timeout(30):
            await complete.wait()
        staying.cancel()

    assert came[:3] == [0, 1, 2]
    assert [number for number, _ in arrived] == [b"1", b"2", b"3"]


async def test_a_client_that_is_refused_gives_up_and_says_why() -> None:
    answers = [b"HTTP/1.1 200 OK\r\n\r\nretry: 1\n\n", b"HTTP/1.1 401 Unauthorized\r\n\r\n"]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answers.pop(0))
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        client = Client(0, get("/"), server.sockets[0].getsockname()[1], lambda number, stamps: None)
        async with asyncio.timeout(30):
            await client.stay(await client.open())

    assert (client.closed, "401" in client.refused) == (1, True)


async def test_connections_that_have_been_read_from_read_on_one_after_the_other() -> None:
    class Connection(asyncio.ReadTransport):
        """A transport that remembers whether it is read from."""

        reads = True

        def pause_reading(self) -> None:
            self.reads = False

        def resume_reading(self) -> None:
            self.reads = True

    turns, connections = Turns(), [Connection() for _ in range(3)]
    seen = []
    for connection in connections:
        turns.wait(connection)
    for _ in range(3):
        seen.append([connection.reads for connection in connections])
        await asyncio.sleep(0)  # a turn of the loop

    assert seen == [[False, False, False], [True, False, False], [True, True, False]]
    turns.wait(connections[0])
    assert [connection.reads for connection in connections] == [False, True, True]
    await asyncio.sleep(0)
    assert connections[0].reads
