"""Whether delays were added as asked, pair by pair."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cluster import conditions
from cluster.history import Conditions, Exchange, PairDelay, Run
from cluster.metrics import RouterMetrics
from cluster.result import series
from cluster.topology import RoundTrip

US, EU = "us-east-1", "eu-west-1"


def scrape(metrics: RouterMetrics) -> str:
    return metrics.render().decode()


def run(*delays: PairDelay, **links: Any) -> Run:
    ok = Exchange(US, "regional", EU, "verify", 0.0, 0.0, 0.075, "ok", EU, added_ms=70.0)
    return Run("nearest", 1, [ok], conditions=Conditions(0.9, 1.0, delays, **links))


def invalid(*runs: Run, latency: bool = True) -> list[str]:
    far, near = RoundTrip(200, 210), RoundTrip(30, 40)
    return conditions.invalid(runs, latency=latency, between={(US, EU): far, (EU, US): near})


def test_asked_and_achieved_delays_of_a_pair_are_those_between_two_scrapes():
    metrics = RouterMetrics(dict)
    for _ in range(50):  # warm-up, late
        metrics.delay_requested.labels(US, EU).observe(0.035)
        metrics.delay_error.labels(US, EU).observe(0.09)
    before = scrape(metrics)
    for late_s in (0.0008, 0.0008, 0.0008, 0.0036):
        metrics.delay_requested.labels(US, EU).observe(0.035)
        metrics.delay_error.labels(US, EU).observe(late_s)
    metrics.delay_requested.labels(EU, EU)  # known and never used
    _, (pair,) = conditions.delays(before, scrape(metrics))
    assert (pair.location, pair.region, pair.messages) == (US, EU, 4)
    assert pair.asked_ms_mean == pytest.approx(35)
    assert pair.achieved_ms_mean == pytest.approx(36.5)
    assert pair.error_ms_p99 == pytest.approx(4)


def test_one_bad_pair_makes_a_run_invalid_though_all_together_are_well():
    good, bad = PairDelay(US, US, 9000, 2.7, 3.5, 2.0), PairDelay(US, EU, 1000, 35, 39, 6.0)
    assert invalid(run(good)) == []
    (reason,) = invalid(run(good, bad))
    assert "delays from us-east-1 to eu-west-1 took up to 6 ms longer than asked (p99), 5 ms is allowed" in reason


def test_a_pair_with_few_delays_has_no_p99_to_judge():
    assert invalid(run(PairDelay(US, EU, 999, 35, 39, 6.0))) == []


@pytest.mark.parametrize(
    ("pair", "error_ms", "allowed"),
    [((US, EU), 20, True), ((US, EU), 25, False), ((EU, US), 5, True), ((EU, US), 6, False)],
)
def test_messages_between_nodes_may_be_late_by_a_tenth_of_a_round_trip_or_by_5_ms(pair, error_ms, allowed):
    late = run(link_delays=(PairDelay(*pair, 1000, 100, 103, error_ms), PairDelay(*pair, 999, 100, 150, 60)))
    said = invalid(late)
    assert (said == []) == allowed
    assert all(f"between the nodes of {pair[0]} and {pair[1]} took up to {error_ms} ms longer" in one for one in said)
    assert invalid(late, latency=False) == []


def test_all_messages_between_nodes_together_may_be_late_by_what_the_nearest_pair_may():
    assert invalid(run(link_error_ms_p99=5.0)) == []
    (reason,) = invalid(run(link_error_ms_p99=6.0))
    assert "between nodes, delays took up to 6 ms longer than asked (p99), 5 ms is allowed" in reason


def test_what_pairs_say_is_not_said_again_of_all_together():
    late = PairDelay(US, EU, 1000, 35, 70, 31.0)
    one = run(late, link_error_ms_p99=31.0, link_delays=(late,))
    one = replace(one, conditions=replace(one.conditions, delay_error_ms_p99=31.0))
    assert [reason.partition(" took")[0] for reason in invalid(one)] == [
        "nearest, seed 1: delays from us-east-1 to eu-west-1",
        "nearest, seed 1: delays between the nodes of us-east-1 and eu-west-1",
    ]


def test_delays_and_the_time_without_them_are_told_apart():
    links = (PairDelay(EU, US, 9, 36, 37, 3.0),)
    one = run(PairDelay(US, EU, 1000, 35, 36, 2.0), link_error_ms_p99=3.0, link_delays=links)
    tables = {table["name"]: table for table in series([one])}
    assert tables["delays between nodes"]["rows"] == [["nearest", 1, EU, US, 9, 36, 37, 3.0]]
    assert tables["conditions"]["rows"] == [["nearest", 1, 0.9, 1.0, 3.0, 0.0]]
    assert tables["delays"]["rows"] == [["nearest", 1, US, EU, 1000, 35, 36, 2.0]]
    (row,) = tables["service"]["rows"]
    assert row[:6] == ["nearest", US, "regional", EU, 1, 5.0]
    assert row[-1] == 70.0


def test_hedges_are_read_from_the_routers_counter():
    metrics = RouterMetrics(dict)
    assert conditions.hedges(metrics.render().decode()) == 0
    metrics.hedges.inc(3)
    assert conditions.hedges(metrics.render().decode()) == 3
