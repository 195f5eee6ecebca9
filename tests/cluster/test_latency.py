from __future__ import annotations

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
