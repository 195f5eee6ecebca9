"""Who is lost when a region dies and the others have only so much room: router policies against spare capacity.

Every region has a load of `load` times its capacity from its own clients. When one dies, its clients go where the
router's policy sends them, and a region that gets more than it can serve loses the excess.

| policy | where a dead region's clients go |
|---|---|
| `home-2011` | everybody is at the home region, which is as large as all of them: nowhere, if it dies |
| `nearest` | nowhere |
| `nearest-failover` | to the nearest living region, all of them |
| `weighted` | to every living region, by its spare capacity |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cluster.routing import nearest_first
from cluster.topology import Topology

POLICIES = ("home-2011", "nearest", "nearest-failover", "weighted")
LOADS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.97)


def spilled(topology: Topology, policy: str, dead: str, load: float) -> Mapping[str, float]:
    """The load of each living region that comes from the dead one's clients, in capacities of a region."""
    living = [region for region in topology.regions if region != dead]
    if policy in ("home-2011", "nearest"):
        return {}
    if policy == "weighted":
        return dict.fromkeys(living, load / len(living))  # all have the same spare capacity
    return {next(region for region in nearest_first(topology, dead) if region != dead): load}


def lost_share(topology: Topology, policy: str, dead: str, load: float) -> float:
    """Of all clients in the world, those without an answer while `dead` is dead."""
    regions = topology.regions
    if policy == "home-2011":
        return 1.0 if dead == topology.home else 0.0
    spill = spilled(topology, policy, dead, load)
    if not spill:
        return 1 / len(regions)
    return sum(max(0.0, load + more - 1.0) for more in spill.values()) / (load * len(regions))


def worst(topology: Topology, policy: str, load: float) -> tuple[float, float]:
    """The mean and the largest share lost, over the regions that may die."""
    shares = [lost_share(topology, policy, dead, load) for dead in topology.regions]
    return sum(shares) / len(shares), max(shares)


def cliff(topology: Topology, policy: str, loads: Sequence[float]) -> float | None:
    """The highest of `loads` at which nobody is lost whichever region dies; None if there is none."""
    return max((load for load in loads if worst(topology, policy, load)[1] < 1e-9), default=None)
