from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest

from cluster import latency
from cluster.topology import RoundTrip


def round_trips(trip: RoundTrip, seed: int, count: int = 20_000) -> list[float]:
    link, rng = latency.link(trip, local=False), Random(seed)
    return sorted(latency.one_way_ms(link, rng) + latency.one_way_ms(link, rng) for _ in range(count))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("trip", [RoundTrip(69.6, 74.6), RoundTrip(219.6, 230.3), RoundTrip(178.5, 185.9)])
def test_round_trips_have_the_tables_percentiles(seed, trip):
    drawn = round_trips(trip, seed)
    assert drawn[len(drawn) // 2] == pytest.approx(trip.p50_ms, rel=0.005)
    assert drawn[len(drawn) * 9 // 10] == pytest.approx(trip.p90_ms, rel=0.01)


def test_spikes_are_rare_and_bounded():
    trip = RoundTrip(70, 75)
    drawn = round_trips(trip, 1, 50_000)
    spikes = [value for value in drawn if value > trip.p50_ms + 19 and value > drawn[len(drawn) * 99 // 100]]
    assert 20 < len([value for value in spikes if value > 110]) < 500
    assert drawn[-1] < 70 + 2 * latency.SPIKE_MS_MAX + 100


def test_within_a_region_the_delay_is_constant():
    link, rng = latency.link(RoundTrip(5.5, 9.3), local=True), Random(1)
    assert {latency.one_way_ms(link, rng) for _ in range(100)} == {2.75}


def test_a_seed_draws_the_same_delays_again():
    assert round_trips(RoundTrip(70, 75), 7, 50) == round_trips(RoundTrip(70, 75), 7, 50)


def test_no_message_arrives_before_it_was_sent():
    link, rng = latency.link(RoundTrip(1.0, 500.0), local=False), Random(3)
    assert min(latency.one_way_ms(link, rng) for _ in range(1000)) >= 0


def test_a_path_shifts_for_minutes_by_ten_to_forty_milliseconds_and_comes_back():
    shift = latency.PathShift(Random(3))
    course = [shift.ms(second) for second in range(200_000)]
    assert course[0] == 0.0
    shifted = [ms for ms in course if ms]
    assert 10 <= min(shifted) < max(shifted) <= 40
    # In the long run 180 of 1,080 seconds.
    assert len(shifted) / len(course) == pytest.approx(1 / 6, rel=0.2)
    changes = sum(a != b for a, b in pairwise(course))
    assert 200_000 / changes == pytest.approx(540, rel=0.2)


def test_shifts_are_of_directions_between_places_and_a_seed_repeats_them():
    pairs = [("us-east-1", "eu-west-1"), ("eu-west-1", "us-east-1"), ("us-east-1", "us-east-1")]
    first, again = (latency.shifts(pairs, 5) for _ in range(2))
    assert set(first) == set(pairs[:2])
    told = [[shifts[pair].ms(second) for second in range(5000)] for shifts in (first, again) for pair in pairs[:2]]
    assert told[:2] == told[2:]
    assert told[0] != told[1]
