from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from cluster import conditions
from cluster.experiment_console import load_all
from cluster.history import Conditions, PairDelay, percentile
from cluster.own_cluster import read_topology
from cluster.result import encoded, result
from tests.cluster.histories import exchange, run_of

MEMBERS = {
    "name", "question", "answer", "valid", "seed", "commit", "started_at", "topology", "parameters", "checks", "series",
}  # fmt: skip
EXPERIMENT = load_all()["home-region-dies"].shortened()
GOOD = run_of(exchange(1), exchange(2), kill=(5.0, 5.1), start=9.0)


def result_of(*runs, broken=None, experiment=EXPERIMENT):
    topology = read_topology("three_regions")
    return result(experiment, runs, topology, seed=1, quick=True, commit="c", started_at=1, broken=broken)


def test_a_result_has_the_stable_members_and_is_json():
    found = result_of(GOOD)
    assert set(found) == MEMBERS
    assert all(set(check) == {"name", "holds", "measured", "required"} for check in found["checks"])
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_a_result_without_a_check_that_judged_is_not_valid():
    found = result_of(GOOD, experiment=replace(EXPERIMENT, checks=()))
    assert not found["valid"]
    assert "no check judged anything" in found["answer"]


def test_the_answer_names_every_check_that_did_not_hold():
    found = result_of(GOOD)
    failed = [check["name"] for check in found["checks"] if not check["holds"]]
    assert failed
    assert all(name in found["answer"] for name in failed)


def test_a_run_that_was_stopped_is_a_result_that_is_not_valid_and_says_why():
    found = result_of(broken="stopped before its end")
    assert found["valid"] is False
    assert "stopped before its end" in found["answer"]
    assert set(found) == MEMBERS


def test_a_run_on_a_busy_machine_is_not_valid_where_latency_is_judged():
    busy = replace(GOOD, conditions=Conditions(idle_cpu=0.1))
    assert result_of(busy)["valid"]
    found = result_of(busy, experiment=replace(EXPERIMENT, latency=True))
    assert not found["valid"]
    assert "10% of the CPU" in found["answer"]


def test_a_run_with_wrong_delays_is_not_valid():
    found = result_of(replace(GOOD, conditions=Conditions(delay_error_ms_p99=10.0)))
    assert not found["valid"]
    assert "10 ms longer than asked" in found["answer"]


def test_delays_later_than_any_bound_are_told_as_what_is_not_known_for_json_has_no_infinity():
    pairs = (PairDelay("dublin", "virginia", 1000, 35.0, 90.0, math.inf),)
    found = result_of(replace(GOOD, conditions=Conditions(0.9, math.inf, pairs, math.inf, pairs)))
    assert "inf ms longer than asked" in found["answer"]
    tables = {table["name"]: table for table in json.loads(encoded(found), parse_constant=pytest.fail)["series"]}
    assert tables["conditions"]["rows"][0][3:5] == [None, None]
    assert tables["delays"]["rows"][0][-1] is tables["delays between nodes"]["rows"][0][-1] is None


def test_a_run_whose_generator_was_late_is_not_valid():
    found = result_of(run_of(exchange(1, 500, sent_at=1.4), kill=(5.0, 5.1), start=9.0))
    assert not found["valid"]
    assert "generator was overloaded" in found["answer"]


def test_percentiles_are_given_only_where_samples_lie_beyond_them():
    few, many = run_of(*map(exchange, range(5))), run_of(*(exchange(i / 100) for i in range(150)))
    for run, known in ((few, [True, False, False]), (many, [True, True, False])):
        [latency] = [series for series in result_of(run)["series"] if series["name"] == "latency"]
        [row] = latency["rows"]
        assert [cell is not None for cell in row[-3:]] == known


def test_the_course_counts_losses_by_the_second():
    run = run_of(exchange(1.1), exchange(1.9, outcome="failed"), exchange(2.5))
    [course] = [series for series in result_of(run)["series"] if series["name"] == "course"]
    assert [row[2:] for row in course["rows"]] == [[1, "global", "dublin", 1, 1, 2], [2, "global", "dublin", 1, 0, 1]]


def test_delay_errors_are_judged_over_all_pairs_and_only_since_the_first_scrape():
    def scrape(*counts: int, other: tuple[int, ...] = ()) -> str:
        lines = ["# TYPE router_delay_error_seconds histogram"]
        for pair, found in (("a", counts), ("b", other or counts)):
            for bound, count in zip(("0.001", "0.005", "+Inf"), found, strict=True):
                lines.append(f'router_delay_error_seconds_bucket{{location="x",region="{pair}",le="{bound}"}} {count}')
        return "\n".join(lines) + "\n"

    def p99_ms(before: str, after: str) -> float | None:
        return conditions.delays(before, after)[0]

    assert p99_ms(scrape(0, 0, 100), scrape(90, 200, 300)) == 5.0
    assert p99_ms(scrape(0, 0, 0), scrape(0, 0, 100)) == math.inf
    assert p99_ms(scrape(0, 0, 0), scrape(970, 1000, 1000, other=(10, 10, 10))) == 5.0
    assert p99_ms(scrape(0, 0, 0), scrape(1000, 1000, 1000, other=(0, 0, 15))) == math.inf
    assert p99_ms(scrape(1, 1, 1), scrape(1, 1, 1)) is None


def test_idle_time_is_a_share_of_what_passed():
    before, after = [100, 0, 50, 800, 50, 0, 0, 0, 0, 0], [150, 0, 75, 1000, 75, 0, 0, 0, 0, 0]
    assert conditions.idle_share(before, after) == pytest.approx(225 / 300)


def test_percentiles_go_by_nearest_rank():
    assert percentile([3, 1, 2], 0.5) == 2
    assert [percentile(range(1, 101), share) for share in (0, 0.07, 0.5, 0.99, 0.991, 1)] == [1, 7, 50, 99, 100, 100]
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.5)
