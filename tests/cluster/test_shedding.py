from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest

from cluster.shedding import REST_S_MAX, SHARE_MIN, Shedding, judge


class Region:
    """A region and its clock. Every second brings so many calls of about `took_s`, and then a judgement."""

    def __init__(self) -> None:
        self.shedding, self.now, self.rng = Shedding(), 1000.0, Random(1)

    def seconds(
        self, count: int, took_s: float, calls: int = 25, failed: float = 0.0, others: float = 1.0
    ) -> list[float]:
        """The shares after each of so many seconds."""
        shares = []
        for _ in range(count):
            for index in range(calls):
                at = self.now + (index + 1) / calls
                self.shedding.add(self.rng.uniform(0.8, 1.2) * took_s, at, failed=index < failed * calls)
            self.now += 1.0
            shares.append(self.shedding.tick(self.now, others))
        return shares


def known() -> Region:
    region = Region()
    assert region.seconds(11, 0.01) == [1.0] * 11
    return region


def test_a_region_that_turns_slow_gets_the_inverse_of_how_slow_it_is_and_soon_next_to_nothing():
    shares = known().seconds(4, 0.1)
    assert shares[0] == pytest.approx(0.1, rel=0.3)
    assert shares[1] == pytest.approx(0.01, rel=0.5)
    assert shares[2:] == [SHARE_MIN] * 2


def test_what_was_sent_before_a_cut_says_nothing_about_the_share_after_it():
    region = known()
    (cut,) = region.seconds(1, 0.1)
    for _ in range(30):
        region.shedding.add(1.5, region.now + 1.0, failed=False)
    region.now += 1.0
    assert region.shedding.tick(region.now) == cut


def test_a_region_whose_slow_calls_alone_are_slow_loses_half_of_its_share_every_window():
    region, shares = known(), []
    for _ in range(3):
        for index in range(50):
            region.shedding.add(0.3 if index < 10 else 0.01, region.now + 1.0, failed=False)
        region.now += 2.0
        shares.append(region.shedding.tick(region.now))
    assert shares == [0.5, 0.25, 0.125]


def test_a_region_that_recovers_gets_its_share_back_step_by_step():
    region = known()
    region.seconds(5, 0.1)
    shares = region.seconds(12, 0.01)
    assert shares == sorted(shares)
    assert shares[0] == SHARE_MIN
    assert shares[-1] == 1.0
    assert all(after - before <= 0.2 + 1e-9 for before, after in pairwise(shares))


def test_deep_checks_alone_bring_a_region_back_that_nobody_calls():
    region = known()
    region.seconds(5, 0.1)
    assert region.seconds(2, 0.1, calls=2)[-1] == SHARE_MIN
    assert region.seconds(20, 0.01, calls=2)[-1] == 1.0


def test_without_anything_to_judge_a_share_stays_for_twelve_seconds():
    region = known()
    region.seconds(3, 0.1)
    shares = region.seconds(13, 0.0, calls=0)
    assert shares[:11] == [SHARE_MIN] * 11
    assert shares[-1] == pytest.approx(SHARE_MIN + 0.2)


def test_one_that_is_well_for_deep_checks_alone_is_tried_ever_more_rarely():
    region, tried = known(), []
    for second in range(600):
        share = region.shedding.share
        region.seconds(1, 0.1 if share >= 0.1 else 0.01, calls=25 if share >= 0.1 else 3)
        if region.shedding.share > share:
            tried.append(second)
    rests = [after - before for before, after in pairwise(tried)]
    assert rests[0] < 10
    assert REST_S_MAX <= max(rests[-3:]) <= REST_S_MAX + 10
    assert len(tried) < 20


def test_after_half_a_minute_in_health_the_next_illness_rests_as_the_first_one():
    region = known()
    for _ in range(4):
        region.seconds(3, 0.1)
        region.seconds(1, 0.01)
        while region.shedding.share < 0.1:
            region.seconds(1, 0.01)
    region.seconds(120, 0.01)
    region.seconds(3, 0.1)
    assert region.seconds(5, 0.01)[-1] > 0.1


def test_a_few_times_slower_is_not_ill_and_neither_is_a_hiccup():
    region = known()
    assert region.seconds(6, 0.02) == [1.0] * 6
    for index in range(50):
        region.shedding.add(3.0 if index == 7 else 0.01, region.now + 3.0, failed=False)
    region.now += 3.0
    assert region.shedding.tick(region.now) == 1.0


def test_what_always_was_slow_is_usual():
    assert Region().seconds(20, 0.5) == [1.0] * 20


def test_what_stays_slow_becomes_usual_after_minutes():
    region = known()
    shares = region.seconds(330, 0.1)
    assert max(shares[1:299]) < 0.25
    assert shares[-1] == 1.0


def test_few_calls_prove_nothing_until_there_are_enough_of_them():
    region = known()
    for _ in range(19):
        region.shedding.add(0.5, region.now + 2.0, failed=True)
    region.now += 2.0
    assert region.shedding.tick(region.now) == 1.0
    region.shedding.add(0.5, region.now + 1.0, failed=True)
    region.now += 1.0
    assert region.shedding.tick(region.now) < 0.1


def test_more_than_a_tenth_of_failures_sheds_by_how_many_fail():
    assert known().seconds(2, 0.01, failed=0.4)[-1] == pytest.approx(0.25)
    assert known().seconds(2, 0.01, failed=0.12)[-1] == 0.5
    assert known().seconds(2, 0.01, failed=0.08)[-1] == 1.0
    assert known().seconds(1, 0.01, failed=1.0) == [pytest.approx(0.1)]


def test_what_makes_all_regions_slow_is_no_reason_to_leave_one():
    assert known().seconds(3, 0.1, others=10.0) == [1.0] * 3
    assert known().seconds(1, 0.1, others=1.2)[0] < 0.2
    assert known().seconds(1, 1.0, others=10.0)[0] == pytest.approx(0.1, rel=0.3)


@pytest.mark.parametrize(("slow", "left"), [(("a",), ("a",)), (("a", "b", "c"), ())])
def test_regions_are_compared_with_each_other(slow, left):
    regions = {name: known() for name in ("a", "b", "c")}
    for name, region in regions.items():
        for index in range(50):
            region.shedding.add(0.1 if name in slow else 0.01, region.now + 1.0 + index / 100, failed=False)
    sheddings = {name: region.shedding for name, region in regions.items()}
    judge(sheddings, 1013.0)
    assert {name for name, one in sheddings.items() if one.share < 1.0} == {*left}


def test_how_long_a_call_usually_takes_is_known_after_some_windows():
    assert Region().shedding.usual_s == 0.0
    assert known().shedding.usual_s == pytest.approx(0.01, rel=0.1)
