"""Faults as records, and schedules of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster import fault_records, fault_schedule
from cluster.errors import ClusterError
from cluster.fault_records import ACTIONS, Fault
from tests.cluster.conftest import THREE

US, EU, AP = THREE.regions
SCHEDULES = Path(fault_schedule.__file__).parent / "schedules"
GOOD = """
duration_s = 10
[[faults]]
at_s = 1
action = "error-rate"
region = "us-east-1"
share = 0.3
"""


def parsed(text: str) -> fault_schedule.Schedule:
    return fault_schedule.parse(text, "s.toml")


def test_a_schedule_is_read_as_it_is_written():
    schedule = parsed(GOOD)
    assert schedule.duration_s == 10
    assert schedule.faults == (Fault(1, "error-rate", US, share=0.3),)
    assert fault_schedule.told(schedule.faults[0]) == "error-rate us-east-1 share 0.3"


@pytest.mark.parametrize("path", [*SCHEDULES.glob("*.toml")], ids=lambda path: path.stem)
def test_every_schedule_that_is_shipped_fits_three_regions(path):
    assert fault_schedule.read(path, THREE.regions).faults


@pytest.mark.parametrize(
    ("found", "instead", "words"),
    [
        ("duration_s = 10", "", "file: duration_s is missing"),
        ("duration_s = 10", "duration_s = 1", "faults: a fault comes after the load; allowed is at_s below 1"),
        ("duration_s = 10", "duration_s = 10\nspeed = 2", "speed is not known; allowed are duration_s, faults"),
        ('"error-rate"', '"burn"', "faults[0].action: 'burn' is not known; allowed are kill, start"),
        ("share = 0.3", "", "faults[0]: share is missing; needed are at_s, action, region, share"),
        ("share = 0.3", "share = 30", "faults[0].share: 30 is out of range; allowed is 0 to 1"),
        ("share = 0.3", "share = 0.3\nms = 4", "faults[0]: ms is not known; allowed are action, at_s, region, share"),
        ("share = 0.3", "share = 0.3\nstatus = 0", "faults[0].status: 0 is not known; allowed are 500, 502, 503, 504"),
        (
            "share = 0.3",
            "share = 0.3\nstatus = 503.0",
            "faults[0].status: 503.0 is not known; allowed are 500, 502, 503, 504",
        ),
        ("at_s = 1", "at_s = -1", "faults[0].at_s: -1 is out of range; allowed is 0 to 604800"),
        ("duration_s = 10", "duration_s = nan", "duration_s: nan is no finite number; allowed is number"),
        ("duration_s = 10", "duration_s = inf", "duration_s: inf is no finite number; allowed is number"),
        ("duration_s = 10", "duration_s = 0", "duration_s: 0 is out of range; allowed is more than 0"),
        ("at_s = 1", "at_s = nan", "faults[0].at_s: nan is no finite number; allowed is number"),
        (
            '"error-rate"',
            '"crash"\nevery_s = 1e-9',
            "faults[0].every_s: 1e-09 is out of range; allowed is at least 0.1",
        ),
        ('"error-rate"', '"heal"\nto = "eu-west-1"', "share is not known"),
        ("[[faults]]", "[faults]", "has the wrong type; allowed is array"),
        ("[[faults]]", "[[faults", "not TOML"),
        ("duration_s = 10", "duration_s = 1e300", "duration_s: 1e+300 is out of range; allowed is at most 604800"),
        ("at_s = 1", f"at_s = 1{'0' * 400}", "faults[0].at_s: the integer is out of range; allowed are 64 bits"),
        ("duration_s = 10", f"duration_s = {'[' * 9_999}", "nested too deep"),
    ],
)
def test_a_wrong_schedule_is_refused_with_its_path_the_reason_and_what_is_allowed(found, instead, words):
    with pytest.raises(ClusterError) as caught:
        parsed(GOOD.replace(found, instead))
    assert all(fault.startswith("s.toml: ") for fault in caught.value.faults)
    assert words in str(caught.value)


def test_each_fault_of_a_schedule_is_one_line():
    with pytest.raises(ClusterError) as caught:
        parsed("")
    assert caught.value.faults == ("s.toml: file: duration_s, faults is missing; needed are duration_s, faults",)
    with pytest.raises(ClusterError) as caught:
        parsed("duration_s = 1\nfaults = []")
    assert caught.value.faults == ("s.toml: faults: [] is too short; allowed are at least 1 entries",)


def test_crashes_that_end_before_the_first_one_could_come_are_refused():
    crash = GOOD.replace('"error-rate"', '"crash"').replace("share = 0.3", "every_s = 2\nuntil_s = 2.9")
    with pytest.raises(ClusterError) as caught:
        parsed(crash)
    assert caught.value.faults == ("s.toml: faults[0].until_s: 2.9 leaves no time for a crash; allowed is at least 3",)
    assert parsed(crash.replace("2.9", "3")).faults


def test_crashes_so_seldom_that_none_comes_are_refused():
    crash = GOOD.replace('"error-rate"', '"crash"').replace("share = 0.3", "every_s = 9.5")
    with pytest.raises(ClusterError) as caught:
        parsed(crash)
    assert caught.value.faults == (
        "s.toml: faults[0].every_s: 9.5 leaves no time for a crash before 10; allowed is at most 9",
    )
    schedule = parsed(crash.replace("9.5", "9"))
    assert fault_records.drawn(schedule.faults, 1, THREE.regions, schedule.duration_s)


def test_a_brown_out_that_is_none_and_a_link_with_one_end_are_refused():
    entries = [
        {"at_s": 0, "action": "brown-out", "region": US},
        {"at_s": 0, "action": "heal", "to": US},
    ]
    assert fault_records.faults(entries, {}) == [
        "faults[0]: nothing is slower; allowed are times and ms",
        "faults[1]: region is missing; to needs it",
    ]


def test_a_region_that_the_cluster_has_not_is_refused_before_anything_is_done():
    found = fault_records.check_places([Fault(0, "kill", "mars-north-1"), Fault(0, "slow", US, US)], THREE.regions)
    assert found == [
        "faults[0].region: mars-north-1 is not a region of the cluster; allowed are us-east-1, eu-west-1,"
        " ap-southeast-1",
        "faults[1].to: a region has no link to itself; allowed is another region",
    ]


def test_the_members_that_an_action_needs_and_allows_are_known_ones():
    for action in ACTIONS.values():
        assert {*action.required, *action.optional, *action.limits} <= fault_records.MEMBERS.keys()
        assert {*action.limits} <= {*action.required, *action.optional}


def test_crashes_are_drawn_from_the_seed_within_the_time():
    faults = [Fault(2, "crash", every_s=2), Fault(5, "heal")]
    first = fault_records.drawn(faults, 7, THREE.regions, 10)
    assert first == fault_records.drawn(faults, 7, THREE.regions, 10)
    assert first != fault_records.drawn(faults, 8, THREE.regions, 10)
    assert [fault.action for fault in first].count("crash") == 4
    assert {fault.region for fault in first if fault.action == "crash"} <= {*THREE.regions}
    assert [fault.at_s for fault in first] == sorted(fault.at_s for fault in first)
