"""How many entries of one origin a node takes in unasked (design 2.4): a token bucket per origin.

An origin gone mad must not cost its peers more than this. What is pushed beyond it is not lost: it is asked for with
the next exchange of heads, and a fetch has bounds of its own.
"""

from __future__ import annotations

from stsd.revocation.messages import Origin


class Rates:
    """The buckets; instants are Unix seconds of this node."""

    def __init__(self, sustained_per_s: float, burst: float) -> None:
        self._sustained_per_s, self._burst = sustained_per_s, burst
        self._left: dict[Origin, tuple[float, float]] = {}

    def take(self, origin: Origin, entries: int, now: float) -> bool:
        """Whether so many entries of an origin may come now."""
        left, since = self._left.get(origin, (self._burst, now))
        left = min(self._burst, left + max(0.0, now - since) * self._sustained_per_s)
        allowed = entries <= left
        self._left[origin] = (left - entries if allowed else left, now)
        return allowed
