"""What an experiment came to, in the members that contract 9 lists. Pure.

`series` is a list of tables: `name`, `columns` (with the unit last in the name, where there is one) and `rows`.
`policy` is the router's, followed by the variant in experiments that compare several: `nearest-failover, naive`.
A percentile is given only where at least 10 samples lie beyond it; else it is null.
"""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from cluster import checks, conditions, cutoff_checks, distributions, finding, load_checks
from cluster.checks import Check, Verdict
from cluster.crowd import checks as crowd_checks
from cluster.distributions import quantile
from cluster.experiment import Cutoffs, Experiment, Load, Variant, Verifiers
from cluster.history import Crowd, Exchange, PairDelay, Run, finite, percentile
from cluster.topology import NETWORKS, Topology

P999_SAMPLES_MIN = 20_000
GROUP = "policy location endpoint region"
Row = list[Any]


def result(
    experiment: Experiment,
    runs: Sequence[Run],
    topology: Topology,
    *,
    seed: int,
    quick: bool,
    commit: str,
    started_at: int,
    broken: str | None = None,
    backbone: str = "http",
    network: str = NETWORKS[0],
    beside: Sequence[Verdict] = (),
) -> dict[str, Any]:
    """The content of `result.json`. `broken` says why the experiment did not come to its end, None when it did;
    `beside` is what was judged without a run."""
    reasons = [broken] if broken else []
    reasons += conditions.invalid(runs, latency=experiment.latency, between=topology.between)
    verdicts = [*checks.judge(experiment.checks, runs, topology.rtt), *beside]
    reasons += [] if verdicts else ["no check judged anything"]
    if found := finding.filled(experiment.finding, verdicts):
        found = " ".join([found, *(f"{one}." for one in _findings(beside))])
    return {
        "name": experiment.name,
        "question": experiment.question,
        "answer": answer(verdicts, reasons, found),
        "valid": not reasons,
        "seed": seed,
        "commit": commit,
        "started_at": started_at,
        "topology": {
            "name": topology.name,
            "regions": list(topology.regions),
            "home": topology.home,
            "locations": list(topology.locations),
        },
        "parameters": parameters(experiment, quick, backbone, network),
        "checks": [asdict(verdict) for verdict in verdicts],
        "series": [*series(runs), *_switch_series(experiment, runs)],
    }


def encoded(found: Mapping[str, Any]) -> bytes:
    """The file's bytes: a line for each member, each check and each row of a series, so that it can be read."""
    tables = [
        f'  {{"name": {_json(one["name"])}, "columns": {_json(one["columns"])}, "rows": {_lines(one["rows"], 3)}}}'
        for one in found["series"]
    ]
    members = [f' "{name}": {_json(value)}' for name, value in found.items() if name not in ("checks", "series")]
    members += [f' "checks": {_lines(found["checks"], 2)}', ' "series": [\n' + ",\n".join(tables) + "\n ]"]
    return ("{\n" + ",\n".join(members) + "\n}\n").encode()


def _lines(values: Sequence[Any], depth: int) -> str:
    return "[\n" + ",\n".join(" " * depth + _json(value) for value in values) + "\n" + " " * (depth - 1) + "]"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def answer(verdicts: Sequence[Verdict], reasons: Sequence[str], found: str = "") -> str:
    """Why it is not valid, what was found, and every check that did not hold. `found` are sentences of the experiment's
    own; where it has none, every number that was measured stands there."""
    failed = [verdict for verdict in verdicts if not verdict.holds]
    said = [f"Not valid: {'; '.join(reasons)}."] if reasons else []
    said += [found] if found else []
    if failed:
        named = "; ".join(f"{v.name}: measured {shown(v.measured)}, required {v.required}" for v in failed)
        said.append(f"{len(failed)} of {len(verdicts)} checks did not hold: {named}.")
    else:
        said.append(f"All {len(verdicts)} checks held.")
    return " ".join([*said, *([] if found else [f"{one}." for one in _findings(verdicts)])])


def _findings(verdicts: Iterable[Verdict]) -> Iterable[str]:
    """One phrase per check, over its locations or pairs."""
    measured: defaultdict[str, list[float]] = defaultdict(list)
    for verdict in verdicts:
        if verdict.measured is not None:
            measured[verdict.name.partition(" (")[0]].append(verdict.measured)
    for name, values in measured.items():
        low, high = min(values), max(values)
        yield f"{name}: {shown(low)}" + (f" to {shown(high)}" if high > low else "")


def shown(measured: float | None) -> str:
    """A measured value for people."""
    return "nothing" if measured is None else f"{measured:.4g}"


def parameters(experiment: Experiment, quick: bool, backbone: str, network: str = NETWORKS[0]) -> dict[str, Any]:
    """Everything that shaped the run; times in seconds."""
    return {
        "form": "quick" if quick else "full",
        "simulated": False,
        "backbone": backbone,
        "network": network,
        **({"topology": experiment.topology} if experiment.elsewhere else {}),
        "policies": list(experiment.policies),
        "seeds": experiment.seeds,
        "variants": [_variant(one) for one in experiment.variants if one.name],
        "load": {"kind": "open", **asdict(experiment.load), **_lists(experiment.load)},
        "faults": [{**asdict(fault), "variants": list(fault.variants)} for fault in experiment.faults],
        "revocations": None if experiment.revoking is None else asdict(experiment.revoking),
        **({"upgrade_from": experiment.upgrade_from} if experiment.upgrade_from else {}),
        **({} if experiment.cutoffs is None else {"cutoffs": _told(experiment.cutoffs)}),
        "verifiers": None if experiment.verifiers is None else _as_json(experiment.verifiers),
        "quick_checks": experiment.quick.checks,
        "quick_leaves_out": experiment.quick.leaves_out,
    }


def _variant(variant: Variant) -> dict[str, Any]:
    return {**asdict(variant), "without": list(variant.without), "policies": list(variant.policies)}


def _as_json(verifiers: Verifiers) -> dict[str, Any]:
    return {**asdict(verifiers), "moments": [asdict(moment) for moment in verifiers.moments]}


def _told(cutoffs: Cutoffs) -> dict[str, Any]:
    return {**asdict(cutoffs), "after_s": list(cutoffs.after_s)}


def _lists(load: Load) -> dict[str, Any]:
    return {"operations": list(load.operations), "steps": [asdict(step) for step in load.steps]}


def series(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Latency and losses per client group, their course by the second, faults, conditions, and revocations if any."""
    return [
        _table(
            "latency", "policy location endpoint region requests lost impact_s p50_ms p90_ms p99_ms", _latency(runs)
        ),
        _table(
            "latency distribution",
            f"{GROUP} requests {distributions.DISTRIBUTION}",
            distributions.latency(runs),
        ),
        _table("course", "policy seed second endpoint location ok lost attempts", _course(runs)),
        _table("course by endpoint", "policy seed second endpoint region ok lost p50_ms", distributions.course(runs)),
        _table(
            "faults",
            "policy seed action region began_at_s done_at_s name",
            ([run.label, run.seed, *asdict(event).values()] for run in runs for event in run.events),
        ),
        _table(
            "conditions",
            "policy seed idle_cpu delay_error_ms_p99 link_error_ms_p99 generator_lag_ms_p99",
            map(_conditions, runs),
        ),
        _table(
            "delays",
            "policy seed location region messages asked_ms_mean achieved_ms_mean error_ms_p99",
            (row for run in runs for row in _delays(run, run.conditions.delays)),
        ),
        _table(
            "delays between nodes",
            "policy seed from to messages asked_ms_mean achieved_ms_mean error_ms_p99",
            (row for run in runs for row in _delays(run, run.conditions.link_delays)),
        ),
        _table(
            "service", f"{GROUP} requests service_p50_ms service_p90_ms service_p99_ms added_p50_ms", _service(runs)
        ),
        *_revocation_series(runs),
        *_cutoff_series(runs),
        *_crowd_series(runs),
        *_look_series(runs),
    ]


def _switch_series(experiment: Experiment, runs: Sequence[Run]) -> Iterable[dict[str, Any]]:
    """How soon each run went to another region, of every check that asks for it; nothing where none does."""
    asked = [check for check in experiment.checks if check.kind == "switch_s" and not check.than]
    if asked:
        rows = (_switch(check, *found) for check in asked for found in load_checks.switches(check, runs))
        yield _table("switch-over", "policy seed location endpoint fault switch_s requests lost", rows)


def _switch(check: Check, run: Run, seconds: float | None, requests: int, lost: int) -> Row:
    return [run.label, run.seed, check.location, check.endpoint, check.since, seconds, requests, lost]


def _cutoff_series(runs: Sequence[Run]) -> Iterable[dict[str, Any]]:
    """What became of sessions before and after cut-offs, by how the clock stood; nothing where there were none."""
    if any(run.cutoffs for run in runs):
        yield _table("cut-offs", cutoff_checks.COLUMNS, cutoff_checks.rows(runs))
        yield _table("cut-offs by subject", cutoff_checks.SUBJECT_COLUMNS, cutoff_checks.subject_rows(runs))


def _crowd_series(runs: Sequence[Run]) -> Iterable[dict[str, Any]]:
    """What many verifiers asked for, by the second, and what each moment set off; nothing where there were none."""
    crowds = [(run, run.crowd) for run in runs if run.crowd is not None]
    if not crowds:
        return
    columns = "policy seed second operation answered_per_s"
    yield _table("asked", columns, (row for run, crowd in crowds for row in _asked(run, crowd)))
    columns = "policy seed moment at_s workers calls refused answered_s fetches_of_one_worker_max fetches_of_all"
    yield _table("moments", columns, (row for run, crowd in crowds for row in _reactions(run, crowd)))
    silent = ([run.label, run.seed, *told] for run, crowd in crowds for told in sorted(crowd.silent.items()))
    yield _table("silent nodes", "policy seed region readings_missing", silent)


def _look_series(runs: Sequence[Run]) -> Iterable[dict[str, Any]]:
    """How old what each region knew of each other one was, by the second; nothing where nobody looked."""
    if any(run.samples for run in runs):
        columns = "policy seed second observer origin staleness_s"
        yield _table("staleness", columns, (row for run in runs for row in _staleness(run)))


def _staleness(run: Run) -> Iterable[Row]:
    highest: dict[tuple[int, str, str], float] = {}
    for sample in run.samples:
        for origin, age_s in sample.staleness_s.items():
            key = (math.floor(sample.at), sample.region, origin)
            highest[key] = max(age_s, highest.get(key, 0.0))
    return ([run.label, run.seed, *key, age_s] for key, age_s in sorted(highest.items()) if key[0] >= 0)


def _asked(run: Run, crowd: Crowd) -> Iterable[Row]:
    operations = sorted({name for sample in crowd.samples for name, count in sample.answered.items() if count})
    for operation in operations:
        for at_s, _, rate in crowd_checks.rates(crowd, [operation]):
            yield [run.label, run.seed, round(at_s), operation, rate]


def _reactions(run: Run, crowd: Crowd) -> Iterable[Row]:
    for one in crowd.reactions:
        fetches = max(one.fetches, default=None), sum(n * workers for n, workers in one.fetches.items())
        calls = [crowd.workers, one.calls, one.refused, one.answered_s]
        yield [run.label, run.seed, one.name, one.at_s, *calls, *fetches]


def _revocation_series(runs: Sequence[Run]) -> Iterable[dict[str, Any]]:
    """How many revocations came to what, and how long other regions took; nothing where nobody revoked."""
    if not any(run.revocations for run in runs):
        return
    counts = "policy seed origin sent acked unacked unacked_but_refused untouched untouched_but_refused"
    yield _table("revocations", counts, _revocation_counts(runs))
    yield _table("convergence", "policy origin observer revocations p50_ms p90_ms p99_ms p999_ms", _convergence(runs))
    conditions = "policy condition revocations p50_ms p99_ms p999_ms"
    yield _table("convergence by condition", conditions, _by_condition(runs))
    yield _table(
        "convergence distribution",
        f"policy condition revocations {distributions.DISTRIBUTION}",
        distributions.convergence(runs),
    )


def _revocation_counts(runs: Iterable[Run]) -> Iterable[Row]:
    for run in runs:
        for origin in sorted({one.origin for one in run.revocations}):
            sent = [one for one in run.revocations if one.origin == origin]
            unacked = [one for one in sent if one.acked_at is None]
            applied = sum(any(one.refused_in_the_end.values()) for one in unacked)
            untouched = [one for one in run.untouched if one.origin == origin]
            phantoms = sum(any(one.refused_in_the_end.values()) for one in untouched)
            counts = [len(sent), len(sent) - len(unacked), len(unacked), applied, len(untouched), phantoms]
            yield [run.label, run.seed, origin, *counts]


def _convergence(runs: Iterable[Run]) -> Iterable[Row]:
    found: defaultdict[tuple[str, str, str], list[float]] = defaultdict(list)
    for run in runs:
        for one in run.revocations:
            if one.acked_at is not None and one.sent_at is not None:
                for region, refused_at in one.refused_at.items():
                    found[run.label, one.origin, region].append((refused_at - one.sent_at) * 1000)
    for group, times in sorted(found.items()):
        yield [*group, len(times), *(quantile(times, share) for share in (0.5, 0.9, 0.99)), _p999(times)]


def _by_condition(runs: Iterable[Run]) -> Iterable[Row]:
    found: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    for run in runs:
        for condition, ms in distributions.convergence_times(run):
            found[run.label, condition].append(ms)
    for group, times in sorted(found.items(), reverse=True):
        yield [*group, len(times), quantile(times, 0.5), quantile(times, 0.99), _p999(times)]


def _table(name: str, columns: str, rows: Iterable[Row]) -> dict[str, Any]:
    return {"name": name, "columns": columns.split(), "rows": [[_rounded(cell) for cell in row] for row in rows]}


def _rounded(cell: Any) -> Any:
    return round(cell, 3) if isinstance(cell, float) else cell


def _latency(runs: Iterable[Run]) -> Iterable[Row]:
    impact_s = distributions.impact_s(runs)
    for group, exchanges in sorted(_grouped(runs).items()):
        latencies = [e.latency_ms for e in exchanges if e.outcome == "ok"]
        percentiles = [quantile(latencies, share) for share in (0.5, 0.9, 0.99)]
        yield [*group, len(exchanges), len(exchanges) - len(latencies), impact_s.get(group, 0), *percentiles]


def _grouped(runs: Iterable[Run]) -> Mapping[tuple[str, ...], list[Exchange]]:
    found: defaultdict[tuple[str, ...], list[Exchange]] = defaultdict(list)
    for run in runs:
        for exchange in run.measured:
            found[run.label, exchange.location, exchange.endpoint, exchange.region].append(exchange)
    return found


def _p999(times: Sequence[float]) -> float | None:
    return percentile(times, 0.999) if len(times) >= P999_SAMPLES_MIN else None


def _course(runs: Iterable[Run]) -> Iterable[Row]:
    for run in runs:
        ok: Counter[tuple[int, str, str]] = Counter()
        lost: Counter[tuple[int, str, str]] = Counter()
        attempts: Counter[tuple[int, str, str]] = Counter()
        for e in run.measured:
            key = (int(e.due_at), str(e.endpoint), e.location)
            (ok if e.outcome == "ok" else lost)[key] += 1
            attempts[key] += e.attempts
        for key in sorted(attempts):
            yield [run.label, run.seed, *key, ok[key], lost[key], attempts[key]]


def _delays(run: Run, pairs: Iterable[PairDelay]) -> Iterable[Row]:
    """What the latency model was asked for and what came of it, a pair each."""
    for pair in pairs:
        *told, error_ms_p99 = asdict(pair).values()
        yield [run.label, run.seed, *told, finite(error_ms_p99)]


def _service(runs: Iterable[Run]) -> Iterable[Row]:
    """Latency without what the model put on top: the client's library, the router, the node and HTTP between them."""
    for group, exchanges in sorted(_grouped(runs).items()):
        told = [(e.latency_ms - e.added_ms, e.added_ms) for e in exchanges if e.added_ms is not None]
        if told:
            times = [service for service, _ in told]
            added = quantile([added for _, added in told], 0.5)
            yield [*group, len(told), *(quantile(times, share) for share in (0.5, 0.9, 0.99)), added]


def _conditions(run: Run) -> Row:
    lags = [e.lag_ms for e in run.measured]
    lag = percentile(lags, 0.99) if lags else None
    found = run.conditions
    errors = finite(found.delay_error_ms_p99), finite(found.link_error_ms_p99)
    return [run.label, run.seed, found.idle_cpu, *errors, lag]
