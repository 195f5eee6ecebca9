from __future__ import annotations

from random import Random

import pytest

from cluster.outlier import RegionHealth, candidates

ORDER = ("us-east-1", "eu-west-1", "ap-southeast-1")


def up() -> RegionHealth:
    health = RegionHealth()
    health.check("good", 0.0)
    return health


def test_three_bad_checks_take_a_region_down_and_two_good_ones_bring_it_back():
    health = up()
    states = []
    for check in ("bad", "silent", "bad", "good", "good"):
        health.check(check, 1.0)
        states.append(health.up)
    assert states == [True, True, False, False, True]


def test_one_good_check_between_forgives_the_bad_ones():
    health = up()
    for check in ("bad", "bad", "good", "bad", "bad"):
        health.check(check, 1.0)
    assert health.up


def test_a_region_that_never_answered_is_down_at_once_and_up_at_once():
    health = RegionHealth()
    health.check("silent", 0.0)
    assert not health.up
    health.check("good", 1.0)
    assert health.up


def test_five_gateway_failures_in_a_row_eject_for_five_seconds():
    health = up()
    for _ in range(4):
        health.request(10.0, gateway=True)
    assert health.available(10.0)
    health.request(10.0, gateway=True)
    assert not health.available(14.9)
    assert health.available(15.0)


def test_a_success_between_gateway_failures_starts_the_count_again():
    health = up()
    for failed in (True, True, True, True, False, True, True, True, True):
        health.request(10.0, gateway=failed)
    assert health.available(10.0)


def test_more_than_half_of_twenty_requests_failing_ejects():
    health = up()
    for index in range(21):
        health.request(10.0 + index * 0.01, failed=index % 2 == 0)
    assert health.ejected(10.3)


def test_half_failing_or_too_few_requests_do_not_eject():
    half, few = up(), up()
    for index in range(40):
        half.request(10.0 + index * 0.01, failed=index % 2 == 1)
    for index in range(19):
        few.request(10.0 + index * 0.01, failed=True)
    assert half.available(10.5)
    assert few.available(10.5)


def test_failures_older_than_the_window_do_not_count():
    health = up()
    for _ in range(12):
        health.request(10.0, failed=True)
    for _ in range(12):
        health.request(12.1, failed=True)
    assert health.available(12.1)


def test_each_ejection_lasts_longer_up_to_a_minute():
    health, now, lengths = up(), 10.0, []
    for _ in range(14):
        for _ in range(5):
            health.request(now, gateway=True)
        lengths.append(round(health.ejected_until - now))
        now = health.ejected_until
    assert lengths[:3] == [5, 10, 15]
    assert lengths[-1] == 60


def test_quiet_time_forgives_ejections():
    health = up()
    for now in (10.0, 15.0, 25.0 + 25.0):
        for _ in range(5):
            health.request(now, gateway=True)
    assert health.ejections == 1


def test_a_region_that_comes_back_up_is_no_longer_ejected():
    health = up()
    for _ in range(5):
        health.request(10.0, gateway=True)
    for check in ("silent", "silent", "silent", "good"):
        health.check(check, 11.0)
    assert not health.available(11.0)
    health.check("good", 12.0)
    assert health.available(12.0)


def test_good_checks_alone_do_not_end_an_ejection():
    health = up()
    for _ in range(5):
        health.request(10.0, gateway=True)
    health.check("good", 11.0)
    assert health.ejected(11.0)


def regions(down: int, *, silent: bool = False) -> dict[str, RegionHealth]:
    found = {region: up() for region in ORDER}
    for region in ORDER[:down]:
        for _ in range(3):
            found[region].check("silent" if silent else "bad", 1.0)
    return found


def test_one_region_down_is_left_out():
    assert candidates(ORDER, regions(1), 2.0, Random(1)) == (ORDER[1:], False)


@pytest.mark.parametrize("seed", range(10))
def test_when_most_are_silent_the_one_that_answers_comes_first(seed):
    order, panic = candidates(ORDER, regions(2, silent=True), 2.0, Random(seed))
    assert panic
    assert order == ("ap-southeast-1", "us-east-1", "eu-west-1")


def test_panic_spreads_over_all_that_answer():
    firsts = {candidates(ORDER, regions(2), 2.0, Random(seed))[0][0] for seed in range(30)}
    assert firsts == set(ORDER)


def test_a_region_without_alternative_is_tried_whatever_is_known():
    assert candidates(("us-east-1",), regions(1, silent=True), 2.0, Random(1)) == (("us-east-1",), True)
