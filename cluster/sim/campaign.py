"""Many simulated worlds, one after the other, and what they saw, as one JSON object.

| key | |
|---|---|
| `seed`, `commit`, `minutes` | the first seed, the commit, the CPU time asked for |
| `worlds`, `virtual_hours` | histories checked, one for each seed, and how long they lasted in virtual time |
| `faults` | how often each kind began |
| `revocations`, `acknowledged` | asked for by clients, and answered |
| `verifications`, `denied` | sessions that nodes were asked about, and how many of them were refused |
| `forgeries` | messages that a malicious relay made up or changed |
| `pruned`, `adopted` | batches dropped as over, and logs that went on from a peer's floor |
| `lost`, `resurrected`, `false_denials` | worlds that broke invariants 1, 6 and 7 |
| `broken` | of every broken world: `invariant`, `seed`, `text`, `replay` |
| `convergence` | rows of `regions`, `condition` (`healthy`, `after heal`), `heals`, `samples`, and `p50_ms`, `p99_ms`,
  `p999_ms` |

The last are virtual milliseconds until the last region enforces a revocation (convergence), null without enough
samples; one sample is one revocation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cluster.sim.convergence import Convergence, Table, delays, measure
from cluster.sim.invariants import InvariantBroken
from cluster.sim.world import World

SIZES = (2, 3, 4, 5)
TROUBLED_S = (15.0, 30.0, 60.0)
COUNTED = {1: "lost", 6: "resurrected", 7: "false_denials"}
MEASURED_REGIONS = (3, 6, 12)


def live(seed: int) -> World:
    """The world of a seed, from its start to its agreement; the seed decides its size and how long faults last. Raises
    InvariantBroken."""
    world = World(seed, size=SIZES[seed % len(SIZES)], replay=f"python -m cluster.sim --replay {seed}")
    world.run(until=TROUBLED_S[seed // len(SIZES) % len(TROUBLED_S)])
    world.heal()
    world.eventually_all_agree()
    return world


@dataclass(slots=True)
class Campaign:
    """What all worlds together saw. `regions` are at least as many as are measured; `table` has their round trips."""

    seed: int
    regions: Sequence[str]
    table: Table
    worlds: int = 0
    virtual_s: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    broken: list[dict[str, Any]] = field(default_factory=list)
    convergence: dict[int, Convergence] = field(default_factory=dict)

    def next_world(self) -> None:
        """One more world with faults."""
        seed = self.seed + self.worlds
        self.worlds += 1
        try:
            self._count(live(seed))
        except InvariantBroken as broken:
            self._note(broken, seed, f"python -m cluster.sim --replay {seed}")

    def next_measurement(self) -> None:
        """One more world without faults but a cut, for each number of regions."""
        for size in MEASURED_REGIONS:
            self._measure(size)

    def measure_until(self, samples: int) -> None:
        """More such worlds, until convergence has so many samples in each row; what breaks an invariant ends them."""
        for size in MEASURED_REGIONS:
            while not self.broken and self._found(size).fewest < samples:
                self._measure(size)

    def _found(self, size: int) -> Convergence:
        return self.convergence.setdefault(size, Convergence(size))

    def _measure(self, size: int) -> None:
        found = self._found(size)
        seed = self.seed + found.heals
        found.heals += 1
        try:
            world = measure(seed, self.regions[:size], delays(self.table), found)
        except InvariantBroken as broken:
            self._note(broken, seed, f"python -m cluster.sim --replay {seed} --regions {size}")
        else:
            self.virtual_s += world.scheduler.now

    def result(self, minutes: float, commit: str) -> Mapping[str, Any]:
        """The JSON object of the table above."""
        numbers = Counter(broken["invariant"] for broken in self.broken)
        return {
            "seed": self.seed,
            "commit": commit,
            "minutes": minutes,
            "worlds": self.worlds,
            "virtual_hours": round(self.virtual_s / 3600, 2),
            "faults": dict(sorted(self.faults.items())),
            **{name: self.counts[name] for name in TALLIED.values()},
            **{name: numbers[number] for number, name in COUNTED.items()},
            "broken": self.broken,
            "convergence": [row for each in self.convergence.values() for row in each.rows()],
        }

    def _note(self, broken: InvariantBroken, seed: int, replay: str) -> None:
        self.broken.append({"invariant": broken.number, "seed": seed, "text": str(broken), "replay": replay})

    def _count(self, world: World) -> None:
        self.virtual_s += world.scheduler.now
        self.faults.update(world.tally.faults)
        self.counts.update({name: getattr(world.tally, tally) for tally, name in TALLIED.items()})


TALLIED = {
    "requests": "revocations",
    "acknowledged": "acknowledged",
    "verified": "verifications",
    "denied": "denied",
    "forged": "forgeries",
    "pruned": "pruned",
    "adopted": "adopted",
}
"""Names of a world's tally, and of the result."""
