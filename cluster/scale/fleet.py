"""What many nodes in each region say to one experiment: the tables of `plan` that are about its question.

The file of an experiment runs in virtual time with one node in each region, a real core each. What a thousand nodes of
a region do is computed beside it, on the same regions and with the same seed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from cluster.experiment import Experiment
from cluster.files import parse_topology, topology_source
from cluster.scale import plan
from cluster.scale.plan import Part, Size
from cluster.scale.retries import seen_from

WHY_NONE: Mapping[str, str] = {
    "global-vs-regional": "it is about distances, which more nodes do not change",
    "brown-out": "it is about how one router sees one region, whatever there is behind it",
    "kill-during-revocation": "its nodes do not crash; `python -m cluster.sim` kills nodes in small worlds",
    "slow-node": "it needs three regions equally far from one place",
    "asymmetric-partition": "its region alone hears of nobody, by any way",
    "clock-skew": "all its clocks are right",
    "empty-disk-rejoin": "no node of it begins empty",
    "engine-swap": "it has no engine",
    "rolling-upgrade": "it has one version",
}
"""Why no table is about an experiment; "it" is the world of many nodes where there is a question of that kind."""


def storms(size: Size, one: Experiment) -> Part:
    """Retries of clients in all regions; what they send together is what the experiment's own places do."""
    home = parse_topology(*topology_source(one.topology))
    return plan.storms(size, one, len(home.locations), seen_from(home, size.topology))


def _asked(*parts: Callable[[Size], Part]) -> Callable[[Size, Experiment], Iterator[Part]]:
    return lambda size, one: (part(size) for part in parts)


PARTS: Mapping[str, Callable[[Size, Experiment], Iterator[Part]]] = {
    "home-region-dies": _asked(plan.failovers),
    "revocation-convergence": _asked(plan.convergence, plan.calibration, plan.partitions),
    "revocation-convergence-split": _asked(plan.partitions),
    "revocation-convergence-tail": _asked(plan.convergence),
    "control-plane-outage": _asked(plan.partitions),
    "retry-storm": lambda size, one: iter([storms(size, one)]),
    "failover-herd": _asked(plan.failovers),
}


def tables(part: Part, nodes: int) -> Iterator[dict[str, Any]]:
    """The tables by names that tell them from the run's own."""
    return ({**table, "name": f"{table['name']}, {nodes:,} nodes in each region"} for table in part.tables)
