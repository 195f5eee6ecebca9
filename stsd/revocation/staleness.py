"""What staleness does to a node: nothing, then a word, then short sessions (design 2.3, contract 10).

| staleness | what changes |
|---|---|
| below `soft_s` | nothing |
| from `soft_s` | every answer and readiness say so; an event per origin in the log |
| from `hard_s` | also: sessions of at most SHORT_SESSION_S, and roles marked RequireFresh are refused |

Staleness alone is never a failure: a region that is cut off goes on answering. The caller may ask for more, with
`at_least`, or with the condition key `stsd:RevocationStaleness` in a policy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

Level = Literal["fresh", "soft", "hard"]

SHORT_SESSION_S = 900
"""The longest session that is issued when knowledge is hard stale: as long as what may have been missed is old."""

DEGRADED: Mapping[Level, str] = {
    "fresh": "",
    "soft": "revocation-staleness",
    "hard": f"revocation-staleness; max-session-s={SHORT_SESSION_S}",
}
"""What answers (header `x-stsd-degraded`) and readiness (`degraded`) say."""


@dataclass(frozen=True, slots=True)
class Limits:
    """From which staleness on, in seconds of real time, a node is soft stale and hard stale."""

    soft_s: float = 10.0
    hard_s: float = 900.0

    def level(self, staleness_s: float) -> Level:
        """How stale that is."""
        if staleness_s < self.soft_s:
            return "fresh"
        return "hard" if staleness_s >= self.hard_s else "soft"


class Change(NamedTuple):
    """An origin that is at another level than before, and its staleness in seconds."""

    origin: str
    level: Level
    staleness_s: float


class Alarms:
    """Tells each change of an origin's level once. One that is not listed any more has recovered."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._levels: dict[str, Level] = {}

    def changes(self, staleness: Mapping[str, float]) -> list[Change]:
        """What changed since the last call; `staleness` is in seconds by origin."""
        levels = {origin: self._limits.level(age) for origin, age in staleness.items()}
        changed = [
            Change(origin, levels.get(origin, "fresh"), staleness.get(origin, 0.0))
            for origin in sorted({*levels, *self._levels})
            if levels.get(origin, "fresh") != self._levels.get(origin, "fresh")
        ]
        self._levels = levels
        return changed
