"""The global name as a resolver at a client's place sees it: one region until the answer's TTL ends. Pure.

The authority answers with the nearest region that its health check calls up, as Route 53's latency records do; where
none is up it answers as if all were. A region that the operator drains is left out while another one is up. It sees
health checks only, never requests. What it answered stays in use at that
place until the TTL ends, so a dead region goes on being called: at most the time of the check and the TTL.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from cluster.outlier import RegionHealth

TTL_S = 60.0
"""What the answers of Route 53 typically carry."""


@dataclass(slots=True)
class Resolver:
    """The caches of all places. Times are monotonic seconds."""

    rng: Random
    ttl_s: float = TTL_S
    _answers: dict[str, tuple[str, float]] = field(default_factory=dict)

    def resolve(self, place: str, order: Sequence[str], regions: Mapping[str, RegionHealth], now: float) -> str:
        """The region that the name means at `place`. The first answer of a place counts as cached some time ago, so
        that not all places ask at the same moment."""
        region, until = self._answers.get(place, ("", 0.0))
        if region in order and now < until:
            return region
        first = place not in self._answers
        up = [one for one in order if regions[one].up]
        region = next((one for one in up if not regions[one].draining), (up or order)[0])
        self._answers[place] = region, now + self.ttl_s * (self.rng.random() if first else 1.0)
        return region
