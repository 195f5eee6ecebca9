from __future__ import annotations

import pytest

from cluster import distributions
from cluster.distributions import SHARES, convergence_times, quantiles
from cluster.history import Event, Revocation, Run
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


FIRST = Event("partition", "tokyo to lima", 10.0, 10.1)
HEAL = Event("heal", "", 75.0, 75.1)


def times(*events: Event, sent_at: float, refused_at: float) -> list[tuple[str, float]]:
    """Of a revocation of Virginia that was acknowledged 20 ms after it was sent, and refused in Dublin then."""
    one = Revocation("virginia", sent_at, sent_at, sent_at + 0.02, "ok", False, {"dublin": refused_at}, {})
    return [(said, round(ms, 6)) for said, ms in convergence_times(Run("p", 1, (), events, revocations=[one]))]


@pytest.mark.parametrize(
    "cut",
    [
        Event("partition", "virginia and dublin", 45.0, 45.1),
        Event("partition", "dublin and virginia", 45.0, 45.1),
        Event("partition", "virginia to dublin", 45.0, 45.1),
        Event("isolate", "virginia", 45.0, 45.1),
        Event("isolate", "dublin", 45.0, 45.1),
        Event("isolate", "", 45.0, 45.1),
    ],
    ids=lambda cut: f"{cut.action} {cut.region}",
)
def test_what_could_not_pass_a_cut_is_timed_from_its_heal(cut):
    assert times(FIRST, cut, HEAL, sent_at=60, refused_at=76.5) == [("after heal", 1500)]
    assert times(FIRST, cut, HEAL, sent_at=74.97, refused_at=75.1) == [("after heal", 100)]
    assert times(FIRST, cut, HEAL, sent_at=44.9, refused_at=75.1) == [("after heal", 100)], "held by the cut"
    assert times(FIRST, cut, HEAL, sent_at=60, refused_at=61) == [], "by way of another region"
    assert times(FIRST, cut, HEAL, sent_at=74.99, refused_at=75.1) == [], "acknowledged after the heal"
    assert times(FIRST, cut, HEAL, sent_at=80, refused_at=80.1) == []
    assert times(FIRST, cut, HEAL, sent_at=5, refused_at=5.1) == [("healthy", 100)]


@pytest.mark.parametrize(
    "cut",
    [
        Event("partition", "dublin to virginia", 45.0, 45.1),
        Event("partition", "virginia and tokyo", 45.0, 45.1),
        Event("isolate", "tokyo", 45.0, 45.1),
        Event("slow", "virginia and dublin", 45.0, 45.1),
    ],
    ids=lambda cut: f"{cut.action} {cut.region}",
)
def test_what_was_on_its_way_over_an_open_link_is_no_matter_of_a_heal(cut):
    assert times(FIRST, cut, HEAL, sent_at=74.97, refused_at=75.1) == []


def test_a_cut_ends_with_the_heal_of_its_link_and_not_with_that_of_another_one_or_of_a_region():
    cut = Event("partition", "virginia and dublin", 45.0, 45.1)
    others = Event("heal", "virginia and tokyo", 62.0, 62.1), Event("heal", "virginia", 63.0, 63.1)
    assert times(FIRST, cut, *others, HEAL, sent_at=60, refused_at=76) == [("after heal", 1000)]
    own = Event("heal", "dublin and virginia", 64.0, 64.1)
    assert times(FIRST, cut, *others, own, HEAL, sent_at=60, refused_at=76) == [("after heal", 12000)]
    again = Event("isolate", "dublin", 66.0, 66.1)
    assert times(FIRST, cut, own, again, HEAL, sent_at=70, refused_at=76) == [("after heal", 1000)]
    assert times(FIRST, cut, own, HEAL, sent_at=70, refused_at=76) == []
    assert times(FIRST, cut, sent_at=70, refused_at=76) == [], "never healed"
