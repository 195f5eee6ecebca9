"""How soon a revocation is enforced everywhere, in virtual time, on links that take as long as the real ones.

Healthy: from when its region has stored it until the last region enforces it. After heal: the regions are cut into two
halves, and what was stored meanwhile counts from the end of the cut. Nothing is lost on these links: TCP sends again,
and a spike is in the model of the delay (cluster.latency).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from cluster import latency
from cluster.history import percentile
from cluster.sim.client import Request
from cluster.sim.machine import Machine
from cluster.sim.network import Delay
from cluster.sim.world import World
from cluster.topology import RoundTrip

HEALTHY_S = 20.0
CUT_S = 10.0
SETTLE_S = 5.0
ENOUGH_FOR_P99 = 1_000
ENOUGH_FOR_P999 = 20_000
Condition = str
HEALTHY, AFTER_HEAL = "healthy", "after heal"
Table = Mapping[tuple[str, str], RoundTrip]


def delays(table: Table) -> Delay:
    """One way between two regions, by the measured round trips."""
    links = {(a, b): latency.link(trip, local=a == b) for (a, b), trip in table.items()}

    def delay_s(chance: Random, sender: str, receiver: str) -> float:
        return latency.one_way_ms(links[(sender, receiver)], chance) / 1000

    return delay_s


@dataclass(slots=True)
class Convergence:
    """Seconds until the last region, by condition, for one number of regions; `heals` worlds were measured, and each
    has one."""

    regions: int
    samples: dict[Condition, list[float]] = field(default_factory=lambda: {HEALTHY: [], AFTER_HEAL: []})
    heals: int = 0

    @property
    def fewest(self) -> int:
        """How many samples the condition has that has fewer."""
        return min(map(len, self.samples.values()))

    def rows(self) -> list[dict[str, Any]]:
        """As JSON values; a p99 needs 1,000 samples and a p99.9 20,000 (multiregion 0.1)."""
        return [
            {"regions": self.regions, "condition": name, "heals": self.heals, **_percentiles(each)}
            for name, each in self.samples.items()
        ]


def measure(seed: int, regions: Sequence[str], delay_s: Delay, into: Convergence) -> World:
    """One world: a healthy while, a cut, and its end."""
    replay = f"python -m cluster.sim --replay {seed} --regions {len(regions)}"
    world = World(seed, regions=regions, delay_s=delay_s, replay=replay)
    reached: dict[bytes, int] = {}
    healed_at = 0.0

    def arrived(node: Machine, asked: Request) -> None:
        reached[asked.entry] = reached.get(asked.entry, 0) + 1
        if reached[asked.entry] < len(regions) - 1 or asked.stored_at is None:
            return
        if asked.stored_at < HEALTHY_S:
            into.samples[HEALTHY].append(world.scheduler.now - asked.stored_at)
        elif healed_at and asked.stored_at < healed_at:
            into.samples[AFTER_HEAL].append(world.scheduler.now - healed_at)

    world.arrived = arrived
    world.run(until=HEALTHY_S + SETTLE_S)
    halves = regions[: len(regions) // 2], regions[len(regions) // 2 :]
    links = [link for a in halves[0] for b in halves[1] for link in ((a, b), (b, a))]
    world.network.cut(links)
    world.run(until=HEALTHY_S + SETTLE_S + CUT_S)
    world.network.mend(links)
    healed_at = world.scheduler.now
    world.run(until=healed_at + SETTLE_S)
    return world


def _percentiles(samples: Sequence[float]) -> dict[str, Any]:
    def at(share: float, enough: int) -> float | None:
        return round(percentile(samples, share) * 1000, 1) if len(samples) >= enough else None

    return {
        "samples": len(samples),
        "p50_ms": at(0.5, 1),
        "p99_ms": at(0.99, ENOUGH_FOR_P99),
        "p999_ms": at(0.999, ENOUGH_FOR_P999),
    }
