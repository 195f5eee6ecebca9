from __future__ import annotations

import pytest

from cluster.checks import Check, judge
from tests.cluster.histories import TABLE, exchange, regional, run_of


def check(kind: str, **members: object) -> Check:
    return Check.of({"kind": kind, "name": "it", "policies": ["home-2011"], **members})


def measured(one: Check, *runs) -> dict[str, float | None]:
    return {verdict.name: verdict.measured for verdict in judge([one], runs, TABLE)}


def test_a_latency_ratio_compares_the_global_endpoint_with_the_nearest_region_of_each_place():
    run = run_of(exchange(1, 80), regional(1, "dublin", 5), regional(1, "virginia", 75))
    found = measured(check("latency_ratio", location="dublin", at_least=2), run)
    assert found == {"home-2011: it (dublin)": 16.0}


def test_a_place_without_answers_has_no_ratio_and_the_check_does_not_hold():
    run = run_of(exchange(1, 80), regional(1, "dublin", 5, outcome="failed"))
    [verdict] = judge([check("latency_ratio", location="dublin", at_most=100)], [run], TABLE)
    assert verdict.measured is None
    assert not verdict.holds


def test_distances_are_judged_for_far_pairs_only():
    run = run_of(
        regional(1, "virginia", 71.4), regional(1, "dublin", 40), regional(1, "dublin", 77, location="virginia")
    )
    found = measured(check("measured_to_table", pair_ms=50, at_least=0.95, at_most=1.10), run)
    assert found == {"home-2011: it (dublin to virginia)": 1.02, "home-2011: it (virginia to dublin)": 1.1}


def test_distances_without_a_far_pair_are_not_judged():
    [verdict] = judge([check("measured_to_table", pair_ms=5000, at_most=1.1)], [run_of(exchange(1))], TABLE)
    assert (verdict.measured, verdict.holds) == (None, False)


def test_one_lost_request_of_very_many_is_not_rounded_away():
    run = run_of(exchange(1, outcome="failed"), *(exchange(2) for _ in range(30_000)))
    [verdict] = judge([check("lost_share", at_most=0)], [run], TABLE)
    assert not verdict.holds
    assert verdict.measured == 1 / 30_001


def test_a_p99_in_a_fault_ends_with_it():
    before, during = ([exchange(at + i / 1000, ms) for i in range(1000)] for at, ms in ((1, 10), (5.5, 20)))
    after = [exchange(9 + i / 1000, 200) for i in range(1000)]
    run = run_of(*before, *during, *after, kill=(5.0, 5.1), start=9.0)
    assert measured(check("p99_ratio", since="kill", until="start", at_most=3), run) == {"home-2011: it": 2.0}


def test_latency_counts_from_when_a_request_was_due():
    late = exchange(1, 50, sent_at=1.03)
    assert late.latency_ms == pytest.approx(50)
    assert late.lag_ms == pytest.approx(30)


def test_warm_up_is_not_judged():
    run = run_of(exchange(-1, outcome="failed"), exchange(1))
    assert measured(check("lost", at_most=0), run) == {"home-2011: it": 0}


def test_lost_requests_are_those_without_a_good_answer_definite_or_not():
    run = run_of(exchange(1, outcome="failed"), exchange(2, outcome="unknown"), exchange(3))
    assert measured(check("lost", at_most=0), run) == {"home-2011: it": 2}


def test_a_window_between_faults_leaves_out_what_was_due_while_they_were_executed():
    run = run_of(
        exchange(1), exchange(5.05), exchange(6, outcome="failed"), exchange(8, outcome="failed"), exchange(9.1),
        kill=(5.0, 5.1), start=9.0,
    )  # fmt: skip
    assert measured(check("lost_share", since="kill", until="start", at_least=1), run) == {"home-2011: it": 1.0}


def test_a_window_is_empty_and_the_check_fails_when_its_fault_never_came():
    [verdict] = judge([check("lost", since="kill", at_most=0)], [run_of(exchange(1))], TABLE)
    assert (verdict.measured, verdict.holds) == (None, False)


def test_recovery_is_the_time_from_the_beginning_of_the_fault_to_the_last_lost_request():
    run = run_of(
        exchange(4, outcome="failed"), exchange(5.5, outcome="failed"), exchange(6), exchange(7.5, outcome="unknown"),
        exchange(8), kill=(5.0, 5.1),
    )  # fmt: skip
    assert measured(check("recovery_s", since="kill", at_most=3), run) == {"home-2011: it": 2.5}


def test_nobody_who_lost_the_last_request_has_recovered():
    run = run_of(exchange(6), exchange(7, outcome="failed"), kill=(5.0, 5.1))
    assert measured(check("recovery_s", since="kill", at_most=99), run) == {"home-2011: it": None}


def test_the_slowest_recovery_of_all_runs_counts():
    quick = run_of(exchange(5.5, outcome="failed"), exchange(6), kill=(5.0, 5.1))
    slow = run_of(exchange(7.0, outcome="failed"), exchange(8), kill=(5.0, 5.1))
    assert measured(check("recovery_s", since="kill", at_most=3), quick, slow) == {"home-2011: it": 2.0}


@pytest.mark.parametrize(
    ("selection", "lost"),
    [
        ({}, 3),
        ({"endpoint": "global"}, 1),
        ({"endpoint": "regional", "not_region": "virginia"}, 1),
        ({"endpoint": "regional", "region": "virginia"}, 1),
        ({"location": "virginia"}, None),
    ],
)
def test_checks_select_clients(selection, lost):
    run = run_of(
        exchange(1, outcome="failed"),
        regional(1, "virginia", outcome="failed"),
        regional(1, "dublin", outcome="failed"),
    )
    assert measured(check("lost", at_most=0, **selection), run) == {"home-2011: it": lost}


def test_runs_of_another_policy_are_not_judged():
    other = check("lost", policies=["nearest-failover"], at_most=0)
    [verdict] = judge([other], [run_of(exchange(1))], TABLE)
    assert not verdict.holds


@pytest.mark.parametrize(
    ("bounds", "words"),
    [
        ({"at_least": 5}, "at least 5"),
        ({"at_most": 3.5}, "at most 3.5"),
        ({"at_least": 0.95, "at_most": 1.1}, "0.95 to 1.1"),
        ({"at_least": 0, "at_most": 0}, "exactly 0"),
    ],
)
def test_requirements_are_said_in_words(bounds, words):
    assert check("lost", **bounds).required == words
