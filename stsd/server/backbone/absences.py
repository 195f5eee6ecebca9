"""Which regions have just come back: a source of a stream whose region was out of reach may take 10 s, or minutes, to
begin again (design 1, NATS), so what they said is asked for as soon as it is known to be lacking. Pure.

A region was away when none of its nodes was heard for AWAY_S; it is coming back for BACK_S from then on. One that is
heard for the first time was not: whoever has just started reads what its own region has gathered.
"""

from __future__ import annotations

from math import inf

AWAY_S = 2.5
"""Two heartbeats and some: one may get lost."""
BACK_S = 30.0


class Absences:
    """As one node hears it. `now` is any clock in seconds."""

    def __init__(self) -> None:
        self._heard: dict[str, float] = {}
        self._back: dict[str, float] = {}

    def hear(self, region: str, now: float) -> None:
        """A node of this region has said something."""
        if now - self._heard.get(region, now) > AWAY_S:
            self._back[region] = now
        self._heard[region] = now

    def is_coming_back(self, region: str, now: float) -> bool:
        """Whether a region was away until a moment ago."""
        return now - self._back.get(region, -inf) < BACK_S
