"""When a second region is asked before the first one has answered (Tail at Scale; multiregion 3.3). Pure.

A call is hedged when it takes longer than 19 of 20 did lately from the same place to the same region, if it may happen
twice and at once (`retry.hedgeable`), and if fewer than one call in twenty was hedged so far. The last rule alone
bounds the extra load: when a region slows down for everybody, nearly every call is late.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

SHARE = 0.05
BURST = 5.0
"""Hedges that a quiet time saves up."""
SEEN_MAX = 256
SEEN_MIN = 40
"""Below that many calls nobody knows what is usual: at least two lie beyond the 95th percentile."""
LOOK_EVERY = 16


@dataclass(slots=True)
class Usual:
    """How long calls from one place to one region took lately. `p95_s` is None until enough were seen."""

    p95_s: float | None = None
    _seen: deque[float] = field(default_factory=lambda: deque(maxlen=SEEN_MAX))
    _since_look: int = 0

    def add(self, took_s: float) -> None:
        """Takes one call that ended, or was given up then."""
        self._seen.append(took_s)
        self._since_look += 1
        if self._since_look >= LOOK_EVERY and len(self._seen) >= SEEN_MIN:
            self._since_look = 0
            self.p95_s = sorted(self._seen)[int(len(self._seen) * (1 - SHARE))]


@dataclass(slots=True)
class HedgeBudget:
    """At most one hedge in twenty calls of the global endpoint."""

    tokens: float = 0.0

    def called(self) -> None:
        """A call began."""
        self.tokens = min(BURST, self.tokens + SHARE)

    @property
    def has_room(self) -> bool:
        """Whether one more call may be hedged."""
        return self.tokens >= 1.0

    def take(self) -> bool:
        """Whether one more call may be hedged; if so it is."""
        if not self.has_room:
            return False
        self.tokens -= 1.0
        return True
