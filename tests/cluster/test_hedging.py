from __future__ import annotations

from random import Random

from cluster.hedging import BURST, SEEN_MIN, HedgeBudget, Usual


def test_nothing_is_usual_until_enough_was_seen():
    usual = Usual()
    for _ in range(SEEN_MIN - 1):
        usual.add(0.01)
    assert usual.p95_s is None


def test_one_call_in_twenty_takes_longer_than_usual():
    usual, rng = Usual(), Random(1)
    for _ in range(4096):
        usual.add(rng.expovariate(100))
    assert usual.p95_s is not None
    late = sum(rng.expovariate(100) > usual.p95_s for _ in range(10_000))
    assert 0.03 < late / 10_000 < 0.08


def test_what_is_usual_follows_the_last_calls():
    usual = Usual()
    for took_s in [0.01] * 300 + [0.05] * 300:
        usual.add(took_s)
    assert usual.p95_s == 0.05


def test_hedges_stay_five_in_a_hundred_calls_however_late_all_are():
    budget, hedges = HedgeBudget(), 0
    for _ in range(10_000):
        budget.called()
        hedges += budget.take()
    assert 499 - BURST <= hedges <= 500


def test_a_quiet_time_saves_up_a_few_hedges_only():
    budget = HedgeBudget()
    for _ in range(10_000):
        budget.called()
    assert sum(budget.take() for _ in range(100)) == BURST
