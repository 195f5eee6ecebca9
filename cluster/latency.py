"""How long one message takes between two places, drawn from a seeded generator.

One way = p50 / 2 + jitter (multiregion 3.2). Jitter is lognormal with sigma 1, because a path has a hard floor and a
tail to one side; with probability 1 in 1,000 a spike is added: Pareto, alpha 1.5, at least 20 ms, at most 3 s. The
scale makes the *round trip's* p90 - p50 the measured one, and the shift makes its median the measured one: the sum of
two lognormals is neither in shape nor in median twice one of them, so its quantiles stand here as numbers.
Within a region the table's diagonal is taken without jitter, so it is a constant.

A topology with `path_shifts` has routes that change: each pair of places is in one of two states, usual or shifted, and
stays in each for a random time, exponential around SHIFTED_S_MEAN and USUAL_S_MEAN. While shifted, every message of the
pair takes the same 10 to 40 ms more; how many is drawn anew for each shift.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random

from cluster.topology import RoundTrip

SUM_OF_TWO_P50 = 2.443166
"""Median of the sum of two independent lognormals with mu 0 and sigma 1 (numerical convolution)."""
SUM_OF_TWO_P90 = 6.486847
"""90th percentile of the same sum."""
SPIKE_PROBABILITY = 1e-3
SPIKE_ALPHA = 1.5
SPIKE_MS_MIN = 20.0
SPIKE_MS_MAX = 3000.0


SHIFT_MS_MIN = 10.0
SHIFT_MS_MAX = 40.0
SHIFTED_S_MEAN = 180.0
USUAL_S_MEAN = 900.0


@dataclass(slots=True)
class PathShift:
    """The two-state switch of one direction. `until` is when it changes next; the first question starts it."""

    rng: Random
    extra_ms: float = 0.0
    until: float | None = None

    def ms(self, now: float) -> float:
        """What a message takes longer that leaves at `now`, in seconds that never go back."""
        if self.until is None:
            self.until = now + self.rng.expovariate(1 / USUAL_S_MEAN)
        while now >= self.until:
            shifted = not self.extra_ms
            self.extra_ms = self.rng.uniform(SHIFT_MS_MIN, SHIFT_MS_MAX) if shifted else 0.0
            self.until += self.rng.expovariate(1 / (SHIFTED_S_MEAN if shifted else USUAL_S_MEAN))
        return self.extra_ms


def shifts(pairs: Iterable[tuple[str, str]], seed: object) -> dict[tuple[str, str], PathShift]:
    """A switch for each direction between two places; None as the seed gives other ones each time."""
    return {
        (a, b): PathShift(Random(None if seed is None else f"{seed}/{a}/{b}/shift"))  # noqa: S311  chance, not secret
        for a, b in pairs
        if a != b
    }


@dataclass(frozen=True, slots=True)
class Link:
    """One direction between two places: its constant part and the scale of its jitter (0 for none)."""

    base_ms: float
    jitter_ms: float


def link(trip: RoundTrip, *, local: bool) -> Link:
    """The link whose round trips have the percentiles of `trip`; `local` is within one region."""
    if local:
        return Link(trip.p50_ms / 2, 0.0)
    scale = (trip.p90_ms - trip.p50_ms) / (SUM_OF_TWO_P90 - SUM_OF_TWO_P50)
    return Link((trip.p50_ms - scale * SUM_OF_TWO_P50) / 2, scale)


def one_way_ms(link: Link, rng: Random) -> float:
    """The delay of one message in milliseconds, never negative."""
    if not link.jitter_ms:
        return max(0.0, link.base_ms)
    delay = link.base_ms + link.jitter_ms * rng.lognormvariate(0.0, 1.0)
    if rng.random() < SPIKE_PROBABILITY:
        delay += spike_ms(rng)
    return max(0.0, delay)


def spike_ms(rng: Random) -> float:
    """What a spike adds."""
    return min(SPIKE_MS_MAX, SPIKE_MS_MIN * rng.paretovariate(SPIKE_ALPHA))
