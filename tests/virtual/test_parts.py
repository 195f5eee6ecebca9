"""Calls between nodes, and a region's node: each by itself in virtual time."""

from __future__ import annotations

import pytest

from cluster.fault_records import Fault
from cluster.faults import Links
from cluster.files import parse_topology, topology_source
from cluster.link_process import GIVE_UP_S
from cluster.sim.scheduler import Scheduler
from cluster.virtual.calls import CALL_TIMEOUT_S, CALLS_AT_ONCE, Calls
from cluster.virtual.faults import ACTIONS, Machine
from cluster.virtual.replication import Replication
from cluster.virtual.service import BROKEN, OK, WELL, Illness, Service
from stsd.revocation.messages import Ack

A, B = "us-east-1", "eu-west-1"
ISSUING = "AssumeRole"


class Wire:
    """Two regions, their links, and what arrived: when, by whom, what."""

    def __init__(self):
        where = parse_topology(*topology_source("three_regions"))
        self.scheduler, self.links = Scheduler(1), Links(where.regions, where.between)
        self.arrived = []
        self.calls = Calls(self.scheduler, self.deliver, self.links)
        self.scheduler.after(1000, lambda: None)

    def deliver(self, sender, receiver, message):
        self.arrived.append((self.scheduler.now, sender, message))

    def cut(self, first=A, second=B):
        self.links.obey({"verb": "partition", "first": first, "second": second, "one_way": True})

    def heal(self):
        self.links.obey({"verb": "heal"})
        self.calls.release()


def note(number):
    return Ack(number, {})


def test_at_most_so_many_calls_go_to_a_peer_and_what_waits_goes_together():
    wire = Wire()
    for number in range(20):
        wire.calls.send(A, B, note(number))
    wire.scheduler.run(0.06)
    first = [message.epoch for _, _, message in wire.arrived]
    assert sorted(first) == [*range(CALLS_AT_ONCE)]
    assert wire.calls.made == CALLS_AT_ONCE
    wire.scheduler.run(1)
    assert sorted(message.epoch for _, _, message in wire.arrived) == [*range(20)]
    assert wire.calls.made == CALLS_AT_ONCE + 1


def test_what_a_killed_node_had_not_sent_is_gone_and_no_other_node_loses_anything():
    wire = Wire()
    for number in range(CALLS_AT_ONCE + 1):
        wire.calls.send(A, B, note(number))
        wire.calls.send(B, A, note(number))
    wire.calls.forget(A)
    wire.scheduler.run(1)
    assert sorted(message.epoch for _, sender, message in wire.arrived if sender == A) == [*range(CALLS_AT_ONCE)]
    assert sum(sender == B for _, sender, _ in wire.arrived) == CALLS_AT_ONCE + 1


@pytest.mark.parametrize(("cut_s", "arrives"), [(GIVE_UP_S - 1, True), (GIVE_UP_S + 1, False)])
def test_a_cut_holds_what_is_on_its_way_and_lets_it_arrive_unless_it_took_too_long(cut_s, arrives):
    wire = Wire()
    wire.cut()
    wire.calls.send(A, B, note(1))
    wire.scheduler.run(cut_s)
    assert wire.arrived == []
    wire.heal()
    assert [(at, message.epoch) for at, _, message in wire.arrived] == ([(cut_s, 1)] if arrives else [])


def test_a_call_without_an_answer_holds_its_place_until_its_patience_ends():
    wire = Wire()
    wire.cut()
    for number in range(CALLS_AT_ONCE + 1):
        wire.calls.send(A, B, note(number))
    wire.scheduler.run(CALL_TIMEOUT_S - 0.1)
    assert wire.calls.made == CALLS_AT_ONCE
    wire.scheduler.run(CALL_TIMEOUT_S + 0.1)
    assert wire.calls.made == CALLS_AT_ONCE + 1


def test_an_answer_that_a_node_owes_when_it_is_killed_breaks():
    scheduler = Scheduler(1)
    scheduler.after(10, lambda: None)
    service = Service(scheduler, illness=Illness(late_s=1.0))
    late, fine = service.ask(ISSUING), Service(scheduler, illness=Illness(late_s=1.0)).ask(ISSUING)
    scheduler.run(0.5)
    service.kill()
    assert service.ask(ISSUING) is None
    scheduler.run(2)
    assert (late.value, fine.value) == (BROKEN, OK)


def test_a_node_that_starts_again_is_well_and_owes_nothing():
    scheduler = Scheduler(1)
    scheduler.after(10, lambda: None)
    service = Service(scheduler, illness=Illness(grey_status=500))
    service.kill()
    service.start()
    answer = service.ask(ISSUING)
    scheduler.run(1)
    assert answer.value == OK


@pytest.mark.parametrize(("healed", "ill"), [("", []), (B, [A])], ids=["everything", "one region"])
def test_a_heal_ends_what_is_wrong_inside_nodes_and_lets_through_what_was_held(healed, ill):
    where = parse_topology(*topology_source("three_regions"))
    links = Links(where.regions, where.between)
    world = Replication(1, links, "replay")
    machine = Machine({region: Service(world.scheduler) for region in where.regions}, world, links)
    faults = [Fault(0, action, region, per_s=9) for region in (A, B) for action in ("grey", "capacity", "full-disk")]
    for fault in [*faults, Fault(0, "partition", A, B), Fault(0, "heal", healed)]:
        assert all(wait_s > 0 for wait_s in ACTIONS[fault.action](machine, fault))
    for region in (A, B):
        service = machine.services[region]
        assert (service.illness != WELL, service.capacity is not None) == (region in ill,) * 2
        assert world.node(region).disk.full == (region in ill)
    assert links.of(A, B).cut == bool(healed)
