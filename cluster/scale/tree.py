"""How a revocation reaches every node: from its origin to the heads of all regions, from there down a tree in each.

A region has HEADS heads, for redundancy: each gets the revocation by itself and passes it to the others, so a head has
what reaches any of them first. The other nodes hang below the heads, `fan_out` below each node. Each hop takes the way
(half of the measured round trip between regions, LAN_S_MIN and more within one), waits for the sender's batching window
and its turn among the sender's other receivers, and for the receiver to check a signature and apply. A hop stalls with
the latency model's spikes; nobody waits for one longer than for the next exchange of heads, a second at most.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from cluster import latency
from cluster.latency import Link

HEADS = 3
LAN_S_MIN = 0.0003
LAN_S_MEAN = 0.0002
"""A hop within a region: at least the first, and exponentially the second on top."""
SEND_S = 0.00004
"""CPU time of one more receiver."""
APPLY_S = 0.0025
"""To open, check, store and apply what came: what the exact simulation has for a call and its commit."""
GOSSIP_S = 1.0


@dataclass(frozen=True, slots=True)
class Tree:
    """The shape within each region; `window_s` is how long a sender gathers before it sends."""

    nodes: int
    fan_out: int = 32
    window_s: float = 0.005
    heads: int = HEADS

    def parents(self) -> list[int]:
        """The parent of each node by number; heads are their own, and whoever comes later hangs further down."""
        heads = min(self.heads, self.nodes)
        return [number if number < heads else self._parent(number, heads) for number in range(self.nodes)]

    def _parent(self, number: int, heads: int) -> int:
        """Level by level: `heads` times `fan_out` below the heads, `fan_out` times as many below those, …"""
        first, above, width = heads, 0, heads * self.fan_out
        while number >= first + width:
            first, above, width = first + width, first, width * self.fan_out
        return above + (number - first) // self.fan_out


def hop_s(window_s: float, turn: int, rng: Random) -> float:
    """Seconds from when a node has something until its receiver number `turn` has applied it, within a region."""
    took_s = LAN_S_MIN - LAN_S_MEAN * math.log(1 - rng.random())
    took_s += window_s * rng.random() + turn * SEND_S + APPLY_S
    if rng.random() < latency.SPIKE_PROBABILITY:
        took_s += min(latency.spike_ms(rng) / 1000, GOSSIP_S * rng.random() + LAN_S_MEAN)
    return took_s


def between_s(link: Link, window_s: float, rng: Random) -> float:
    """The same between regions: a stalled way is found out by the next exchange of heads and its answer."""
    took_s = min(latency.one_way_ms(link, rng) / 1000, GOSSIP_S + 3 * link.base_ms / 1000)
    return took_s + window_s * rng.random() + APPLY_S


def arrivals(
    origin: str,
    regions: Sequence[str],
    links: Mapping[tuple[str, str], Link],
    tree: Tree,
    parents: Sequence[int],
    rng: Random,
) -> list[float]:
    """Seconds until each node of every region has applied a revocation of a head of `origin`."""
    found: list[float] = []
    heads = min(tree.heads, tree.nodes)
    for region in regions:
        if region == origin:
            first = [0.0, *(hop_s(tree.window_s, turn, rng) for turn in range(heads - 1))]
        else:
            first = [between_s(links[origin, region], tree.window_s, rng) for _ in range(heads)]
            earliest = min(first)
            first = [min(own, earliest + hop_s(tree.window_s, 0, rng)) for own in first]
        below = list(first)
        for number in range(heads, tree.nodes):
            below.append(below[parents[number]] + hop_s(tree.window_s, (number - heads) % tree.fan_out, rng))
        found += below
    return found
