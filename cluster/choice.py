"""A policy at work: which region a call at the global endpoint is sent to, and which one next. Pure.

Joins `routing` (the order), `outlier` (who can be sent to), `dns` and what regions have to spare.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from random import Random

from cluster import dns, outlier, routing
from cluster.outlier import CallClass, RegionHealth, Skipped
from cluster.routing import Policy
from cluster.topology import Topology

Spare = Callable[[], Mapping[str, tuple[float, float]]]
"""Of each region: how many calls a second it has to spare, or anything in proportion to it, and as a share."""


class Chooser:
    """The policy of one router. `policy` may be changed at any moment; the next call follows it."""

    def __init__(
        self,
        topology: Topology,
        policy: str,
        health: Mapping[str, RegionHealth],
        rng: Random,
        spare: Spare,
        ttl_s: float = dns.TTL_S,
    ) -> None:
        self._topology, self._health, self._rng, self._spare, self._ttl_s = topology, health, rng, spare, ttl_s
        self.policy: Policy
        self._orders: dict[str, tuple[str, ...]] = {}
        self.use(policy)

    def use(self, name: str) -> None:
        """Changes the policy. Raises routing.PolicyError and changes nothing."""
        self.policy = routing.find(name)
        self._orders = {}
        self._resolver = dns.Resolver(self._rng, self._ttl_s)

    @property
    def told_for_s(self) -> float:
        """How long what a place was told may go on to count."""
        return self._ttl_s if self.policy.resolves else 0.0

    def order(self, place: str) -> tuple[str, ...]:
        """The regions for a place, nearest first, whatever their health."""
        if place not in self._orders:
            self._orders[place] = self.policy.order(self._topology, place)
        return self._orders[place]

    def first(self, place: str, call: CallClass, now: float) -> tuple[str, Skipped]:
        """Where a call of a client at `place` goes, and who was left out and why."""
        order = self._orders.get(place) or self.order(place)
        if self.policy.resolves:
            return self._resolver.resolve(place, order, self._health, now), []
        if self.policy.spreads:
            order = self._spread(order)
        region, skipped = outlier.choose(order, self._health, call, now, self._rng)
        assert region is not None
        return region, skipped

    def next(self, place: str, call: CallClass, now: float, tried: Collection[str]) -> tuple[str | None, Skipped]:
        """Where the call may go now that `tried` failed; None for nowhere."""
        if not self.policy.failover:
            return None, []
        order = self._spread(self.order(place)) if self.policy.spreads else self.order(place)
        return outlier.choose(order, self._health, call, now, self._rng, tried)

    def _spread(self, order: tuple[str, ...]) -> tuple[str, ...]:
        spare = self._spare()
        left = {region: spare[region][0] for region in order}
        return routing.spread(order, left, spare[order[0]][1], self._rng)
