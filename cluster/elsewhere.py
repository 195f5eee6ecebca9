"""An experiment on another topology than its own: does it mean something there, and how much load is it. Pure.

Clients and revocations grow with places and pairs, a machine does not: all clients together send no more than on the
experiment's own topology or TOTAL_PER_S, whichever is more, and all regions together ask about revocations as often as
on its own one. Requirements in milliseconds stay those of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from cluster import fault_records
from cluster.experiment import Experiment
from cluster.load import groups
from cluster.topology import Topology

TOTAL_PER_S = 120.0
_REGIONS = ("region", "not_region", "origin", "observer")


def refusals(experiment: Experiment, there: Topology) -> list[str]:
    """Why it cannot be run there, a line each; empty when it can."""
    if experiment.tied:
        return [f"it is tied to {experiment.topology}: {experiment.tied}; allowed is no --topology"]
    return misplaced(experiment, there)


def misplaced(experiment: Experiment, there: Topology, *, quick: bool = False) -> list[str]:
    """A line for each place of a fault or a check that `there` has not; of `quick` forms, of checks that they have."""
    return [*fault_records.check_places(experiment.faults, there.regions), *_unknown(experiment, there, quick)]


def _unknown(experiment: Experiment, there: Topology, quick: bool) -> Iterable[str]:
    for index, check in enumerate(experiment.checks):
        if quick and not check.quick:
            continue
        for member in _REGIONS:
            if (name := getattr(check, member)) and name not in there.regions:
                allowed = ", ".join(there.regions)
                yield f"checks[{index}].{member}: {name} is not a region there; allowed are {allowed}"
        if check.location and check.location not in there.locations:
            allowed = ", ".join(there.locations)
            yield f"checks[{index}].location: nobody calls from {check.location} there; allowed are {allowed}"


def moved(experiment: Experiment, asked: str, there: Topology, own: Topology) -> Experiment:
    """The same on `there`, which `asked` names; `own` is where it would be run else."""
    load, revoking = experiment.load, experiment.revoking
    before = load.arrivals_per_s * len(groups(own, load.regional))
    total = load.arrivals_per_s * len(groups(there, load.regional))
    share = min(1.0, max(before, TOTAL_PER_S) / total) if total else 1.0
    fewer = min(1.0, _pairs(own) / _pairs(there)) if _pairs(there) else 1.0
    return replace(
        experiment,
        topology=asked,
        elsewhere=True,
        load=replace(load, arrivals_per_s=load.arrivals_per_s * share),
        revoking=None if revoking is None else replace(revoking, per_s=revoking.per_s * fewer),
    )


def _pairs(topology: Topology) -> int:
    """How many ordered pairs of regions there are."""
    return len(topology.regions) * (len(topology.regions) - 1)
