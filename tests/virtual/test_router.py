"""The router in virtual time by itself: deep checks, deadlines, refusals, and what it decides like the real one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cluster import admission, canary
from cluster.files import parse_topology, topology_source
from cluster.sim.scheduler import Scheduler
from cluster.spare import AT_ONCE
from cluster.topology import RoundTrip
from cluster.virtual.router import UNAVAILABLE, Answered, Call, VirtualRouter
from cluster.virtual.service import OVERLOADED, Illness, Service
from cluster.virtual.tasks import Later, spawn
from stsd.capacity import Capacity

HOME, NEXT, FAR = "us-east-1", "eu-west-1", "ap-southeast-1"


class Place:
    """Three regions without jitter between them, their router, and the virtual time in which they are asked."""

    def __init__(self, *without: str, policy: str = "nearest-failover") -> None:
        told = parse_topology(*topology_source("three_regions"))
        where = replace(told, rtt={pair: RoundTrip(trip.p50_ms, trip.p50_ms) for pair, trip in told.rtt.items()})
        self.rtt_s = {pair: trip.p50_ms / 1000 for pair, trip in where.rtt.items()}
        self.scheduler = Scheduler(1)
        self.services = {region: Service(self.scheduler) for region in where.regions}
        self.router = VirtualRouter(where, policy, self.services, self.scheduler, 1, without)
        self.seconds(3)

    def seconds(self, count: float) -> None:
        self.scheduler.run(self.scheduler.now + count)

    def call(self, operation: str = "AssumeRole", region: str = "", wait_s: float = 3.0, **more: float) -> Answered:
        answer = self.begin(operation, region, **more)
        self.seconds(wait_s)
        assert answer.given
        return answer.value

    def begin(self, operation: str = "AssumeRole", region: str = "", **more: float) -> Later:
        return spawn(self.scheduler, self.router.respond(self.asking(operation, region, **more)))

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
    assert near.added_s == pytest.approx(place.rtt_s[HOME, HOME])
    assert far.added_s == pytest.approx(place.rtt_s[HOME, HOME] + place.rtt_s[HOME, NEXT])


def test_one_call_in_twenty_may_be_hedged_once_it_is_known_what_is_usual():
    place = Place("shedding", policy="hedged")
    for _ in range(100):
        place.call("GetCallerIdentity", wait_s=0.2)
    hedged = place.router.hedges
    place.services[HOME].illness = Illness(late_s=1.0)
    assert place.call("GetCallerIdentity", wait_s=0.5).region == NEXT
    assert place.router.hedges == hedged + 1
    assert place.router.hedges <= 5


def test_calls_that_a_verifier_lost_open_the_breaker_of_its_class_alone():
    place = Place("active-checks", "deep-checks")
    place.services[HOME].pause()
    lost = [place.begin("verify", HOME) for _ in range(6)]
    place.seconds(5.5)
    assert {one.value.status for one in lost} == {UNAVAILABLE}
    place.services[HOME].resume()
    assert place.call("verify", wait_s=0.5).region == NEXT
    assert place.call(wait_s=0.5).region == HOME


def full_region(calls: int) -> tuple[Place, list[Later]]:
    """NEXT has so many calls of a regional endpoint in flight, and stands still; clients at HOME are sent there."""
    place = Place("active-checks", "deep-checks")
    place.services[NEXT].pause()
    waiting = [place.begin(region=NEXT) for _ in range(calls)]
    place.seconds(place.rtt_s[HOME, NEXT])
    place.router.health[HOME].drain(True, place.scheduler.now)
    return place, waiting


def test_calls_of_a_regional_endpoint_have_all_of_its_places_wherever_they_come_from():
    place, waiting = full_region(int(AT_ONCE))
    place.services[NEXT].resume()
    place.seconds(3)
    assert [one.value.status for one in waiting] == [200] * int(AT_ONCE)


@pytest.mark.parametrize(("endpoint", "answered_by"), [(NEXT, NEXT), ("", FAR)])
def test_only_a_regions_own_callers_wait_until_there_is_a_place(endpoint, answered_by):
    place, _ = full_region(int(AT_ONCE))
    one = place.begin(region=endpoint)
    place.seconds(place.rtt_s[HOME, NEXT] / 2 + admission.QUEUE_S / 2)
    place.services[NEXT].resume()
    place.seconds(3)
    assert one.value.region == answered_by


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
