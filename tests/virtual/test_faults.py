"""What each fault of the table does to a simulated machine, in amounts and units."""

from __future__ import annotations

import pytest

from cluster.errors import Refused
from cluster.fault_records import Fault
from cluster.faults import Links
from cluster.files import parse_topology, topology_source
from cluster.virtual.faults import ACTIONS, Machine
from cluster.virtual.replication import Replication
from cluster.virtual.service import OK, Illness, Service
from stsd.capacity import Capacity

A, B = "us-east-1", "eu-west-1"


@pytest.fixture
def machine() -> Machine:
    where = parse_topology(*topology_source("three_regions"))
    links = Links(where.regions, where.between)
    world = Replication(1, links, "replay")
    return Machine({region: Service(world.scheduler) for region in where.regions}, world, links)


def do(machine: Machine, *faults: Fault) -> None:
    for fault in faults:
        assert sum(ACTIONS[fault.action](machine, fault)) > 0


@pytest.mark.parametrize(
    ("fault", "illness"),
    [
        (Fault(0, "error-rate", A, share=0.25), Illness(error_share=0.25, error_status=503)),
        (Fault(0, "error-rate", A, share=0.25, status=500), Illness(error_share=0.25, error_status=500)),
        (Fault(0, "grey", A), Illness(grey_status=500)),
        (Fault(0, "grey", A, status=503), Illness(grey_status=503)),
        (Fault(0, "brown-out", A, times=10, ms=250), Illness(times=10, late_s=0.25)),
        (Fault(0, "stall", A, ms=50), Illness(stall_s=0.05)),
    ],
)
def test_what_goes_wrong_inside_a_node_has_its_amount_and_no_other_node_has_it(machine, fault, illness):
    do(machine, fault)
    assert machine.services[A].illness == illness
    assert machine.services[B].illness == Illness()


def test_what_is_wrong_inside_a_node_adds_up(machine):
    do(machine, Fault(0, "stall", A, ms=20), Fault(0, "error-rate", A, share=0.5), Fault(0, "brown-out", A, ms=100))
    assert machine.services[A].illness == Illness(error_share=0.5, error_status=503, late_s=0.1, stall_s=0.02)


@pytest.mark.parametrize(
    ("fault", "capacity"),
    [
        (Fault(0, "capacity", A, per_s=40), Capacity(40, None)),
        (Fault(0, "capacity", A, per_s=40, queue_ms=200), Capacity(40, 0.2)),
        (Fault(0, "capacity", A, per_s=40, queue_ms=0), Capacity(40, 0.0)),
        (Fault(0, "capacity", A), None),
    ],
)
def test_a_lowered_capacity_has_a_bound_to_its_queue_only_where_one_is_told(machine, fault, capacity):
    machine.services[A].capacity = Capacity(1, 1)
    do(machine, fault)
    assert machine.services[A].capacity == capacity


@pytest.mark.parametrize("one_way", [True, False])
def test_a_cut_is_of_one_direction_or_of_both(machine, one_way):
    do(machine, Fault(0, "partition", A, B, one_way=one_way))
    assert (machine.links.of(A, B).cut, machine.links.of(B, A).cut) == (True, not one_way)


def test_a_link_is_slower_or_lossy_by_what_is_told(machine):
    do(machine, Fault(0, "slow", A, B, ms=35), Fault(0, "lose", A, B, share=0.5))
    assert (machine.links.of(A, B).extra_ms, machine.links.of(A, B).loss) == (35, 0.5)


def test_a_paused_node_is_paused_for_clients_and_for_other_nodes_and_goes_on_for_both(machine):
    do(machine, Fault(0, "pause", A))
    assert (machine.services[A].state, machine.world.node(A).paused) == ("paused", True)
    do(machine, Fault(0, "resume", A))
    assert (machine.services[A].state, machine.world.node(A).paused) == ("up", False)


def test_a_killed_node_sends_nothing_that_it_had_not_sent(machine):
    forgotten = []
    machine.world.calls.forget = forgotten.append
    do(machine, Fault(0, "kill", A))
    assert (machine.services[A].state, machine.world.node(A).process) == ("killed", None)
    assert forgotten == [A]


def test_an_empty_disk_kills_and_a_full_one_does_not(machine):
    do(machine, Fault(0, "full-disk", A), Fault(0, "empty-disk", B))
    assert (machine.services[A].state, machine.services[B].state) == ("up", "killed")
    assert (machine.world.node(A).disk.full, machine.world.node(B).disk.full) == (True, False)


def test_of_a_region_that_is_ill_health_checks_know_nothing(machine):
    do(machine, Fault(0, "grey", A), Fault(0, "error-rate", A, share=1.0), Fault(0, "capacity", A, per_s=0.001))
    ready = machine.services[A].ask("readyz")
    machine.world.scheduler.run(1)
    assert ready.value == OK


@pytest.mark.parametrize(
    ("before", "fault"),
    [
        ("kill", Fault(0, "kill", A)),
        ("kill", Fault(0, "pause", A)),
        ("kill", Fault(0, "resume", A)),
        ("kill", Fault(0, "grey", A)),
        ("kill", Fault(0, "capacity", A, per_s=9)),
        ("kill", Fault(0, "full-disk", A)),
        ("pause", Fault(0, "start", A)),
        ("pause", Fault(0, "error-rate", A, share=1.0)),
    ],
    ids=lambda given: given if isinstance(given, str) else given.action,
)
def test_what_a_killed_or_paused_node_cannot_do_is_refused_as_on_processes(machine, before, fault):
    do(machine, Fault(0, before, A))
    state = machine.services[A].state
    with pytest.raises(Refused, match=f"{fault.action} {A} did not work: {A} is {state}"):
        do(machine, fault)
    assert (machine.services[A].state, machine.services[A].illness) == (state, Illness())


def test_a_heal_leaves_what_is_wrong_inside_a_paused_node_until_it_goes_on(machine):
    do(machine, Fault(0, "grey", A), Fault(0, "pause", A), Fault(0, "heal"))
    assert machine.services[A].illness == Illness(grey_status=500)
    do(machine, Fault(0, "resume", A), Fault(0, "heal"))
    assert machine.services[A].illness == Illness()


def test_the_disk_of_a_node_that_starts_again_is_not_full_any_more(machine):
    do(machine, Fault(0, "full-disk", A), Fault(0, "kill", A), Fault(0, "start", A))
    assert (machine.services[A].state, machine.world.node(A).disk.full) == ("up", False)


def test_the_disk_of_a_killed_node_can_be_lost_too(machine):
    do(machine, Fault(0, "kill", A))
    assert [*ACTIONS["empty-disk"](machine, Fault(0, "empty-disk", A))] == []
    assert machine.world.node(A).wiped
