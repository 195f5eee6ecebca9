"""What each fault of an experiment does in virtual time; a fault that is not in the table cannot be simulated."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from cluster.disturb import ERROR_STATUS, GREY_STATUS
from cluster.errors import Refused
from cluster.fault_records import Fault
from cluster.faults import Links
from cluster.virtual.replication import Replication
from cluster.virtual.service import WELL, Service, State
from cluster.virtual.tasks import Steps
from stsd.capacity import Capacity

ORDER_S = 0.01
"""From an order until it is obeyed."""
START_S = 0.9
"""From the start of a node's process until it is ready."""
POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class Machine:
    """What faults act on: each region's node as clients and as other nodes see it, and the links between them."""

    services: Mapping[str, Service]
    world: Replication
    links: Links


Obey = Callable[[Machine, Fault], Steps]


def _kill(machine: Machine, fault: Fault) -> Steps:
    _check(machine, fault, "up", "paused")
    machine.services[fault.region].kill()
    machine.world.node(fault.region).crash()
    machine.world.calls.forget(fault.region)
    yield ORDER_S


def _start(machine: Machine, fault: Fault) -> Steps:
    """Ready when the process is there and, on a new disk, has caught up."""
    _check(machine, fault, "up", "killed")
    yield START_S
    node = machine.world.node(fault.region)
    if node.process is None:
        node.disk.recover()
        machine.world.start(node)
        while node.serving is None:
            yield POLL_S
        machine.services[fault.region].start()


def _pause(machine: Machine, fault: Fault) -> Steps:
    _check(machine, fault, "up", "paused")
    machine.services[fault.region].pause()
    machine.world.node(fault.region).paused = True
    yield ORDER_S


def _resume(machine: Machine, fault: Fault) -> Steps:
    _check(machine, fault, "up", "paused")
    machine.services[fault.region].resume()
    machine.world.node(fault.region).resume()
    yield ORDER_S


def _partition(machine: Machine, fault: Fault) -> Steps:
    yield from _order(machine, {"verb": "partition", **_pair(fault), "one_way": fault.one_way})


def _isolate(machine: Machine, fault: Fault) -> Steps:
    yield from _order(machine, {"verb": "isolate", **({"first": fault.region} if fault.region else {})})


def _slow(machine: Machine, fault: Fault) -> Steps:
    yield from _order(machine, {"verb": "slow", **_pair(fault), "ms": fault.ms})


def _lose(machine: Machine, fault: Fault) -> Steps:
    yield from _order(machine, {"verb": "lose", **_pair(fault), "share": fault.share})


def _heal(machine: Machine, fault: Fault) -> Steps:
    if fault.to or not fault.region:
        yield from _order(machine, {"verb": "heal", **(_pair(fault) if fault.to else {})})
    for region in () if fault.to else [fault.region] if fault.region else machine.services:
        machine.world.node(region).disk.recover()
        if machine.services[region].state != "paused":  # a paused node is told nothing
            machine.services[region].capacity, machine.services[region].illness = None, WELL


def _ill(machine: Machine, fault: Fault) -> Steps:
    """What goes wrong inside a node, beside what does already."""
    _check(machine, fault, "up")
    yield ORDER_S
    service = machine.services[fault.region]
    match fault.action:
        case "error-rate":
            service.illness = replace(
                service.illness, error_share=fault.share, error_status=fault.status or ERROR_STATUS
            )
        case "grey":
            status = GREY_STATUS if fault.status is None else fault.status
            service.illness = replace(service.illness, grey_status=status)
        case "brown-out":
            service.illness = replace(service.illness, times=fault.times, late_s=fault.ms / 1000)
        case "stall":
            service.illness = replace(service.illness, stall_s=fault.ms / 1000)


def _full_disk(machine: Machine, fault: Fault) -> Steps:
    _check(machine, fault, "up", "paused")
    yield ORDER_S
    machine.world.node(fault.region).disk.full = True


def _empty_disk(machine: Machine, fault: Fault) -> Steps:
    if machine.services[fault.region].state != "killed":
        yield from _kill(machine, fault)
    machine.world.lose_disk(fault.region, journal_only=fault.journal_only)


def _capacity(machine: Machine, fault: Fault) -> Steps:
    _check(machine, fault, "up")
    yield ORDER_S
    queue_s = None if fault.queue_ms is None else fault.queue_ms / 1000
    machine.services[fault.region].capacity = Capacity(fault.per_s, queue_s) if fault.per_s else None


def _check(machine: Machine, fault: Fault, *states: State) -> None:
    """Raises Refused for what a supervisor, or a node itself, refuses in a state that is none of these."""
    state = machine.services[fault.region].state
    if state not in states:
        raise Refused(f"{fault.action} {fault.region} did not work: {fault.region} is {state}")


def _order(machine: Machine, order: Mapping[str, object]) -> Steps:
    yield ORDER_S
    machine.links.obey(order)
    machine.world.calls.release()


def _pair(fault: Fault) -> dict[str, str]:
    return {"first": fault.region, "second": fault.to}


ACTIONS: Mapping[str, Obey] = {
    "kill": _kill,
    "start": _start,
    "pause": _pause,
    "resume": _resume,
    "partition": _partition,
    "isolate": _isolate,
    "slow": _slow,
    "lose": _lose,
    "heal": _heal,
    "capacity": _capacity,
    "error-rate": _ill,
    "grey": _ill,
    "brown-out": _ill,
    "stall": _ill,
    "full-disk": _full_disk,
    "empty-disk": _empty_disk,
}
"""By what is done when a fault comes (see `fault_records.done`)."""
