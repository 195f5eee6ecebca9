"""Virtual time: a heap of events and one seeded source of chance.

Events at one instant happen in the order in which they were planned, so a seed replays a run to the last event.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from random import Random

MAX_EVENTS_AT_ONCE = 50_000

Undo = Callable[[], None]
"""Ends what has begun."""


class Stalled(Exception):
    """The world cannot go on: nothing is planned any more, or time has stopped moving."""


class Scheduler:
    """`now` is virtual seconds since the start; `random` is the only chance in the world."""

    def __init__(self, seed: int) -> None:
        self.now = 0.0
        self.random = Random(seed)  # noqa: S311 - chance that can be replayed is the point
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()

    def after(self, delay_s: float, action: Callable[[], None]) -> None:
        """Plan an action."""
        heappush(self._events, (self.now + delay_s, next(self._numbers), action))

    def run(self, until: float) -> None:
        """Let everything happen that is planned up to `until`. Raises Stalled."""
        at_once = 0
        while True:
            if not self._events:
                raise Stalled(f"nothing is planned after {self.now:.3f} s")
            if self._events[0][0] > until:
                self.now = until
                return
            at, _, action = heappop(self._events)
            at_once = at_once + 1 if at == self.now else 0
            if at_once > MAX_EVENTS_AT_ONCE:
                raise Stalled(f"time stands still at {self.now:.3f} s")
            self.now = at
            action()

    def soon(self, mean_s: float) -> float:
        """A random delay in seconds, exponential around its mean."""
        return self.random.expovariate(1 / mean_s)
