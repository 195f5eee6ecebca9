"""The instants that one node gives: when a session was issued, and from when on a cut-off spares.

A cut-off compares two readings of one clock, and that clock may be set back between them. So neither reading goes by
the clock alone:

1. What was issued here is before every cut-off made here later without an instant of its own, and what is issued here
   after a cut-off is not before it, also within one millisecond.
2. Where the clock has been set back, by at most MAX_STEP_MS, such a cut-off is later than the clock by as much. Until
   the clock has come there again, sessions are issued at the cut-off's instant when it is at most AHEAD_MS ahead, or
   they would not be valid yet elsewhere; when it is further ahead they may be refused, and have to be asked for again.
3. How far the clock is behind also shows in what nodes of this region have said: batches, and heartbeats, which peers
   tell a node again that has just started. So a restart or a successor misses what was issued in the last second, and
   a node without peers that was killed, in the ten seconds between two notes of its journal.
4. A clock that was wrong by more is not followed: one that was an hour fast would cut off all sessions of the next hour
   in every region. Nor is it when the right time has come within MAX_STEP_MS of what it said: to find that out, `look`
   is called each second. The caller tells (`behind_ms`).
"""

from __future__ import annotations

import math

from stsd.revocation.revocation_set import EPSILON_MS

MAX_STEP_MS = 10_000
AHEAD_MS = EPSILON_MS
ROUNDING_MS = 2
"""By how much one instant may differ, told as how far two readings of the clock are behind it."""


class Instants:
    """The latest of both. `now` is Unix seconds of the clock that sessions go by; all else is in Unix milliseconds.
    `behind_s`: by how many seconds the clock is behind what this region has said."""

    def __init__(self) -> None:
        self._issued_ms = 0
        self._spared_ms = 0
        self._wrong_ms = 0

    def issue(self, now: float) -> int:
        """The issue instant of a new session."""
        at_ms = int(now * 1000)
        if at_ms < self._spared_ms <= at_ms + AHEAD_MS:
            at_ms = self._spared_ms
        if at_ms > self._issued_ms:
            self._issued_ms = at_ms
        elif at_ms < self._issued_ms - MAX_STEP_MS:
            self._distrust(self._issued_ms + 1)
            self._issued_ms = at_ms
        return at_ms

    def look(self, now: float, behind_s: float = 0.0) -> None:
        """Notice what was said by a clock that was wrong by more than is followed."""
        now_ms, said_ms = math.ceil(now * 1000), _said_ms(now, behind_s)
        if self._issued_ms >= now_ms + MAX_STEP_MS:
            self._distrust(self._issued_ms + 1)
            self._issued_ms = now_ms - 1  # nothing was issued since the clock is right: `issue` would have noticed
        if said_ms > now_ms + MAX_STEP_MS:
            self._distrust(said_ms)

    def cut_off(self, now: float, behind_s: float = 0.0) -> int:
        """The first instant after everything that was issued until now."""
        self.look(now, behind_s)
        said_ms = _said_ms(now, behind_s)
        if said_ms <= self._wrong_ms + ROUNDING_MS:
            said_ms = 0
        at_ms = max(math.ceil(now * 1000), self._issued_ms + 1, said_ms)
        self._spared_ms = max(self._spared_ms, at_ms)
        return at_ms

    def behind_ms(self, now: float, behind_s: float = 0.0) -> int:
        """By how much the clock is behind, followed or not: 0 for a clock that was not set back."""
        latest_ms = max(self._issued_ms + 1, self._wrong_ms, _said_ms(now, behind_s))
        return max(0, latest_ms - math.ceil(now * 1000))

    def _distrust(self, until_ms: int) -> None:
        self._wrong_ms = max(self._wrong_ms, until_ms)


def _said_ms(now: float, behind_s: float) -> int:
    """The latest instant that this region has said."""
    return math.ceil(now * 1000) + math.ceil(behind_s * 1000)
