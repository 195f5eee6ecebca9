from __future__ import annotations

from random import Random

import pytest

from cluster.shedding import SHARE_MIN, Shedding


def windows(shedding: Shedding, count: int, middle_s: float, calls: int = 50, failed: float = 0.0) -> list[float]:
    """The shares after so many windows of calls around `middle_s`."""
    rng, shares = Random(1), []
    for _ in range(count):
        for index in range(calls):
            shedding.add(rng.uniform(0.8, 1.2) * middle_s, failed=index < failed * calls)
        shares.append(shedding.tick())
    return shares


def known() -> Shedding:
    shedding = Shedding()
    assert windows(shedding, 5, 0.01) == [1.0] * 5
    return shedding


def test_a_region_that_slows_down_loses_half_of_its_share_every_window():
    assert windows(known(), 3, 0.1) == [0.5, 0.25, 0.125]


def test_the_share_never_falls_to_nothing():
    assert windows(known(), 9, 0.1)[-1] == SHARE_MIN


def test_a_region_that_recovers_gets_its_share_back_step_by_step():
    shedding = known()
    windows(shedding, 2, 0.1)
    assert windows(shedding, 5, 0.01) == pytest.approx([0.45, 0.65, 0.85, 1.0, 1.0])


def test_a_share_with_few_calls_stays_until_there_are_enough_or_nobody_has_called_for_long():
    shedding = known()
    windows(shedding, 3, 0.1)
    assert windows(shedding, 3, 0.1, calls=2) == [0.125, 0.125, SHARE_MIN]
    assert windows(shedding, 6, 0.1, calls=0) == pytest.approx([SHARE_MIN] * 5 + [SHARE_MIN + 0.2])


def test_a_few_times_slower_is_not_ill_and_neither_is_a_hiccup():
    shedding = known()
    assert windows(shedding, 3, 0.02) == [1.0] * 3
    for index in range(50):
        shedding.add(3.0 if index == 7 else 0.01, failed=False)
    assert shedding.tick() == 1.0


def test_what_always_was_slow_is_usual():
    assert windows(Shedding(), 10, 0.5) == [1.0] * 10


def test_what_stays_slow_becomes_usual_after_minutes():
    shedding = known()
    shares = windows(shedding, 160, 0.1)
    assert (max(shares[:149]), shares[-1]) == (0.5, 1.0)


def test_few_calls_prove_nothing():
    assert windows(known(), 3, 0.5, calls=19) == [1.0] * 3


def test_more_than_a_tenth_of_failures_sheds_too():
    assert windows(known(), 2, 0.01, failed=0.3) == [0.5, 0.25]
    assert windows(known(), 2, 0.01, failed=0.08) == [1.0, 1.0]
