"""Thousands of verifiers that do the same at one moment: how many requests a second their nodes bear.

A cold verifier waits a random time up to `spread_s` and then asks for keys and the compact snapshot (`stsd.verifier`,
rule 2); keys are asked for again at a random moment between half of their age and all of it (rule 3).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from random import Random

SNAPSHOT_BYTES = 2_700_000
"""The compact snapshot of a million revocations."""
EGRESS_BYTES_PER_S = 1.25e9
"""10 Gbit/s from a node or the cache in front of it."""
KEYS_AGE_S = 300.0


@dataclass(frozen=True, slots=True)
class Herd:
    """What its node sees. `done_s` is when the last snapshot is there."""

    spread_s: float
    peak_per_s: int
    peak_to_mean: float
    done_s: float


def cold_start(verifiers: int, spread_s: float, rng: Random, over_s: float) -> Herd:
    """All start at one moment; the mean is over `over_s`."""
    moments = [rng.uniform(0, spread_s) for _ in range(verifiers)]
    peak, ratio = _peak(moments, over_s)
    done_s = 0.0
    for at in sorted(moments):
        done_s = max(done_s, at) + SNAPSHOT_BYTES / EGRESS_BYTES_PER_S
    return Herd(spread_s, peak, ratio, done_s)


def refreshes(verifiers: int, rng: Random) -> tuple[int, float]:
    """The peak of requests for keys in a second and its ratio to the mean, from one common start on, in one age."""
    moments = []
    for _ in range(verifiers):
        at = rng.uniform(0.5, 1.0) * KEYS_AGE_S
        while at < 2 * KEYS_AGE_S:
            moments.append(at)
            at += rng.uniform(0.5, 1.0) * KEYS_AGE_S
    return _peak(moments, 1.5 * KEYS_AGE_S)


def _peak(moments: Iterable[float], over_s: float) -> tuple[int, float]:
    seconds = Counter(int(at) for at in moments)
    peak = max(seconds.values())
    return peak, peak / (seconds.total() / over_s)
