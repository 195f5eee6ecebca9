from __future__ import annotations

import pytest

from cluster import files, routing

THREE = files.parse_topology(*files.topology_source("three_regions"))


@pytest.mark.parametrize("place", THREE.locations)
def test_the_own_region_is_the_nearest(place):
    order = routing.find("nearest-failover")(THREE, place)
    assert order[0] == place
    assert set(order) == set(THREE.regions)


def test_singapore_fails_over_to_the_nearer_of_the_others():
    assert routing.find("nearest-failover")(THREE, "ap-southeast-1") == ("ap-southeast-1", "eu-west-1", "us-east-1")


@pytest.mark.parametrize("place", THREE.locations)
def test_in_2011_everybody_went_home(place):
    assert routing.find("home-2011")(THREE, place) == ("us-east-1",)


@pytest.mark.parametrize("policy", sorted(routing.LATER_POLICIES))
def test_policies_of_later_stages_are_refused_by_name(policy):
    with pytest.raises(routing.PolicyError, match=f"{policy}: is not supported yet"):
        routing.find(policy)


def test_an_unknown_policy_is_refused_by_name():
    with pytest.raises(routing.PolicyError, match="--policy fastest: is not a policy"):
        routing.find("fastest")
