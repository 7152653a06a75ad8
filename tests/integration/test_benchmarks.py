"""A small run of a benchmark, ours beside the baseline. No time is judged."""

from benchmarks.workloads import fanout

PARTIES = ("ours, --serve (Daphne)", "bare ASGI, uvicorn")


def test_a_quick_fanout_delivers_every_event_once_and_in_order() -> None:
    figures = fanout.run(quick=True, names=PARTIES)

    assert set(figures) == set(PARTIES)
    for party in PARTIES:
        for mode, events in (("20 paced", 20), ("20 at once", 10)):
            counts = {name: figures[party][f"{mode}: {name}"] for name in ("delivered", "lost", "repeated", "inverted")}
            assert counts == {"delivered": events * 20, "lost": 0, "repeated": 0, "inverted": 0}, (party, mode)
        assert figures[party]["20 paced: deliveries per CPU-s"] > 0
    # The baseline has no Postgres. What ours uses in so short a run may be less than a tick of the clock.
    assert figures[PARTIES[1]]["20 paced: database % of CPU"] == 0
