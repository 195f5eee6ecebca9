"""How long one message takes between two places, drawn from a seeded generator.

One way = p50 / 2 + jitter (multiregion 3.2). Jitter is lognormal with sigma 1, because a path has a hard floor and a
tail to one side; with probability 1 in 1,000 a spike is added: Pareto, alpha 1.5, at least 20 ms, at most 3 s. The
scale makes the *round trip's* p90 - p50 the measured one, and the shift makes its median the measured one: the sum of
two lognormals is neither in shape nor in median twice one of them, so its quantiles stand here as numbers.
Path shifts are off. Within a region the table's diagonal is taken without jitter, so it is a constant.
"""

from __future__ import annotations

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
        delay += min(SPIKE_MS_MAX, SPIKE_MS_MIN * rng.paretovariate(SPIKE_ALPHA))
    return max(0.0, delay)
