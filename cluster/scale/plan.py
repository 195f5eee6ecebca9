"""The whole plan: every question about many regions of many nodes, its tables, and the claims that are checked.

| table | question |
|---|---|
| `convergence` | how soon a revocation is applied everywhere, by fan-out and batching window |
| `convergence cdf` | the same as shares of nodes by time, for the default tree |
| `exact against hops` | what the hop model says and what the real cores do, at a size for both |
| `partition`, `partition course` | what a region lacks after ten minutes alone, and how soon it has it |
| `failover` | clients lost when a region dies, by router policy and load |
| `capacity cliff` | the highest load at which nobody is lost |
| `retry amplification` | attempts per request in an overload and after it |
| `costs` | bytes and CPU of a node by the rate of revocations |
| `stampede`, `key refreshes` | verifiers that all start at once, and their keys later |
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from random import Random
from typing import Any

from cluster import latency
from cluster.checks import Verdict
from cluster.experiment import Experiment
from cluster.history import percentile
from cluster.latency import Link
from cluster.scale import capacity, costs, exact, partition, retries, stampede
from cluster.scale.tree import HEADS, Tree, arrivals
from cluster.topology import Topology

FAN_OUTS = (10, 32, 1000)
WINDOWS_S = (0.0, 0.005, 0.05)
DEFAULT = (32, 0.005)
REVOCATIONS = 120
CDF_MS = (25, 50, 75, 100, 125, 150, 175, 200, 250, 300, 400, 500, 750, 1000, 1500, 2000)
RATES_PER_S = (46.0, 1_000.0, 16_700.0, 100_000.0)
PARTITION_RATES_PER_S = (46.0, 1_000.0, 5_000.0)
CUT_S = 600.0
HEARD_AFTER_S = 0.15
"""From a heal until the first exchange of heads arrives: each of many peers sends one a second."""
VERIFIERS = 10_000
SPREADS_S = (0.1, 10.0, 60.0, 300.0)
MEAN_OVER_S = 60.0
EXACT_NODES = 120
EXACT_REVOCATIONS = 30
AGREES_WITHIN = 0.2
Row = list[Any]
Links = Mapping[tuple[str, str], Link]


@dataclass(frozen=True, slots=True)
class Size:
    """How large it is, and where."""

    topology: Topology
    nodes: int
    seed: int

    @property
    def total(self) -> int:
        """Nodes in the world."""
        return len(self.topology.regions) * self.nodes


@dataclass(frozen=True, slots=True)
class Part:
    """Tables and verdicts of one question."""

    tables: tuple[dict[str, Any], ...]
    verdicts: tuple[Verdict, ...] = ()


def links_of(topology: Topology) -> Links:
    """The latency model of each pair of regions."""
    return {pair: latency.link(trip, local=False) for pair, trip in topology.between.items()}


def convergence(size: Size) -> Part:
    """(1) Where the tree is the real cores' for a small world, the hops' for a large one."""
    lasts, found = _delays(size, *DEFAULT)
    shapes = [(fan_out, DEFAULT[1]) for fan_out in FAN_OUTS]
    shapes += [(DEFAULT[0], window_s) for window_s in WINDOWS_S if window_s != DEFAULT[1]]
    rows = [
        _convergence_row(size, *shape, *((lasts, found) if shape == DEFAULT else _delays(size, *shape)))
        for shape in shapes
    ]
    cdf = [[ms, sum(delay <= ms / 1000 for delay in found) / len(found)] for ms in CDF_MS]
    late = sum(delay > 0.5 for delay in found) / len(found)
    verdicts = [
        _verdict(f"share of {size.total:,} nodes that apply a revocation within 0.5 s", 1 - late, at_least=0.999),
        _verdict("seconds until the last node applies it, of all revocations", max(lasts), at_most=2.0),
    ]
    columns = "fan_out window_ms nodes revocations p50_ms p99_ms p999_ms last_p50_ms last_max_ms"
    return Part((_table("convergence", columns, rows), _table("convergence cdf", "ms share", cdf)), tuple(verdicts))


def _convergence_row(size: Size, fan_out: int, window_s: float, lasts: Sequence[float], found: Sequence[float]) -> Row:
    ordered = sorted(found)
    times = [percentile(ordered, share) * 1000 for share in (0.5, 0.99, 0.999)]
    last = percentile(lasts, 0.5) * 1000, max(lasts) * 1000
    return [fan_out, window_s * 1000, size.total, REVOCATIONS, *times, *last]


def _delays(size: Size, fan_out: int, window_s: float) -> tuple[list[float], list[float]]:
    """The last node's seconds of each revocation, and everybody's; revocations begin in all regions in turn."""
    regions, links, tree = size.topology.regions, links_of(size.topology), Tree(size.nodes, fan_out, window_s)
    parents, rng = tree.parents(), Random(f"{size.seed}/{fan_out}/{window_s}")  # noqa: S311  chance, not secret
    lasts, found = [], []
    for number in range(REVOCATIONS):
        delays = arrivals(regions[number % len(regions)], regions, links, tree, parents, rng)
        lasts.append(max(delays))
        found += delays
    return lasts, found


def calibration(size: Size) -> Part:
    """The real cores against the hop model: in the whole world if it is small enough, else in a smaller one."""
    regions = size.topology.regions
    small = size.nodes if size.total <= exact.NODES_MAX else EXACT_NODES // len(regions)
    nodes = max(2, small)
    links = links_of(size.topology)
    real = sorted(exact.delays_s(size.seed, regions, nodes, links, EXACT_REVOCATIONS))
    tree = Tree(nodes, fan_out=nodes, window_s=0.0, heads=1)
    parents, rng = tree.parents(), Random(f"{size.seed}/exact")  # noqa: S311  chance, not secret
    drawn = [arrivals(regions[i % len(regions)], regions, links, tree, parents, rng) for i in range(REVOCATIONS)]
    hops = sorted(delay for one in drawn for delay in one if delay > 0)
    rows, verdicts = [], []
    for name, share in (("p50", 0.5), ("p99", 0.99)):
        ratio = percentile(hops, share) / percentile(real, share)
        rows.append(
            [
                name,
                len(regions),
                nodes,
                len(real),
                percentile(real, share) * 1000,
                percentile(hops, share) * 1000,
                ratio,
            ]
        )
        verdicts.append(
            _verdict(f"hop model ÷ real cores, {name}", ratio, at_least=1 - AGREES_WITHIN, at_most=1 + AGREES_WITHIN)
        )
    columns = "percentile regions nodes_per_region samples cores_ms hops_ms ratio"
    return Part((_table("exact against hops", columns, rows),), tuple(verdicts))


def partitions(size: Size) -> Part:
    """(2) The region that is farthest from its nearest neighbour is the one that is alone."""
    regions = size.topology.regions
    nearest_s = max(min(t.p50_ms for (a, _), t in size.topology.between.items() if a == r) for r in regions) / 1000
    others = 1 - 1 / len(regions)
    rows, course, first = [], [], 0.0
    for per_s in PARTITION_RATES_PER_S:
        found = partition.Backlog(CUT_S, _cost(size, per_s), others, nearest_s)
        seconds, _ = partition.catch_up(found, HEARD_AFTER_S)
        waits_s = seconds - found.cpu_s - found.wire_s
        sizes = [found.entries, found.batches, found.bytes / 1e6]
        rows.append([per_s, CUT_S, *sizes, seconds, found.cpu_s, found.wire_s, waits_s])
        if per_s == PARTITION_RATES_PER_S[0]:
            first = seconds
            moments = partition.timeline(found, HEARD_AFTER_S)
            course = [[moment.at_s, moment.staleness_s, moment.backlog] for moment in moments]
    name = f"seconds from the heal until equal heads, after {CUT_S:.0f} s at {PARTITION_RATES_PER_S[0]:.0f} a second"
    columns = "revocations_per_s cut_s lacking_entries lacking_batches lacking_mb caught_up_s cpu_s wire_s waiting_s"
    tables = (
        _table("partition", columns, rows),
        _table("partition course", "at_s staleness_s lacking_entries", course),
    )
    return Part(tables, (_verdict(name, first, at_most=3.0),))


def failovers(size: Size) -> Part:
    """(3) What spare capacity is worth under each policy."""
    where, count = size.topology, len(size.topology.regions)
    rows = [
        [policy, load, *capacity.worst(where, policy, load)] for policy in capacity.POLICIES for load in capacity.LOADS
    ]
    fine = [number / 1000 for number in range(300, 1000)]
    cliffs = {policy: capacity.cliff(where, policy, fine) for policy in capacity.POLICIES}
    found = [[policy, load] for policy, load in cliffs.items()]
    even = 1 - 1 / count
    verdicts = (
        _verdict(
            "highest load without loss when spill is even ÷ 1 − 1/regions",
            (cliffs["weighted"] or 0) / even,
            at_least=0.99,
            at_most=1.0,
        ),
        _verdict(
            "highest load without loss when all spill goes to the nearest",
            cliffs["nearest-failover"] or 0,
            at_least=0.49,
            at_most=0.5,
        ),
    )
    tables = (
        _table("failover", "policy load mean_share_lost worst_share_lost", rows),
        _table("capacity cliff", "policy highest_load_without_loss", found),
    )
    return Part(tables, verdicts)


def storms(size: Size, one: Experiment, places: int, where: Topology) -> Part:
    """(4) Retries of clients in all regions against one region that has too little."""
    found = {storm.variant: storm for storm in retries.storms(one, places, where, size.seed)}
    columns = "clients attempts_per_request attempts_per_request_after share_lost_in_overload share_lost_after"
    verdicts = (
        _verdict(
            "attempts ÷ requests from the beginning of an overload on, with budgets",
            found["budget"].attempts,
            at_most=1.2,
        ),
        _verdict("share lost after an overload, with budgets", found["budget"].lost_after, at_most=0.05),
        _verdict("share lost after an overload, naive retries", found["naive"].lost_after, at_least=0.95),
    )
    rows = [[*asdict(storm).values()] for storm in found.values()]
    return Part((_table("retry amplification", columns, rows),), verdicts)


def rates(size: Size) -> Part:
    """(5) Bytes and CPU time of a node."""
    rows = []
    for per_s in RATES_PER_S:
        each = _cost(size, per_s)
        rows.append(
            [per_s, each.batches_per_s, each.bytes_per_s / 1e3, each.cpu_share, each.cross_region_bytes_per_s / 1e6]
        )
    columns = "revocations_per_s batches_per_s node_kb_per_s node_cpu_share cross_region_mb_per_s"
    usual, storm = rows[0][3], rows[2][3]
    verdicts = (
        _verdict(f"share of a core to apply {RATES_PER_S[0]:.0f} revocations a second", usual, at_most=0.01),
        _verdict("share of a core to apply a million revocations in a minute as they come", storm, at_most=1.0),
    )
    return Part((_table("costs", columns, rows),), verdicts)


def stampedes(size: Size) -> Part:
    """(6) Verifiers that all start at one moment."""
    rng = Random(f"{size.seed}/stampede")  # noqa: S311  chance, not secret
    herds = [stampede.cold_start(VERIFIERS, spread_s, rng, MEAN_OVER_S) for spread_s in SPREADS_S]
    peak, ratio = stampede.refreshes(VERIFIERS, rng)
    spread = next(herd for herd in herds if herd.spread_s == MEAN_OVER_S)
    verdicts = (
        _verdict("peak ÷ mean of first requests, spread over a minute", spread.peak_to_mean, at_most=3),
        _verdict("peak ÷ mean of requests for keys afterwards", ratio, at_most=3),
    )
    columns = "spread_s verifiers peak_requests_per_s peak_to_mean last_snapshot_s"
    rows = [[herd.spread_s, VERIFIERS, herd.peak_per_s, herd.peak_to_mean, herd.done_s] for herd in herds]
    keys = _table("key refreshes", "verifiers peak_requests_per_s peak_to_mean", [[VERIFIERS, peak, ratio]])
    return Part((_table("stampede", columns, rows), keys), verdicts)


def _cost(size: Size, per_s: float) -> costs.Cost:
    return costs.cost(per_s, len(size.topology.regions), min(HEADS, size.nodes), DEFAULT[1])


def _verdict(name: str, measured: float, *, at_least: float | None = None, at_most: float | None = None) -> Verdict:
    holds = (at_least is None or measured >= at_least) and (at_most is None or measured <= at_most)
    bounds = [
        f"at least {at_least:g}" if at_least is not None else "",
        f"at most {at_most:g}" if at_most is not None else "",
    ]
    return Verdict(name, holds, round(measured, 4), " and ".join(filter(None, bounds)))


def _table(name: str, columns: str, rows: Iterable[Row]) -> dict[str, Any]:
    rounded = [[round(cell, 4) if isinstance(cell, float) else cell for cell in row] for row in rows]
    return {"name": name, "columns": columns.split(), "rows": rounded}
