from __future__ import annotations

from cluster import distributions
from cluster.distributions import SHARES, quantiles
from tests.cluster.histories import exchange, regional, run_of


def test_a_quantile_needs_ten_samples_beyond_it():
    found = dict(zip(SHARES, quantiles([float(at) for at in range(1000)]), strict=True))
    assert found[0.99] == 989
    assert found[0.995] is None
    assert found[0.01] == 9
    assert quantiles([5.0])[SHARES.index(0.5)] == 5
    assert set(quantiles([])) == {None}


def test_a_distribution_is_of_good_answers_only():
    [row] = distributions.latency([run_of(exchange(1, 20), exchange(2, 30), exchange(3, 99, outcome="failed"))])
    assert row[:5] == ["home-2011", "dublin", "global", "", 2]
    assert max(value for value in row[5:] if value is not None) < 31


def test_seconds_of_impact_are_those_of_the_worst_run():
    once = run_of(exchange(1, outcome="failed"), exchange(1.5, outcome="unknown"))
    twice = run_of(exchange(1, outcome="failed"), exchange(2.5, outcome="failed"), exchange(4))
    assert distributions.impact_s([once, twice]) == {("home-2011", "dublin", "global", ""): 2}


def test_the_course_by_endpoint_tells_regions_apart():
    run = run_of(exchange(0.5, 10), exchange(0.6, 30), regional(0.7, "virginia", outcome="failed"))
    rows = [row[2:] for row in distributions.course([run])]
    assert rows[1] == [0, "regional", "virginia", 0, 1, None]
    assert rows[0][:5] == [0, "global", "", 2, 0]
