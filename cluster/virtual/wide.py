"""A topology with more regions than a machine has room for, from the measured table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations

from cluster.topology import SAME_PLACE, RttTable, Topology


def widened(topology: Topology, count: int, table: RttTable, known: Sequence[str]) -> Topology:
    """The topology with `count` regions: its own first, then those of `known` in order; each is a place of clients too.

    Raises ValueError when there are not so many, or fewer than it has.
    """
    own = topology.regions
    regions = tuple(dict.fromkeys((*own, *known)))[:count]
    most = len({*own, *known})
    if not len(own) <= count <= most:
        raise ValueError(f"give {len(own)} (its own regions) to {most} (with all that the table has)")
    locations = tuple(dict.fromkeys((*topology.locations, *regions)))
    trips = {**table, **topology.between, **topology.rtt}
    rtt = {(a, b): trips.get((a, b), SAME_PLACE) for a in locations for b in regions}
    between = {pair: trips[pair] for pair in permutations(regions, 2)}
    name = topology.name if count == len(own) else f"{topology.name}, {count} regions"
    return replace(topology, name=name, regions=regions, locations=locations, rtt=rtt, between=between)
