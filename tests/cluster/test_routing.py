from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from cluster import files, routing

THREE = files.parse_topology(*files.topology_source("three_regions"))
TWELVE = files.parse_topology(*files.topology_source("twelve_locations"))


def order(policy, place, topology=THREE):
    return routing.find(policy).order(topology, place)


@pytest.mark.parametrize("policy", ["nearest-failover", "weighted", "hedged", "dns"])
@pytest.mark.parametrize("place", THREE.locations)
def test_the_own_region_is_the_nearest_and_all_others_follow(place, policy):
    found = order(policy, place)
    assert found[0] == place
    assert set(found) == set(THREE.regions)


def test_singapore_fails_over_to_the_nearer_of_the_others():
    assert order("nearest-failover", "ap-southeast-1") == ("ap-southeast-1", "eu-west-1", "us-east-1")


@pytest.mark.parametrize("file", sorted(files.TOPOLOGIES.glob("*.toml")), ids=lambda file: file.stem)
@pytest.mark.parametrize("policy", sorted(routing.POLICIES))
def test_the_routers_own_port_is_in_the_first_region_also_where_no_clients_are(file, policy):
    topology = files.parse_topology(file.stem, file.read_text())
    found = order(policy, topology.regions[0], topology)
    assert found[0] == (topology.home if policy == "home-2011" else topology.regions[0])


@pytest.mark.parametrize("place", THREE.locations)
def test_in_2011_everybody_went_home(place):
    assert order("home-2011", place) == ("us-east-1",)


def test_nearest_knows_no_other_region():
    assert order("nearest", "eu-central-1", TWELVE) == ("eu-west-1",)


def test_since_2025_only_places_in_opt_in_regions_go_home():
    found = {place: order("global-2025", place, TWELVE)[0] for place in TWELVE.locations}
    assert {place for place in found if place in TWELVE.opt_in} == {"af-south-1", "me-south-1", "ap-east-1"}
    for place, region in found.items():
        nearest = order("nearest", place, TWELVE)[0]
        assert region == ("us-east-1" if place in TWELVE.opt_in else nearest), place


def test_since_2025_no_place_is_served_in_an_opt_in_region():
    text = 'regions = ["us-east-1", "af-south-1", "eu-west-1"]\nlocations = ["eu-south-1", "sa-east-1", "af-south-1"]'
    topology = files.parse_topology("opt-in", text)
    assert order("nearest", "af-south-1", topology) == ("af-south-1",)
    assert {order("global-2025", place, topology) for place in topology.locations} == {("us-east-1",)}


def test_only_some_policies_try_another_region():
    assert {name for name, policy in routing.POLICIES.items() if policy.failover} == {
        "nearest-failover",
        "weighted",
        "hedged",
    }


@pytest.mark.parametrize("name", ["fastest", "", "Home-2011"])
def test_an_unknown_policy_is_refused_by_name(name):
    with pytest.raises(routing.PolicyError, match=f"^{name}: not a policy; choose home-2011, global-2025"):
        routing.find(name)


SPARE = {"a": 0.0, "b": 30.0, "c": 10.0}


def test_with_enough_to_spare_the_nearest_stays_first():
    assert {routing.spread("abc", SPARE, 0.2, Random(seed))[0] for seed in range(50)} == {"a"}


def test_what_the_nearest_cannot_take_is_drawn_in_proportion_to_what_others_spare():
    firsts = Counter(routing.spread("abc", SPARE, 0.1, Random(seed))[0] for seed in range(2000))
    assert firsts["a"] == 0
    assert firsts["b"] / firsts["c"] == pytest.approx(3, rel=0.2)


def test_behind_the_nearest_the_others_are_drawn_too():
    seconds = Counter(routing.spread("abc", SPARE, 1.0, Random(seed))[1] for seed in range(2000))
    assert seconds["b"] / seconds["c"] == pytest.approx(3, rel=0.2)


def test_where_nobody_has_anything_to_spare_everybody_is_still_there():
    assert sorted(routing.spread("abc", dict.fromkeys("abc", 0.0), 0.0, Random(1))) == ["a", "b", "c"]
