"""What an experiment requires of many verifiers, judged over the history alone. Pure.

| kind | measured |
|---|---|
| `peak_to_mean` | most requests a second that the nodes answered, ÷ the mean; of the named `operations` |
| `peak_per_s` | most requests a second of the named `operations` |
| `fetches_per_worker` | how often the busiest worker asked for keys because of the moment `since` |
| `refused_calls` | calls that were answered with no at the moment `since` |

Nodes are asked each second what they have answered so far; two answers that came later than a second apart make one
rate, so that a peak is never overrated. Of several seeds the highest counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from cluster.history import Crowd, Reaction, Run

if TYPE_CHECKING:
    from cluster.checks import Check, Measure
    from cluster.topology import RttTable


def rates(crowd: Crowd, operations: Iterable[str]) -> list[tuple[float, float, float]]:
    """Beginning, length and requests a second of each time between two samples."""
    wanted = set(operations)
    counts = [
        (sample.at_s, sum(n for name, n in sample.answered.items() if name in wanted)) for sample in crowd.samples
    ]
    return [(a, b - a, (m - n) / (b - a)) for (a, n), (b, m) in pairwise(counts) if b > a]


def _peak_to_mean(check: Check, runs: Sequence[Run], table: RttTable) -> Iterable[tuple[str, float | None]]:
    yield "", _highest(runs, lambda crowd: _ratio(rates(crowd, check.operations)))


def _ratio(found: Sequence[tuple[float, float, float]]) -> float | None:
    total, length_s = sum(rate * s for _, s, rate in found), sum(s for _, s, _ in found)
    return max(rate for _, _, rate in found) * length_s / total if total else None


def _peak_per_s(check: Check, runs: Sequence[Run], table: RttTable) -> Iterable[tuple[str, float | None]]:
    yield (
        "",
        _highest(runs, lambda crowd: max((rate for _, _, rate in rates(crowd, check.operations)), default=None)),
    )


def _fetches_per_worker(check: Check, runs: Sequence[Run], table: RttTable) -> Iterable[tuple[str, float | None]]:
    yield "", _highest(runs, lambda crowd: _of_moment(crowd, check, lambda one: max(one.fetches, default=None)))


def _refused_calls(check: Check, runs: Sequence[Run], table: RttTable) -> Iterable[tuple[str, float | None]]:
    yield "", _highest(runs, lambda crowd: _of_moment(crowd, check, lambda one: one.refused))


def _of_moment(crowd: Crowd, check: Check, value: Callable[[Reaction], float | None]) -> float | None:
    return next((value(one) for one in crowd.reactions if one.name == check.since), None)


def _highest(runs: Sequence[Run], value: Callable[[Crowd], float | None]) -> float | None:
    """The highest value over all runs; None when one has none."""
    found = [None if run.crowd is None else value(run.crowd) for run in runs]
    known = [one for one in found if one is not None]
    return max(known) if known and len(known) == len(found) else None


MEASURES: Mapping[str, tuple[Measure, tuple[str, ...]]] = {
    "peak_to_mean": (_peak_to_mean, ("operations",)),
    "peak_per_s": (_peak_per_s, ("operations",)),
    "fetches_per_worker": (_fetches_per_worker, ("since",)),
    "refused_calls": (_refused_calls, ("since",)),
}
"""Each kind's measure and the members that it needs."""
