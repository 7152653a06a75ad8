"""What the benchmark of scale reckons from measured parts."""

from itertools import pairwise

import pytest

from benchmarks.delays import delays, most_per_second, numbered, p95, punctual, written
from benchmarks.scale import FULL, Cost, Parts, Site, planned

PARTS = Parts(
    number=Cost(400, 20),
    message=Cost(5, 1),
    ask=Cost(600, 50),
    check=Cost(10, 2),
    hear=Cost(1000, 30),
    answer=Cost(1, 0.1),
    deliver=Cost(6, 1),
)


def test_a_change_costs_what_each_hub_asks_and_each_identity_and_stream_adds() -> None:
    assert Site(2, 100, "members").costs(PARTS) == pytest.approx(
        {"relay": 400, "Valkey": 10, "checks": 2 * (600 + 1000), "web": 2 * (1000 + 100 + 600)}
    )
    assert Site(2, 100, "open").costs(PARTS) == pytest.approx(
        {"relay": 400, "Valkey": 10, "checks": 2 * 600, "web": 2 * (1000 + 600)}
    )
    # Only one of the hubs asks, and about one identity.
    assert Site(2, 100, "owners").costs(PARTS) == pytest.approx(
        {"relay": 400, "Valkey": 10, "checks": 2 * 600 + 10, "web": 2 * 1000 + 1 + 6}
    )


def test_changes_together_share_what_a_slice_costs_unless_each_is_for_another_user() -> None:
    assert Site(1, 100, "members").database(PARTS, 11) == pytest.approx(600 + 10 * 50 + 100 * (10 + 10 * 2))
    assert Site(1, 100, "owners").database(PARTS, 11) == pytest.approx(600 + 10 * 50 + 11 * 10)


def test_hubs_hear_of_every_change_so_that_owners_are_limited_by_their_number() -> None:
    limits = [Site(hubs, 5000, "owners").limits(PARTS)["checks"] for hubs in (1, 10, 100)]

    assert limits[0] > 9 * limits[1] > 80 * limits[2]
    assert limits[2] == pytest.approx(16e6 / (100 * 600 + 10))


def test_changes_far_apart_take_the_sum_of_their_parts() -> None:
    site = Site(1, 100, "members")

    found = delays(PARTS, site, [1.0, 2.0, 3.0])

    alone = (400 + 600 + 1000 + 1000 + 100 + 600) / 1e6
    assert found == pytest.approx([alone] * 3)


def test_each_change_is_delivered_once_at_each_hub_that_shares_a_core() -> None:
    at = written(
        500,
        2,
    )

    assert len(delays(PARTS, Site(12, 100, "members", cores=4), at)) == 3 * len(at)
    assert len(delays(PARTS, Site(2, 100, "members", cores=4), at)) == len(at)


def test_hubs_that_hear_at_once_wait_for_each_other_at_the_database() -> None:
    one_each = delays(PARTS, Site(8, 100, "members", cores=8), [0.0])
    shared = delays(PARTS, Site(8, 100, "members", cores=1), [0.0])

    assert len(one_each) == 1
    assert [later - sooner for sooner, later in pairwise(shared)] == pytest.approx([1600 / 1e6] * 7)


def test_the_relay_numbers_together_what_came_meanwhile() -> None:
    done = numbered(Cost(1000, 100), [0.0, 0.001, 0.002, 1.0])

    assert done[0] == pytest.approx(0.001)
    assert done[1] == done[2] == pytest.approx(0.001 + 0.005 + 0.0011)
    assert done[3] == pytest.approx(1.001)


def test_more_than_is_possible_one_by_one_is_delivered_in_slices_and_later() -> None:
    site = Site(1, 500, "members")
    one_by_one = site.limits(PARTS)["web"]

    calm, busy = (p95(delays(PARTS, site, written(rate, 3))) for rate in (one_by_one / 10, one_by_one * 2))

    assert calm < busy < 0.1
    assert most_per_second(PARTS, site, 3, at_most=0.1) > 2 * one_by_one


def test_a_rate_that_is_too_late_at_once_is_none() -> None:
    assert most_per_second(PARTS, Site(1, 500, "members"), 3, at_most=0.001) == 0


def test_a_planned_site_is_not_full() -> None:
    site = planned(PARTS, "members", 1_000_000, 100)

    assert site.hubs * site.streams == pytest.approx(1_000_000)
    assert site.streams <= 5000
    # Ten slices a second, of ten changes that gather.
    assert site.use(PARTS, 100)["web"] == pytest.approx(10 * site.web(PARTS, 10) / 1e6)
    assert site.use(PARTS, 100)["checks"] == pytest.approx(10 * site.costs(PARTS, 10)["checks"] / 1e6 / site.cores)
    assert all(share <= FULL for share in site.use(PARTS, 100).values())


def test_what_one_valkey_is_used_grows_with_the_hubs() -> None:
    # 200 messages a second with ten changes each.
    assert [Site(hubs, 5000, "owners").use(PARTS, 2000)["Valkey"] for hubs in (1, 200)] == pytest.approx(
        [200 * 14 / 1e6, 200 * 200 * 14 / 1e6]
    )


def test_a_site_gets_cores_and_then_hubs_until_it_is_in_time() -> None:
    at = written(10, 2)
    late = planned(PARTS, "members", 100_000, 10)

    in_time = punctual(PARTS, late, at, at_most=0.05)

    assert p95(delays(PARTS, late, at)) > 0.05 >= p95(delays(PARTS, in_time, at))
    assert in_time.cores > late.cores
    assert in_time.hubs > late.hubs


def test_changes_come_at_random_at_their_rate_and_the_same_each_time() -> None:
    at = written(1000, 10)

    assert at == written(1000, 10)
    assert 9 < at[-1] < 11
    gaps = [later - sooner for sooner, later in pairwise(at)]
    assert max(gaps) > 4 * sum(gaps) / len(gaps) > 8 * min(gaps)
