"""How much of its capacity each region has to spare, as one router sees it. Pure.

A region whose capacity the topology tells spares what the calls of the last second leave of it; of another one it is
known only how many calls it has at the moment, and how many it may have (see `admission`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

AT_ONCE = 64.0
"""Calls in flight at which a region counts as full at first; a node answers most of them in milliseconds."""
MEMORY_S = 1.0


@dataclass(slots=True)
class Demand:
    """The calls to one region. `capacity_per_s` is None where nobody told it."""

    capacity_per_s: float | None
    limit: float = AT_ONCE
    """How many calls may be in flight."""
    in_flight: int = 0
    per_s: float = 0.0
    """Calls of the last second, older ones fading out (e-folding time MEMORY_S)."""
    counted_at: float = 0.0

    def begins(self, now: float) -> None:
        """A call is sent at `now` (monotonic seconds)."""
        self.in_flight += 1
        self.per_s = self.rate(now) + 1 / MEMORY_S
        self.counted_at = now

    def ends(self) -> None:
        """A call ended, however."""
        self.in_flight -= 1

    def rate(self, now: float) -> float:
        """Calls a second at `now`."""
        return self.per_s * math.exp(-max(0.0, now - self.counted_at) / MEMORY_S)

    def spare(self, now: float, share: float) -> tuple[float, float]:
        """What is left, absolute and as a share of the whole; `share` is how much of the region may be used at all."""
        whole, used = self.limit, float(self.in_flight)
        if self.capacity_per_s is not None:
            whole, used = self.capacity_per_s, self.rate(now)
        left = max(0.0, whole * share - used)
        return left, left / whole
