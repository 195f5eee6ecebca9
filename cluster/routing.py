"""For a client's place: the regions to try, in order. Health is not looked at here (see `outlier`).

| policy | regions | another one when that fails |
|---|---|---|
| `home-2011` | the home region only, as the global endpoint was from 2011 | never |
| `global-2025` | the nearest; from places in opt-in regions the home region, as it is since 2025 | never |
| `nearest` | the nearest | never |
| `nearest-failover` | all, nearest first by the topology's median round trip | yes |
| `weighted` | the nearest while it has capacity to spare; the rest is drawn among the others by theirs | yes |
| `hedged` | as `nearest-failover`; a second region is asked when the first takes longer than usual (`hedging`) | yes |
| `dns` | the one that the global name resolves to at that place (`dns`), until the answer's TTL ends | never |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from cluster.topology import Topology

Order = Callable[[Topology, str], tuple[str, ...]]

SPARE_MIN = 0.2
"""The share of its capacity that the nearest region keeps to spare before `weighted` sends calls elsewhere."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How the router chooses. `failover`: another region may be tried. The rest are what one policy alone does."""

    name: str
    order: Order
    failover: bool = False
    spreads: bool = False
    hedges: bool = False
    resolves: bool = False


def home_only(topology: Topology, location: str) -> tuple[str, ...]:
    """The home region, wherever the client is."""
    return (topology.home,)


def nearest_first(topology: Topology, location: str) -> tuple[str, ...]:
    """Every region, nearest first; the topology's order decides between equals."""
    return tuple(sorted(topology.regions, key=lambda region: topology.away_ms(location, region)))


def nearest_only(topology: Topology, location: str) -> tuple[str, ...]:
    """The nearest region."""
    return nearest_first(topology, location)[:1]


def own_or_home(topology: Topology, location: str) -> tuple[str, ...]:
    """The nearest region of those that nobody has to opt in to; home for a place in an opt-in region."""
    if location in topology.opt_in:
        return (topology.home,)
    served = [region for region in nearest_first(topology, location) if region not in topology.opt_in]
    return (served[0] if served else topology.home,)


POLICIES: Mapping[str, Policy] = {
    policy.name: policy
    for policy in (
        Policy("home-2011", home_only),
        Policy("global-2025", own_or_home),
        Policy("nearest", nearest_only),
        Policy("nearest-failover", nearest_first, failover=True),
        Policy("weighted", nearest_first, failover=True, spreads=True),
        Policy("hedged", nearest_first, failover=True, hedges=True),
        Policy("dns", nearest_first, resolves=True),
    )
}
DEFAULT_POLICY = "nearest-failover"


class PolicyError(ValueError):
    """A policy that does not exist; the text names it and what is allowed."""


def find(name: str) -> Policy:
    """A policy by its name. Raises PolicyError."""
    if name not in POLICIES:
        raise PolicyError(f"{name}: not a policy; choose {', '.join(POLICIES)}")
    return POLICIES[name]


def spread(order: Sequence[str], spare: Mapping[str, float], share: float, rng: Random) -> tuple[str, ...]:
    """The order with the nearest first while `share`, what it has to spare of its capacity, is enough. Those after it
    are drawn one after the other, each with a chance in proportion to its `spare` calls."""
    fixed = 1 if share >= SPARE_MIN else 0
    # Efraimidis and Spirakis: sorting by u^(1/w) draws without replacement by weight w.
    keys = {region: rng.random() ** (1 / max(spare[region], 1e-9)) for region in order[fixed:]}
    return (*order[:fixed], *sorted(keys, key=lambda region: -keys[region]))
