from __future__ import annotations

from random import Random

import pytest

from cluster.outlier import RegionHealth, choose

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


def fail(health: RegionHealth, now: float, times: int = 5, call: str = "sts") -> None:
    for _ in range(times):
        health.request(now, call, gateway=True)


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
    fail(health, now)
    for _ in range(14):
        until = health.breakers["sts"].open_until
        lengths.append(round(until - now))
        now = until
        fail(health, now, 1)
    assert lengths[:3] == [5, 10, 15]
    assert lengths[-1] == 60


def test_quiet_time_forgives_ejections():
    health = up()
    fail(health, 10.0)
    fail(health, 15.0, 1)
    assert health.breakers["sts"].ejections == 2
    for _ in range(2):
        health.request(25.0)
    fail(health, 25.0 + 25.0)
    assert health.breakers["sts"].ejections == 1


def half_open() -> RegionHealth:
    health = up()
    fail(health, 10.0)
    return health


def test_half_open_lets_one_probe_a_second_pass():
    health, rng = half_open(), Random(1)
    assert [health.reservation("sts", now, rng) for now in (15.0, 15.1, 15.9, 16.0)] == [
        "",
        "half-open",
        "half-open",
        "",
    ]


def test_probes_pass_however_small_the_share_of_calls_is_that_a_region_has():
    health, rng = half_open(), Random(1)
    health.shed(1 / 256)
    assert [health.reservation("sts", now, rng) for now in (15.0, 15.1, 16.0)] == ["", "half-open", ""]


def test_a_grey_region_that_comes_back_from_the_dead_is_grey_no_more():
    health = up()
    for _ in range(2):
        health.deep_check(False, 1.0)
    for _ in range(3):
        health.check("silent", 2.0)
    for _ in range(2):
        health.check("good", 3.0)
    assert health.objection("sts", 3.0) == ""
    health.deep_check(False, 4.0)
    assert health.objection("sts", 4.0) == ""


def test_two_good_probes_close_and_a_bad_one_opens_for_longer():
    good, bad = half_open(), half_open()
    for _ in range(2):
        good.request(15.0)
    assert not good.breakers["sts"].proving
    bad.request(15.0)
    bad.request(16.0, failed=True)
    assert (bad.ejected(25.9), bad.ejected(26.0)) == (True, False)


def test_what_was_sent_before_it_opened_neither_closes_nor_prolongs():
    health = half_open()
    for _ in range(9):
        health.request(11.0)
        health.request(11.0, gateway=True)
    assert (health.ejected(14.9), health.ejected(15.0)) == (True, False)


def test_of_a_region_with_a_share_five_failures_of_any_kind_in_a_row_are_enough():
    shed, whole = up(), up()
    shed.shed(0.125)
    for index in range(5):
        assert shed.available(10.0 + index)
        shed.request(10.0 + index, failed=True)
        whole.request(10.0 + index, failed=True)
    assert (shed.available(14.0), whole.available(14.0)) == (False, True)


def test_each_class_of_calls_has_its_breaker():
    health = up()
    fail(health, 10.0, call="sts")
    assert [health.objection(call, 11.0) for call in ("sts", "v1")] == ["ejected", ""]


def test_no_connection_counts_for_every_class_of_calls():
    health = up()
    for _ in range(5):
        health.request(10.0, "v1", gateway=True, silent=True)
    assert [health.objection(call, 11.0) for call in ("sts", "v1")] == ["ejected", "ejected"]


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


def test_two_bad_deep_checks_make_a_ready_region_grey_until_a_good_one():
    health, states = up(), []
    for good in (False, True, False, False, True):
        health.deep_check(good, 1.0)
        states.append((health.up, health.available(1.0)))
    assert states == [(True, True), (True, True), (True, True), (True, False), (True, True)]


def came_back() -> RegionHealth:
    health = up()
    for check in ("silent", "silent", "silent", "good", "good"):
        health.check(check, 100.0)
    return health


def test_a_region_that_came_back_gets_a_few_calls_a_second_and_a_growing_share_of_the_rest():
    def passing(health: RegionHealth, since: float) -> int:
        return sum(not health.reservation("sts", since + i / 200, Random(i)) for i in range(200))

    assert passing(came_back(), 100.0) == pytest.approx(5 + 0.1 * 195, abs=10)
    assert passing(came_back(), 107.5) == pytest.approx(5 + 0.8 * 195, abs=25)
    assert passing(came_back(), 110.0) == 200


def test_the_first_start_of_a_region_is_not_slow():
    health = RegionHealth()
    health.check("silent", 0.0)
    health.check("good", 1.0)
    assert health.full_at == 0.0


def test_shedding_leaves_a_share_of_the_calls():
    health = up()
    health.shed(0.25)
    passed = sum(not health.reservation("sts", 1.0, Random(seed)) for seed in range(1000))
    assert passed == pytest.approx(250, abs=50)


def regions(down: int, *, silent: bool = False) -> dict[str, RegionHealth]:
    found = {region: up() for region in ORDER}
    for region in ORDER[:down]:
        for _ in range(3):
            found[region].check("silent" if silent else "bad", 1.0)
    return found


def pick(found: dict[str, RegionHealth], seed: int = 1, tried: tuple[str, ...] = (), order: tuple[str, ...] = ORDER):
    return choose(order, found, "sts", 2.0, Random(seed), tried)


def test_the_first_healthy_region_is_taken_without_a_word():
    assert pick(regions(0)) == ("us-east-1", [])


def test_one_region_down_is_left_out_and_named():
    assert pick(regions(1)) == ("eu-west-1", [("us-east-1", "down")])
    assert pick(regions(1), tried=("eu-west-1",)) == ("ap-southeast-1", [("us-east-1", "down")])
    assert pick(regions(1), tried=ORDER[1:])[0] is None


def test_a_draining_region_is_left_out_and_is_no_reason_for_panic():
    found = regions(1)
    found["eu-west-1"].drain(True, 1.0)
    assert pick(found) == ("ap-southeast-1", [("us-east-1", "down"), ("eu-west-1", "draining")])


def test_when_all_others_are_tried_or_down_one_that_drains_is_taken():
    found = regions(0)
    found["us-east-1"].drain(True, 1.0)
    assert pick(found, tried=ORDER[1:]) == ("us-east-1", [])


def test_a_region_that_sheds_is_taken_all_the_same_where_no_other_is_left():
    found = regions(0)
    found["us-east-1"].shed(0.0)
    assert pick(found) == ("eu-west-1", [("us-east-1", "shed")])
    assert pick(found, tried=ORDER[1:]) == ("us-east-1", [])


@pytest.mark.parametrize("seed", range(10))
def test_when_most_are_silent_the_one_that_answers_is_taken(seed):
    assert pick(regions(2, silent=True), seed) == ("ap-southeast-1", [("ap-southeast-1", "panic")])


def test_panic_spreads_over_all_that_answer():
    assert {pick(regions(2), seed)[0] for seed in range(30)} == set(ORDER)


def test_a_region_without_alternative_is_tried_whatever_is_known():
    assert pick(regions(1, silent=True), order=("us-east-1",)) == ("us-east-1", [])
