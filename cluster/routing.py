"""For a client's place: the regions to try, in order. Health is not looked at here (see `outlier`).

| policy | regions |
|---|---|
| `home-2011` | the home region only, as the global endpoint was from 2011 |
| `nearest-failover` | all, nearest first by the topology's median round trip |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cluster.topology import Topology

Order = Callable[[Topology, str], tuple[str, ...]]


def home_only(topology: Topology, location: str) -> tuple[str, ...]:
    """The home region, wherever the client is."""
    return (topology.home,)


def nearest_first(topology: Topology, location: str) -> tuple[str, ...]:
    """Every region, nearest first; the topology's order decides between equals."""
    return tuple(sorted(topology.regions, key=lambda region: topology.rtt[location, region].p50_ms))


POLICIES: Mapping[str, Order] = {"home-2011": home_only, "nearest-failover": nearest_first}
DEFAULT_POLICY = "nearest-failover"
LATER_POLICIES = frozenset({"global-2025", "nearest", "weighted", "hedged", "dns"})


class PolicyError(ValueError):
    """A policy that does not exist, or not yet; the text names it and what is allowed."""


def find(policy: str) -> Order:
    """The order of a policy by its name. Raises PolicyError."""
    if policy in POLICIES:
        return POLICIES[policy]
    fault = "is not supported yet" if policy in LATER_POLICIES else "is not a policy"
    raise PolicyError(f"--policy {policy}: {fault}; choose {' or '.join(POLICIES)}")
