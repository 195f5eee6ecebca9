"""What a router is told at its start, and what each of its ports stands for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cluster import dns, routing
from cluster.topology import Ports, Topology
from stsd.wire.messages import Endpoint

if TYPE_CHECKING:
    from cluster.canary import ReadKey
    from cluster.delay import Paths

PARTS = ("active-checks", "deep-checks", "breakers", "shedding", "admission", "retries")
"""What a router can do without."""
CONNECT_TIMEOUT_S, ANSWER_TIMEOUT_S = 1.0, 5.0
DIRECT = "direct"
"""The `location` label of the port that adds no latency."""


@dataclass(frozen=True, slots=True)
class RouterConfig:
    """Settings of one router.

    `upstreams` maps regions to (host, port). `answer_timeout_s` bounds every wait for a region's bytes, on top of what
    the caller asks for (`forwarding.asked_wait_s`) or the caller's issuer may take (`waiting.keys_wait_s`): higher lets
    a slow region answer, and lets a hanging one hold its callers as long. `seed` decides jitter and all other chance.
    """

    topology: Topology
    upstreams: Mapping[str, tuple[str, int]]
    ports: Ports
    cluster_key: bytes = field(repr=False)
    policy: str = routing.DEFAULT_POLICY
    dns_ttl_s: float = dns.TTL_S
    pinned: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """Ports of the global endpoint that choose nothing, by place and the region that they lead to; for another proxy to
    choose among."""
    without: frozenset[str] = frozenset()
    """Of PARTS, what is left out, so that experiments can show what it is good for."""
    read_key: ReadKey | None = None
    """The key that deep checks sign with; None for no deep checks."""
    drain_s: float = 0.0
    """How long `/readyz` says 503 before the router stops to listen: long enough for whoever asks it to notice."""
    host: str = "127.0.0.1"
    seed: int | None = None
    connect_timeout_s: float = CONNECT_TIMEOUT_S
    answer_timeout_s: float = ANSWER_TIMEOUT_S
    unsafe_test_hooks: bool = False


def pinned_ports(topology: Topology, first: int) -> dict[tuple[str, str], int]:
    """Ports from `first` on for every place and region, region by region for one place after the other."""
    pairs = [(place, region) for place in topology.locations for region in topology.regions]
    return {pair: first + i for i, pair in enumerate(pairs)}


@dataclass(slots=True)
class View:
    """One port: whose view it is, the one region it leads to (of a regional endpoint, or pinned; else empty), and the
    paths (none without latency).
    `place` is where its clients count as being."""

    endpoint: Endpoint
    location: str
    place: str
    region: str
    paths: Mapping[str, Paths]
