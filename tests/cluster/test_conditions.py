"""Whether delays were added as asked, pair by pair."""

from __future__ import annotations

import pytest

from cluster import conditions
from cluster.history import Conditions, Exchange, PairDelay, Run
from cluster.metrics import RouterMetrics
from cluster.result import series

US, EU = "us-east-1", "eu-west-1"


def scrape(metrics: RouterMetrics) -> str:
    return metrics.render().decode()


def run(*delays: PairDelay) -> Run:
    ok = Exchange(US, "regional", EU, "verify", 0.0, 0.0, 0.075, "ok", EU, added_ms=70.0)
    return Run("nearest", 1, [ok], conditions=Conditions(0.9, 1.0, delays))


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
    assert conditions.invalid([run(good)], latency=True) == []
    (reason,) = conditions.invalid([run(good, bad)], latency=True)
    assert "delays from us-east-1 to eu-west-1 took up to 6 ms longer than asked (p99), 5 ms is allowed" in reason


def test_a_pair_with_few_delays_has_no_p99_to_judge():
    assert conditions.invalid([run(PairDelay(US, EU, 999, 35, 39, 6.0))], latency=True) == []


def test_delays_and_the_time_without_them_are_told_apart():
    tables = {table["name"]: table for table in series([run(PairDelay(US, EU, 1000, 35, 36, 2.0))])}
    assert tables["delays"]["rows"] == [["nearest", 1, US, EU, 1000, 35, 36, 2.0]]
    (row,) = tables["service"]["rows"]
    assert row[:6] == ["nearest", US, "regional", EU, 1, 5.0]
    assert row[-1] == 70.0


def test_hedges_are_read_from_the_routers_counter():
    metrics = RouterMetrics(dict)
    assert conditions.hedges(metrics.render().decode()) == 0
    metrics.hedges.inc(3)
    assert conditions.hedges(metrics.render().decode()) == 3
