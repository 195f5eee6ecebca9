"""How long messages were to be held back, and how much longer they were. Pure.

Of each pair there are the sums and cumulative counts of what came too late, by upper bound, so that two readings can be
subtracted from each other.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cluster.history import PairDelay

BOUNDS_S = (
    *(0.0005, 0.001, 0.0015, 0.002, 0.0025, 0.003, 0.004, 0.005, 0.006, 0.008),
    *(0.01, 0.0125, 0.015, 0.02, 0.025, 0.03, 0.05, 0.1, 0.5, math.inf),
)
"""Of the links' counts."""
Pair = tuple[str, str]


@dataclass(slots=True)
class Delays:
    """Of one pair: seconds that were asked for, and too many, and cumulative counts of these by upper bound."""

    asked_s: float = 0.0
    error_s: float = 0.0
    errors: dict[float, float] = field(default_factory=dict)

    @property
    def messages(self) -> float:
        """How many there were."""
        return self.errors.get(math.inf, 0.0)

    def add(self, asked_s: float, error_s: float) -> None:
        """Counts one message, by BOUNDS_S."""
        self.asked_s += asked_s
        self.error_s += error_s
        for bound in BOUNDS_S:
            self.errors[bound] = self.errors.get(bound, 0) + (error_s <= bound)

    def minus(self, before: Delays) -> Delays:
        """What came after `before`."""
        errors = {bound: count - before.errors.get(bound, 0.0) for bound, count in self.errors.items()}
        return Delays(self.asked_s - before.asked_s, self.error_s - before.error_s, errors)

    def of(self, pair: Pair) -> PairDelay:
        """The pair's row; there has to be a message."""
        asked_ms, error_ms = (total / self.messages * 1000 for total in (self.asked_s, self.error_s))
        p99 = p99_ms(self.errors)
        assert p99 is not None
        return PairDelay(*pair, int(self.messages), asked_ms, asked_ms + error_ms, p99)


def between(old: Mapping[Pair, Delays], new: Mapping[Pair, Delays]) -> tuple[float | None, tuple[PairDelay, ...]]:
    """What came between two readings: the p99 of all errors together in milliseconds (see `p99_ms`), and each pair."""
    counted = {pair: now.minus(old.get(pair, Delays())) for pair, now in sorted(new.items())}
    together = Counter[float]()
    for one in counted.values():
        together.update(one.errors)
    return p99_ms(together), tuple(one.of(pair) for pair, one in counted.items() if one.messages > 0)


def p99_ms(errors: Mapping[float, float]) -> float | None:
    """The 99th percentile in milliseconds, as the upper bound of its bucket.

    None when nothing came; infinity when it is beyond the last bound.
    """
    total = max(errors.values(), default=0.0)
    if total <= 0:
        return None
    return next((bound * 1000 for bound, count in sorted(errors.items()) if count >= 0.99 * total), math.inf)


def told(delays: Mapping[Pair, Delays]) -> list[list[Any]]:
    """A reading as JSON: from, to, seconds asked for, seconds too many, and counts by BOUNDS_S, of each pair that had a
    message."""
    return [[*pair, one.asked_s, one.error_s, [*one.errors.values()]] for pair, one in delays.items() if one.messages]


def read(reading: Iterable[Sequence[Any]]) -> dict[Pair, Delays]:
    """The reading that `told` made."""
    return {
        (first, second): Delays(asked_s, error_s, dict(zip(BOUNDS_S, counts, strict=True)))
        for first, second, asked_s, error_s, counts in reading
    }
