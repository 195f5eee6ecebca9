"""Retry amplification with clients everywhere: the experiment `retry-storm` on all regions, in virtual time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from cluster.experiment import Experiment
from cluster.history import Run
from cluster.topology import SAME_PLACE, Topology
from cluster.virtual.runner import VirtualRunner, judged


@dataclass(frozen=True, slots=True)
class Storm:
    """One kind of clients: attempts ÷ requests from the beginning of the overload on and after it, and the share lost
    in the overload and after it."""

    variant: str
    attempts: float
    attempts_after: float
    lost: float
    lost_after: float


def seen_from(home: Topology, world: Topology) -> Topology:
    """The regions of `home`, called from every region of `world`."""
    trips = {**world.between, **home.rtt}
    places = tuple(dict.fromkeys((*home.locations, *world.regions)))
    rtt = {(a, b): trips.get((a, b), SAME_PLACE) for a in places for b in home.regions}
    return replace(home, locations=places, rtt=rtt)


def storms(one: Experiment, places: int, where: Topology, seed: int) -> Iterator[Storm]:
    """The load that the experiment has from its `places` comes from all locations of `where` together; one seed."""
    per_place = one.load.arrivals_per_s * places / len(where.locations)
    spread = replace(judged(one), seeds=1, load=replace(one.load, arrivals_per_s=per_place))
    runner = VirtualRunner(spread, where, seed, lambda done_s, what: None)
    runner.run()
    return (_storm(run) for run in runner.runs)


def _storm(run: Run) -> Storm:
    begin, end = (event.began_at for event in (run.event("overload"), run.event("relief")) if event is not None)
    inside, after = _counted(run, begin, end), _counted(run, end, run.ended_at)
    return Storm(run.variant, _counted(run, begin, run.ended_at)[0], after[0], inside[1], after[1])


def _counted(run: Run, begin: float, end: float) -> tuple[float, float]:
    found = [exchange for exchange in run.measured if begin <= exchange.due_at < end]
    return sum(e.attempts for e in found) / len(found), sum(e.outcome != "ok" for e in found) / len(found)
