"""Whether a run can be believed: was the machine idle enough, were delays added as asked, did the generator keep up.

A run is invalid when the p99 of how much longer one-way delays took than asked for is above 5 ms (10 % of a round trip
is never less for the pairs of at least 50 ms that checks judge), over all pairs together or of a pair with enough of
them, or when the generator sent late; for latency experiments also when less than 25 % of the CPU was idle (multiregion
3.4, 0.1). Pure.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families

from cluster.history import Conditions, PairDelay, Run, percentile

IDLE_CPU_MIN = 0.25
DELAY_ERROR_MS_MAX = 5.0
MESSAGES_MIN = 1000
"""A p99 needs so many."""
LAG_MS_MAX = 50.0
LAG_MS_MAX_LATENCY = 10.0
DELAY_ERROR = "router_delay_error_seconds"
HEDGES = "router_hedges_total"
DELAY_ASKED = "router_delay_requested_seconds"

Buckets = Mapping[float, float]
"""Cumulative counts by upper bound in seconds."""


def hedges(exposition: str) -> float:
    """How many second regions a router has asked before the first had answered; 0 where it never did."""
    families = text_string_to_metric_families(exposition)
    samples = (sample for family in families for sample in family.samples)
    return sum(sample.value for sample in samples if sample.name == HEDGES)


def delays(before: str, after: str) -> tuple[float | None, tuple[PairDelay, ...]]:
    """What a router's metrics say between two scrapes: the p99 of all errors together in milliseconds (see `p99_ms`),
    and each pair of a place and a region."""
    old, new = _delays(before), _delays(after)
    counted = {pair: now.minus(old.get(pair, _Delays())) for pair, now in sorted(new.items())}
    together = Counter[float]()
    for one in counted.values():
        together.update(one.errors)
    return p99_ms(together), tuple(_pair_delay(pair, one) for pair, one in counted.items() if one.messages)


def _pair_delay(pair: tuple[str, str], counted: _Delays) -> PairDelay:
    asked_ms, error_ms = (total / counted.messages * 1000 for total in (counted.asked_s, counted.error_s))
    p99 = p99_ms(counted.errors)
    assert p99 is not None
    return PairDelay(*pair, int(counted.messages), asked_ms, asked_ms + error_ms, p99)


@dataclass(slots=True)
class _Delays:
    """Of one pair: seconds that were asked for, and too many, and cumulative counts of these by upper bound."""

    asked_s: float = 0.0
    error_s: float = 0.0
    errors: dict[float, float] = field(default_factory=dict)

    @property
    def messages(self) -> float:
        """How many there were."""
        return self.errors.get(math.inf, 0.0)

    def minus(self, before: _Delays) -> _Delays:
        """What came after `before`."""
        errors = {bound: count - before.errors.get(bound, 0.0) for bound, count in self.errors.items()}
        return _Delays(self.asked_s - before.asked_s, self.error_s - before.error_s, errors)


def _delays(exposition: str) -> dict[tuple[str, str], _Delays]:
    found: dict[tuple[str, str], _Delays] = {}
    for family in text_string_to_metric_families(exposition):
        if family.name not in (DELAY_ASKED, DELAY_ERROR):
            continue
        for sample in family.samples:
            one = found.setdefault((sample.labels["location"], sample.labels["region"]), _Delays())
            if sample.name == f"{DELAY_ASKED}_sum":
                one.asked_s = sample.value
            elif sample.name == f"{DELAY_ERROR}_sum":
                one.error_s = sample.value
            elif sample.name == f"{DELAY_ERROR}_bucket":
                one.errors[float(sample.labels["le"])] = sample.value
    return found


def p99_ms(errors: Buckets) -> float | None:
    """The 99th percentile in milliseconds, as the upper bound of its bucket.

    None when nothing came; infinity when it is beyond the last bound.
    """
    total = max(errors.values(), default=0.0)
    if total <= 0:
        return None
    return next((bound * 1000 for bound, count in sorted(errors.items()) if count >= 0.99 * total), math.inf)


def idle_share(before: Sequence[int], after: Sequence[int]) -> float | None:
    """Share of CPU time that was idle or waiting for a disk between two `cpu` lines of /proc/stat (proc(5))."""
    spent = [b - a for a, b in zip(before, after, strict=True)][:8]
    return (spent[3] + spent[4]) / sum(spent) if sum(spent) > 0 else None


def invalid(runs: Iterable[Run], *, latency: bool) -> list[str]:
    """Why runs cannot be believed, one sentence each; empty when they can."""
    reasons = []
    for run in runs:
        found = [*_machine(run.conditions, latency), *_generator(run, latency)]
        reasons += [f"{run.label}, seed {run.seed}: {reason}" for reason in found]
    return reasons


def _machine(conditions: Conditions, latency: bool) -> Iterable[str]:
    idle, error = conditions.idle_cpu, conditions.delay_error_ms_p99
    if latency and idle is not None and idle < IDLE_CPU_MIN:
        yield f"only {idle:.0%} of the CPU was idle, {IDLE_CPU_MIN:.0%} is needed"
    if error is not None and error > DELAY_ERROR_MS_MAX:
        yield f"added delays took up to {error:g} ms longer than asked (p99), {DELAY_ERROR_MS_MAX:g} ms is allowed"
    for pair in conditions.delays:
        if pair.messages >= MESSAGES_MIN and pair.error_ms_p99 > DELAY_ERROR_MS_MAX:
            yield (
                f"delays from {pair.location} to {pair.region} took up to {pair.error_ms_p99:g} ms longer than asked"
                f" (p99), {DELAY_ERROR_MS_MAX:g} ms is allowed"
            )


def _generator(run: Run, latency: bool) -> Iterable[str]:
    allowed = LAG_MS_MAX_LATENCY if latency else LAG_MS_MAX
    if not run.measured:
        if run.crowd is None:
            yield "nothing was measured"
    elif (lag := percentile((e.lag_ms for e in run.measured), 0.99)) > allowed:
        yield f"the generator was overloaded: it sent {lag:.1f} ms late (p99), {allowed:g} ms is allowed"
