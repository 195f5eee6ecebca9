"""What orders do to the links, and what a faulty link does to a message."""

from __future__ import annotations

from random import Random

import pytest

from cluster.faults import Fault, FaultError, Links
from tests.cluster.conftest import THREE

US, EU, AP = THREE.regions


@pytest.fixture
def links() -> Links:
    return Links(THREE.regions, THREE.between)


def test_a_partition_cuts_both_directions_and_no_other_pair(links):
    links.obey({"verb": "partition", "first": US, "second": EU})
    assert links.of(US, EU).cut
    assert links.of(EU, US).cut
    assert links.told() == [{"from": EU, "to": US, "fault": "cut"}, {"from": US, "to": EU, "fault": "cut"}]


def test_an_isolated_region_is_cut_from_every_other_one_and_they_are_not_from_each_other(links):
    links.obey({"verb": "isolate", "first": AP})
    cut = {(one["from"], one["to"]) for one in links.told()}
    assert cut == {(AP, US), (US, AP), (AP, EU), (EU, AP)}
    with pytest.raises(FaultError, match="nowhere: not a region"):
        links.obey({"verb": "isolate", "first": "nowhere"})
    links.obey({"verb": "isolate"})
    assert len(links.told()) == 6
    links.obey({"verb": "heal"})
    assert links.told() == []


def test_a_one_way_partition_cuts_only_from_the_first_to_the_second(links):
    links.obey({"verb": "partition", "first": US, "second": EU, "one_way": True})
    assert links.told() == [{"from": US, "to": EU, "fault": "cut"}]


def test_a_heal_of_one_pair_leaves_the_others(links):
    links.obey({"verb": "partition", "first": US, "second": EU})
    links.obey({"verb": "slow", "first": US, "second": AP, "ms": 50})
    links.obey({"verb": "heal", "first": EU, "second": US})
    assert {(one["from"], one["to"]) for one in links.told()} == {(US, AP), (AP, US)}
    with pytest.raises(FaultError, match="not a region"):
        links.obey({"verb": "heal", "first": US, "second": "nowhere"})


def test_faults_of_one_direction_add_up_and_heal_ends_them_all(links):
    links.obey({"verb": "partition", "first": US, "second": EU})
    links.obey({"verb": "slow", "first": EU, "second": US, "ms": 250})
    links.obey({"verb": "lose", "first": US, "second": EU, "share": 0.01})
    assert links.of(US, EU) == Fault(cut=True, extra_ms=250, loss=0.01)
    assert links.told()[0]["fault"] == "cut, 250 ms slower, loses 1.00%"
    links.obey({"verb": "heal"})
    assert links.told() == []


def test_slowness_of_zero_is_the_end_of_it(links):
    links.obey({"verb": "slow", "first": US, "second": AP, "ms": 40})
    links.obey({"verb": "slow", "first": US, "second": AP, "ms": 0})
    assert links.told() == []


def test_a_slow_link_takes_exactly_that_much_longer_and_a_lost_message_a_round_trip(links):
    before = links.delay_ms(US, AP, Random(1))
    links.obey({"verb": "slow", "first": US, "second": AP, "ms": 250})
    assert links.delay_ms(US, AP, Random(1)) == pytest.approx(before + 250)
    links.obey({"verb": "lose", "first": US, "second": AP, "share": 1})
    stalled = links.delay_ms(US, AP, Random(1))
    assert stalled == pytest.approx(before + 250 + THREE.between[US, AP].p50_ms)
    links.obey({"verb": "lose", "first": US, "second": EU, "share": 1})
    assert links.delay_ms(US, EU, Random(1)) > 200, "a stall is never below 200 ms"


def test_both_ways_together_take_the_measured_round_trip(links):
    rng = Random(1)
    round_trips = sorted(links.delay_ms(US, AP, rng) + links.delay_ms(AP, US, rng) for _ in range(2001))
    assert round_trips[1000] == pytest.approx(THREE.between[US, AP].p50_ms, rel=0.03)


@pytest.mark.parametrize(
    ("order", "words"),
    [
        ({"verb": "partition", "first": US, "second": "mars"}, "mars: not a region of this cluster; choose from us-"),
        ({"verb": "partition", "first": US, "second": US}, "a region has no link to itself"),
        ({"verb": "slow", "first": US, "second": EU, "ms": -1}, "give a number from 0 to 60000"),
        ({"verb": "slow", "first": US, "second": EU, "ms": True}, "give a number"),
        ({"verb": "lose", "first": US, "second": EU, "share": 1.5}, "give a number from 0 to 1"),
        ({"verb": "burn"}, "burn: not an order; allowed are partition, isolate, slow, lose and heal"),
    ],
)
def test_a_wrong_order_changes_nothing_and_says_what_is_allowed(links, order, words):
    with pytest.raises(FaultError, match=words):
        links.obey(order)
    assert links.told() == []
