"""What is required of what was looked at beside the load."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cluster.checks import Check, judge
from cluster.history import Event, Look, Run
from tests.cluster.conftest import THREE

US, EU, AP = THREE.regions
CUT, HEAL = Event("partition", US, 5, 5, "cut"), Event("heal", "", 15, 15)


def sample(at: float, region: str, **members: object) -> Look:
    usual = Look(at, region, True, f"{region}/node/1", {}, True, 0, 0)
    return replace(usual, **members)


def measured(kind: str, runs: list[Run], **members: object) -> float | None:
    check = Check(kind, "it", ("p",), **{"at_most": 0, **members})
    (verdict,) = judge([check], runs, THREE.rtt)
    return verdict.measured


def run(samples: list[Look], events: tuple[Event, ...] = (CUT, HEAL), **members: object) -> Run:
    return Run("p", 1, (), events, samples=samples, **members)


def test_the_router_changes_its_mind_once_there_and_once_back():
    views = [True, True, False, False, True, None, True]
    samples = [sample(at, US, healthy=view) for at, view in enumerate(views)]
    assert measured("health_changes", [run(samples)]) == 2
    assert measured("health_changes", [run(samples)], region=EU) is None


def test_staleness_is_that_of_one_origin_as_one_region_tells_it_in_the_window():
    ages = {4: 50.0, 6: 1.0, 8: 9.0, 14: 3.0, 16: 60.0}
    samples = [sample(at, EU, staleness_s={US: age, AP: 99.0}) for at, age in ages.items()]
    samples += [sample(8, AP, staleness_s={US: 70.0})]
    members = {"origin": US, "observer": EU, "since": "cut", "until": "heal"}
    assert measured("staleness_s", [run(samples)], **members) == 9
    assert measured("staleness_s", [run([])], **members) is None


def test_the_seed_that_is_farthest_from_the_requirement_counts():
    runs = [run([sample(6, EU, staleness_s={US: age})]) for age in (20.0, 1.0)]
    members = {"origin": US, "observer": EU}
    assert measured("staleness_s", runs, **members) == 20
    assert measured("staleness_s", runs, at_most=None, at_least=15, **members) == 1


def test_a_log_that_goes_on_after_its_disk_was_lost_is_counted():
    lost = (Event("empty-disk", AP, 5, 6), Event("start", AP, 7, 9))
    samples = [sample(4, AP, origin="a"), sample(8, AP, origin=""), sample(10, AP, origin="b"), sample(10, US)]
    assert measured("reused_origins", [run(samples, lost)]) == 0
    assert measured("reused_origins", [run([*samples, sample(11, AP, origin="a")], lost)]) == 1
    assert measured("reused_origins", [run(samples[:2], lost)]) is None


def test_what_a_region_received_counts_from_its_start_until_it_was_ready():
    events = (Event("empty-disk", AP, 5, 6), Event("start", AP, 7, 9))
    samples = [sample(at, AP, received=count) for at, count in {3: 10, 6.5: 20, 8: 500, 9.5: 1020, 12: 9000}.items()]
    sizes = {US: 800, EU: 1000, AP: 5000}
    assert measured("received_ratio", [run(samples, events, journal_bytes=sizes)]) == 1
    assert measured("received_ratio", [run(samples, events)]) is None


def test_where_the_links_did_not_say_what_a_region_received_it_is_not_taken_for_nothing():
    events = (Event("empty-disk", AP, 5, 6), Event("start", AP, 7, 9))
    told = {3: 10, 6.5: 20, 9.2: None, 9.5: 1020}
    samples = [sample(at, AP, received=count) for at, count in told.items()]
    assert measured("received_ratio", [run(samples, events, journal_bytes={US: 1000})]) == 1


def test_alarms_are_regions_that_told_in_the_window():
    samples = [
        sample(6, EU, unknown=1),
        sample(7, EU, unknown=1),
        sample(7, AP, unknown=None),
        sample(8, US, unknown=1),
    ]
    members = {"origin": US, "since": "cut", "until": "heal"}
    assert measured("alarms", [run(samples)], **members) == 1
    assert measured("alarms", [run(samples[2:])], **members) == 0
    assert measured("alarms", [run([])], **members) is None


def test_a_node_without_an_alarm_is_told_apart_from_one_that_says_nothing():
    silent, without = sample(6, EU, unknown=0), sample(7, AP, unknown=None)
    members = {"origin": US, "since": "cut", "until": "heal"}
    assert measured("alarmless", [run([silent, without])], **members) == 1
    assert measured("alarmless", [run([silent, without, sample(8, AP, unknown=0)])], **members) == 0
    away = sample(7, AP, unknown=None, origin="")
    assert measured("alarmless", [run([silent, away])], **members) == 0
    assert measured("alarmless", [run([away])], **members) is None
    assert measured("alarmless", [run([sample(6, US, unknown=None)])], **members) is None


@pytest.mark.parametrize(
    ("kind", "members"),
    [
        ("health_changes", {}),
        ("staleness_s", {"observer": EU, "origin": US}),
        ("alarms", {}),
        ("alarmless", {}),
    ],
)
def test_a_run_in_which_nothing_was_seen_leaves_nothing_proven_by_the_others(kind, members):
    seen = run([sample(6, EU, staleness_s={US: 1.0}, unknown=0)])
    assert measured(kind, [seen, seen], **members) is not None
    assert measured(kind, [seen, run([])], **members) is None
