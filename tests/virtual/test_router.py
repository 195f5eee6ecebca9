"""The router in virtual time by itself: deep checks, deadlines, refusals, and what it decides like the real one."""

from __future__ import annotations

import pytest

from cluster import canary
from cluster.files import parse_topology, topology_source
from cluster.sim.scheduler import Scheduler
from cluster.virtual.router import UNAVAILABLE, Answered, Call, VirtualRouter
from cluster.virtual.service import OVERLOADED, Illness, Service
from cluster.virtual.tasks import spawn
from stsd.capacity import Capacity

HOME, NEXT, FAR = "us-east-1", "eu-west-1", "ap-southeast-1"


class Place:
    """Three regions, their router, and the virtual time in which they are asked."""

    def __init__(self, *without: str, policy: str = "nearest-failover") -> None:
        where = parse_topology(*topology_source("three_regions"))
        self.scheduler = Scheduler(1)
        self.services = {region: Service(self.scheduler) for region in where.regions}
        self.router = VirtualRouter(where, policy, self.services, self.scheduler, 1, without)
        self.seconds(3)

    def seconds(self, count: float) -> None:
        self.scheduler.run(self.scheduler.now + count)

    def call(self, operation: str = "AssumeRole", region: str = "", wait_s: float = 3.0, **more: float) -> Answered:
        answer = spawn(self.scheduler, self.router.respond(self.asking(operation, region, **more)))
        self.seconds(wait_s)
        assert answer.given
        return answer.value

    def asking(self, operation: str, region: str, left_s: float | None = None) -> Call:
        deadline = None if left_s is None else self.scheduler.now + left_s
        return Call(HOME, "regional" if region else "global", region, operation, deadline)


def test_deep_checks_find_a_region_that_no_client_calls_and_find_it_well_again():
    place = Place()
    place.services[FAR].illness = Illness(grey_status=500)
    place.seconds(canary.EVERY_S + 3 * canary.AGAIN_S)
    assert (place.router.health[FAR].up, place.router.health[FAR].grey) == (True, True)
    place.services[FAR].illness = Illness()
    place.seconds(2 * canary.AGAIN_S)
    assert not place.router.health[FAR].grey


def test_without_deep_checks_nobody_finds_it():
    place = Place("deep-checks")
    place.services[FAR].illness = Illness(grey_status=500)
    place.seconds(30)
    assert not place.router.health[FAR].grey


def test_a_deep_check_that_is_refused_says_nothing():
    place = Place()
    place.services[FAR].capacity = Capacity(0.001, queue_s=0.0)
    place.services[FAR].capacity.turn(place.scheduler.now, None)
    place.seconds(30)
    assert not place.router.health[FAR].grey


def test_a_region_that_answers_too_late_for_a_deep_check_is_grey():
    place = Place()
    place.services[FAR].illness = Illness(late_s=1.1)
    place.seconds(30)
    assert place.router.health[FAR].grey


@pytest.mark.parametrize(("left_s", "region"), [(None, NEXT), (1.0, NEXT), (0.06, "")])
def test_a_retry_begins_only_if_it_can_end_before_the_deadline(left_s, region):
    place = Place("active-checks", "deep-checks")
    place.services[HOME].kill()
    answered = place.call(**({} if left_s is None else {"left_s": left_s}))
    assert answered.region == region
    assert answered.status == (200 if region else UNAVAILABLE)


def test_a_regional_call_is_never_moved_and_without_retries_no_call_is():
    place, bare = Place(), Place("retries", "active-checks", "deep-checks")
    for one in (place, bare):
        one.services[HOME].kill()
    assert place.call(region=HOME).status == bare.call().status == UNAVAILABLE
    assert place.call().region == NEXT


def test_a_node_that_refuses_is_spared_and_its_breaker_stays_closed():
    place = Place("deep-checks")
    place.services[HOME].capacity = Capacity(0.001, queue_s=0.0)
    place.services[HOME].capacity.turn(place.scheduler.now, None)
    assert place.call(region=HOME).status == OVERLOADED
    for _ in range(12):
        assert place.call(wait_s=0.2).region == NEXT
    assert place.router.health[HOME].available(place.scheduler.now)
    assert not place.router.health[HOME].ejected(place.scheduler.now)


def test_a_node_that_fails_with_the_same_status_is_ejected():
    place = Place("deep-checks")
    place.services[HOME].illness = Illness(error_share=1.0)
    for _ in range(6):
        place.call(wait_s=0.2)
    assert place.router.health[HOME].ejected(place.scheduler.now)


def test_what_a_verifier_is_told_neither_ejects_nor_moves():
    place = Place("deep-checks")
    place.services[HOME].illness = Illness(error_share=1.0)
    assert {place.call("verify", wait_s=0.2).region for _ in range(12)} == {HOME}
    assert not place.router.health[HOME].ejected(place.scheduler.now)


def test_the_latency_of_both_ways_is_told_and_that_of_a_second_try_comes_on_top():
    place = Place("active-checks", "deep-checks")
    near = place.call()
    place.services[HOME].kill()
    far = place.call()
    assert near.added_s < 0.02
    assert 0.06 < far.added_s < 0.2


def test_a_slow_region_is_left_within_seconds_and_gets_its_calls_back():
    place = Place()
    for _ in range(300):
        place.call(wait_s=0.05)
    place.services[HOME].illness = Illness(late_s=0.2)
    for _ in range(80):
        spawn(place.scheduler, place.router.respond(place.asking("AssumeRole", "")))
        place.seconds(0.05)
    assert place.router.health[HOME].share < 0.02
    place.services[HOME].illness = Illness()
    place.seconds(20)
    assert place.router.health[HOME].share == 1.0
