"""How many calls the router has in flight to one region, so that a herd does not trample it (multiregion 3.3). (I/O)

The limit follows what the region can do: when half of a window's calls took 50 ms longer than in the best window of
the last minute, they queue there, and the limit falls to seven tenths of what was in flight; when the limit was nearly
reached and they did not, it grows by a quarter. A queue gets shorter when fewer calls are let in (Little's law). Where
that did not help, nothing queues: the region is slow, refusing calls makes it no faster, and the limit is what it was.
A window lasts a second, or until ten calls were answered.

Calls of the region's own clients come first: when all is in flight they wait, at most 50 ms. Calls that only come
because their own region is ill or full get seven tenths of the limit and never wait. Who is refused gets a 503 with
`Retry-After`, or is sent to the next region; the region did nothing.

A region that refuses calls itself says that there are too many: the limit falls likewise, whatever the others took.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from statistics import median

from cluster.spare import AT_ONCE, Demand

EVERY_S = 1.0
QUEUE_S = 0.05
LIMIT_MIN, LIMIT_MAX = 4.0, 1024.0
SPILL_SHARE = 0.7
DECREASE = 0.7
INCREASE = 1.25
NEARLY = 0.8
CALLS_MIN = 10
BEST_OF = 60
"""Windows of which the best one tells how long calls take that do not queue."""
CUTS_TO_JUDGE = 3
HELPED = 0.8
"""After so many cuts that were kept to, calls have to take at most this share of what they took before."""


@dataclass(slots=True)
class Gate:
    """The way to one region. `demand` counts what is in flight."""

    demand: Demand
    took_s: list[float] = field(default_factory=list)
    most: int = 0
    """The most calls in flight since the last tick."""
    refused: int = 0
    """Calls that the region itself refused since the last tick."""
    _called: int = 0
    """Calls that were let in from the queue and have not begun yet."""
    _medians: deque[float] = field(default_factory=lambda: deque(maxlen=BEST_OF))
    _before_cuts: float = 0.0
    _kept_to: list[float] = field(default_factory=list)
    """What calls took in windows that kept to a limit which was cut."""
    _waiting: deque[asyncio.Future[None]] = field(default_factory=deque)

    def is_open(self, *, own: bool) -> bool:
        """Whether a call may begin at once."""
        share = 1.0 if own else SPILL_SHARE
        return not self._waiting and self.demand.in_flight + self._called < self.demand.limit * share

    async def turn(self) -> bool:
        """Waits for a place among the calls in flight; False when there is none in time."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        begins = False
        try:
            async with asyncio.timeout(QUEUE_S):
                await turn
            begins = True
        except TimeoutError:
            pass
        finally:
            if turn in self._waiting:
                self._waiting.remove(turn)
            elif turn.done() and not turn.cancelled():
                self._called -= 1
                if not begins:  # its client is gone, or it was let in too late: the place is the next one's
                    self._call()
        return begins

    def ended(self, took_s: float | None) -> None:
        """A call is no longer in flight; `took_s` is None when it was not answered. Whoever waits longest is next."""
        self.most = max(self.most, self.demand.in_flight + 1)
        if took_s is not None:
            self.took_s.append(took_s)
        self._call()

    def forget(self) -> None:
        """Nothing is known of the region any more: the limit is the first one. Calls in flight still count."""
        self.demand.limit = AT_ONCE
        self.took_s, self.most, self.refused = [], 0, 0
        self._medians.clear()
        self._kept_to.clear()
        self._call()

    def _call(self) -> None:
        """Lets those begin who have waited longest, as many as there is room for."""
        while self._waiting and self.demand.in_flight + self._called < self.demand.limit:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                self._called += 1

    def tick(self) -> None:
        """Sets the limit anew."""
        if self.refused:
            self.demand.limit = max(LIMIT_MIN, min(self.demand.limit, max(self.most, self.demand.in_flight)) * DECREASE)
            self.took_s, self.most, self.refused = [], 0, 0
            self._kept_to.clear()
            return
        if len(self.took_s) < CALLS_MIN:
            return
        middle_s, most = median(self.took_s), max(self.most, self.demand.in_flight)
        self.took_s, self.most = [], 0
        self._medians.append(middle_s)
        if middle_s - min(self._medians) > QUEUE_S:
            self._cut(middle_s, most)
            return
        self._kept_to.clear()
        if most >= self.demand.limit * NEARLY:
            self.demand.limit = min(LIMIT_MAX, self.demand.limit * INCREASE)

    def _cut(self, middle_s: float, most: int) -> None:
        """Lets fewer calls in, or as many as before where that makes none faster."""
        kept, limit = self._kept_to, self.demand.limit
        if not kept:
            self._before_cuts = limit
        # Until calls that were let in earlier are done, a queue is as long as it was.
        if not kept or most <= limit + 1:
            kept.append(middle_s)
        if len(kept) > CUTS_TO_JUDGE and kept[-1] > HELPED * kept[0]:
            self.demand.limit = self._before_cuts
            self._medians.clear()
            self._medians.append(middle_s)
            kept.clear()
        else:
            self.demand.limit = max(LIMIT_MIN, min(limit, most) * DECREASE)
