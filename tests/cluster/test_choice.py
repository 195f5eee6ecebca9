from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from cluster import files, routing
from cluster.choice import Chooser
from cluster.outlier import RegionHealth
from cluster.spare import Demand

THREE = files.parse_topology(*files.topology_source("three_regions"))
HOME, DUBLIN, SINGAPORE = THREE.regions


class Scene:
    """A chooser and what it looks at."""

    def __init__(self, policy: str) -> None:
        self.health = {region: RegionHealth() for region in THREE.regions}
        per_s = {HOME: 100.0, DUBLIN: 100.0, SINGAPORE: 100.0}
        self.demand = {region: Demand(per_s[region]) for region in THREE.regions}
        self.now = 1000.0
        for health in self.health.values():
            health.check("good", 0.0)
        topology = replace(THREE, capacity=per_s)
        self.chooser = Chooser(topology, policy, self.health, Random(1), self.spare, ttl_s=60.0)

    def spare(self):
        return {region: demand.spare(self.now, self.health[region].share) for region, demand in self.demand.items()}

    def dies(self, region: str) -> None:
        for _ in range(3):
            self.health[region].check("silent", self.now)

    def returns(self, region: str) -> None:
        for _ in range(2):
            self.health[region].check("good", self.now - 60)

    def firsts(self, place: str, calls: int = 300) -> dict[str, int]:
        found = [self.chooser.first(place, "sts", self.now)[0] for _ in range(calls)]
        return {region: found.count(region) for region in THREE.regions}


@pytest.mark.parametrize("policy", ["home-2011", "global-2025", "nearest"])
def test_without_failover_a_dead_region_is_still_the_one(policy):
    scene = Scene(policy)
    scene.dies(HOME)
    assert scene.firsts(HOME) == {HOME: 300, DUBLIN: 0, SINGAPORE: 0}
    assert scene.chooser.next(HOME, "sts", scene.now, {HOME}) == (None, [])


@pytest.mark.parametrize("policy", ["nearest-failover", "hedged"])
def test_with_failover_the_next_nearest_takes_over(policy):
    scene = Scene(policy)
    scene.dies(HOME)
    assert scene.firsts(HOME) == {HOME: 0, DUBLIN: 300, SINGAPORE: 0}
    assert scene.chooser.next(HOME, "sts", scene.now, {DUBLIN})[0] == SINGAPORE


def test_weighted_spreads_a_dead_regions_calls_over_the_others():
    scene = Scene("weighted")
    assert scene.firsts(HOME) == {HOME: 300, DUBLIN: 0, SINGAPORE: 0}
    scene.dies(HOME)
    found = scene.firsts(HOME)
    assert (found[HOME], min(found[DUBLIN], found[SINGAPORE]) > 100) == (0, True)


def test_weighted_leaves_a_region_that_is_nearly_full():
    scene = Scene("weighted")
    for _ in range(90):
        scene.demand[HOME].begins(scene.now)
    assert scene.firsts(HOME)[HOME] < 60
    for _ in range(100):
        scene.demand[SINGAPORE].begins(scene.now)
    assert scene.firsts(HOME)[SINGAPORE] == 0


def test_a_demand_fades_in_a_second_or_two():
    demand = Demand(100.0)
    for index in range(300):
        demand.begins(index / 100)
    assert demand.rate(3.0) == pytest.approx(95, abs=5)
    assert demand.rate(6.0) < 6
    assert demand.spare(6.0, 1.0)[1] > 0.94
    assert demand.spare(6.0, 0.0) == (0.0, 0.0)


def test_of_a_region_of_unknown_capacity_the_calls_at_the_moment_count():
    demand = Demand(None)
    for _ in range(32):
        demand.begins(0.0)
    assert demand.spare(0.0, 1.0) == (32.0, 0.5)
    demand.ends()
    assert demand.spare(0.0, 1.0)[0] == 33.0


def test_dns_goes_on_sending_to_a_dead_region_until_the_ttl_ends():
    scene = Scene("dns")
    assert scene.chooser.first(HOME, "sts", scene.now) == (HOME, [])
    scene.now += 61  # past the first answer, whose age is drawn
    assert scene.chooser.first(HOME, "sts", scene.now) == (HOME, [])
    scene.dies(HOME)
    scene.now += 59
    assert scene.chooser.first(HOME, "sts", scene.now) == (HOME, [])
    assert scene.chooser.next(HOME, "sts", scene.now, {HOME}) == (None, [])
    scene.now += 2
    assert scene.chooser.first(HOME, "sts", scene.now) == (DUBLIN, [])
    scene.returns(HOME)
    scene.now += 59
    assert scene.chooser.first(HOME, "sts", scene.now) == (DUBLIN, [])
    scene.now += 2
    assert scene.chooser.first(HOME, "sts", scene.now) == (HOME, [])


def test_dns_sees_health_checks_and_no_requests():
    scene = Scene("dns")
    for _ in range(9):
        scene.health[HOME].request(scene.now, gateway=True)
    assert not scene.health[HOME].available(scene.now)
    assert scene.chooser.first(HOME, "sts", scene.now + 200) == (HOME, [])


def test_dns_answers_as_if_all_were_up_when_none_is():
    scene = Scene("dns")
    for region in THREE.regions:
        scene.dies(region)
    assert scene.chooser.first(DUBLIN, "sts", scene.now) == (DUBLIN, [])


def test_dns_leaves_out_a_region_that_drains_while_another_one_is_up():
    scene = Scene("dns")
    scene.health[HOME].drain(True, scene.now)
    assert scene.chooser.first(HOME, "sts", scene.now) == (DUBLIN, [])
    scene.dies(DUBLIN)
    scene.dies(SINGAPORE)
    assert scene.chooser.first(HOME, "sts", scene.now + 61) == (HOME, [])


def test_another_policy_counts_from_the_next_call_and_a_wrong_one_changes_nothing():
    scene = Scene("nearest")
    assert scene.chooser.first(DUBLIN, "sts", scene.now)[0] == DUBLIN
    scene.chooser.use("home-2011")
    assert scene.chooser.first(DUBLIN, "sts", scene.now)[0] == HOME
    with pytest.raises(routing.PolicyError):
        scene.chooser.use("fastest")
    assert scene.chooser.policy.name == "home-2011"
    assert scene.chooser.first(DUBLIN, "sts", scene.now)[0] == HOME
