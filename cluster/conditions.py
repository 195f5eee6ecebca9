"""Whether a run can be believed: was the machine idle enough, were delays added as asked, did the generator keep up.

A run is invalid when the p99 of how much longer one-way delays took than asked for is above 5 ms (10 % of a round trip
is never less for the pairs of at least 50 ms that checks judge), over all pairs together or of a pair with enough of
them, or when the generator sent late; for latency experiments also when less than 25 % of the CPU was idle (multiregion
3.4, 0.1), or when messages between nodes came later than asked for (p99) by more than 5 ms and than 10 % of a round
trip: those of a pair with enough of them, or all together by the shortest round trip. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from prometheus_client.parser import text_string_to_metric_families

from cluster import lateness
from cluster.history import Conditions, PairDelay, Run, percentile
from cluster.lateness import Delays, Pair
from cluster.topology import RttTable

IDLE_CPU_MIN = 0.25
DELAY_ERROR_MS_MAX = 5.0
LINK_ERROR_SHARE_MAX = 0.1
"""Of a round trip."""
MESSAGES_MIN = 1000
"""A p99 needs so many."""
LAG_MS_MAX = 50.0
LAG_MS_MAX_LATENCY = 10.0
DELAY_ERROR = "router_delay_error_seconds"
HEDGES = "router_hedges_total"
DELAY_ASKED = "router_delay_requested_seconds"


def hedges(exposition: str) -> float:
    """How many second regions a router has asked before the first had answered; 0 where it never did."""
    families = text_string_to_metric_families(exposition)
    samples = (sample for family in families for sample in family.samples)
    return sum(sample.value for sample in samples if sample.name == HEDGES)


def delays(before: str, after: str) -> tuple[float | None, tuple[PairDelay, ...]]:
    """What a router's metrics say between two scrapes: the p99 of all errors together in milliseconds,
    and each pair of a place and a region."""
    return lateness.between(_delays(before), _delays(after))


def _delays(exposition: str) -> dict[Pair, Delays]:
    found: dict[Pair, Delays] = {}
    for family in text_string_to_metric_families(exposition):
        if family.name not in (DELAY_ASKED, DELAY_ERROR):
            continue
        for sample in family.samples:
            one = found.setdefault((sample.labels["location"], sample.labels["region"]), Delays())
            if sample.name == f"{DELAY_ASKED}_sum":
                one.asked_s = sample.value
            elif sample.name == f"{DELAY_ERROR}_sum":
                one.error_s = sample.value
            elif sample.name == f"{DELAY_ERROR}_bucket":
                one.errors[float(sample.labels["le"])] = sample.value
    return found


def idle_share(before: Sequence[int], after: Sequence[int]) -> float | None:
    """Share of CPU time that was idle or waiting for a disk between two `cpu` lines of /proc/stat (proc(5))."""
    spent = [b - a for a, b in zip(before, after, strict=True)][:8]
    return (spent[3] + spent[4]) / sum(spent) if sum(spent) > 0 else None


def invalid(runs: Iterable[Run], *, latency: bool, between: RttTable) -> list[str]:
    """Why runs cannot be believed, one sentence each; empty when they can. `between`: round trips between regions."""
    reasons = []
    for run in runs:
        found = [*_machine(run.conditions, latency), *_generator(run, latency)]
        found += _links(run.conditions, between) if latency else ()
        reasons += [f"{run.label}, seed {run.seed}: {reason}" for reason in found]
    return reasons


def _machine(conditions: Conditions, latency: bool) -> Iterable[str]:
    idle, error = conditions.idle_cpu, conditions.delay_error_ms_p99
    if latency and idle is not None and idle < IDLE_CPU_MIN:
        yield f"only {idle:.0%} of the CPU was idle, {IDLE_CPU_MIN:.0%} is needed"
    late = [
        f"delays from {pair.location} to {pair.region} took up to {pair.error_ms_p99:g} ms longer than asked"
        f" (p99), {DELAY_ERROR_MS_MAX:g} ms is allowed"
        for pair in conditions.delays
        if pair.messages >= MESSAGES_MIN and pair.error_ms_p99 > DELAY_ERROR_MS_MAX
    ]
    yield from late
    if not late and error is not None and error > DELAY_ERROR_MS_MAX:
        yield f"added delays took up to {error:g} ms longer than asked (p99), {DELAY_ERROR_MS_MAX:g} ms is allowed"


def _links(conditions: Conditions, between: RttTable) -> Iterable[str]:
    allowed_ms = {pair: max(DELAY_ERROR_MS_MAX, LINK_ERROR_SHARE_MAX * trip.p50_ms) for pair, trip in between.items()}
    error, least_ms = conditions.link_error_ms_p99, min(allowed_ms.values(), default=DELAY_ERROR_MS_MAX)
    late = [
        f"delays between the nodes of {pair.location} and {pair.region} took up to {pair.error_ms_p99:g} ms"
        f" longer than asked (p99), {allowed_ms[pair.location, pair.region]:g} ms is allowed"
        for pair in conditions.link_delays
        if pair.messages >= MESSAGES_MIN and pair.error_ms_p99 > allowed_ms[pair.location, pair.region]
    ]
    yield from late
    if not late and error is not None and error > least_ms:
        yield f"between nodes, delays took up to {error:g} ms longer than asked (p99), {least_ms:g} ms is allowed"


def _generator(run: Run, latency: bool) -> Iterable[str]:
    allowed = LAG_MS_MAX_LATENCY if latency else LAG_MS_MAX
    if not run.measured:
        if run.crowd is None:
            yield "nothing was measured"
    elif (lag := percentile((e.lag_ms for e in run.measured), 0.99)) > allowed:
        yield f"the generator was overloaded: it sent {lag:.1f} ms late (p99), {allowed:g} ms is allowed"
