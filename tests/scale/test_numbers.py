"""The plan's arithmetic: costs from their parts, and tables and verdicts from what was found."""

from __future__ import annotations

from dataclasses import astuple, replace
from math import ceil

import pytest

from cluster.checks import Verdict
from cluster.scale import console, costs, partition, plan, stampede
from cluster.scale.plan import Size
from stsd.revocation.messages import MAX_FETCH_BYTES
from tests.scale import timing


@pytest.fixture(scope="module")
def size() -> Size:
    return Size(console._topology(5), 4, 3)


def table(part: plan.Part, name: str) -> list[dict[str, float]]:
    (found,) = (one for one in part.tables if one["name"] == name)
    return [dict(zip(found["columns"], row, strict=True)) for row in found["rows"]]


def test_writers_gather_for_their_window_and_not_longer():
    slow, fast = costs.cost(46, 30, 3, 0.005), costs.cost(90_000, 30, 3, 0.005)
    # 90 writers of 1,000 a second each: a batch begins with an entry and gathers 5 more in its 5 ms.
    assert fast.batches_per_s == pytest.approx(90 * 1000 / 6)
    assert slow.batches_per_s == pytest.approx(46 / (1 + 46 / 90 * 0.005))
    assert costs.cost(90_000, 30, 3, 0.0).batches_per_s == pytest.approx(90_000)


def test_bytes_and_cpu_time_are_those_of_batches_and_of_what_else_is_in_them():
    found = costs.cost(90_000, 30, 3, 0.005)
    batches, more = 15_000, 75_000
    assert found.bytes_per_s == pytest.approx(batches * costs.message_bytes(1) + more * costs.entry_bytes())
    assert found.cpu_share == pytest.approx(batches * costs.PUSH_CPU_S + 90_000 * costs.ENTRY_CPU_S)
    assert found.cross_region_bytes_per_s == pytest.approx(found.bytes_per_s * 29 * 3)


@pytest.mark.parametrize(
    ("measured", "at_least", "at_most", "holds", "required"),
    [
        (1.0, 1.0, None, True, "at least 1"),
        (0.99, 1.0, None, False, "at least 1"),
        (3.0, None, 3.0, True, "at most 3"),
        (3.01, None, 3.0, False, "at most 3"),
        (0.5, 0.4, 0.5, True, "at least 0.4 and at most 0.5"),
        (0.3, 0.4, 0.5, False, "at least 0.4 and at most 0.5"),
        (0.6, 0.4, 0.5, False, "at least 0.4 and at most 0.5"),
    ],
)
def test_a_verdict_holds_within_its_bounds_and_at_them(measured, at_least, at_most, holds, required):
    assert plan._verdict("n", measured, at_least=at_least, at_most=at_most) == Verdict("n", holds, measured, required)


def test_late_nodes_and_the_last_of_each_revocation_are_counted(size, monkeypatch):
    delays = [*[0.1] * 990, *[0.6] * 10]
    monkeypatch.setattr(plan, "_delays", lambda *_: ([0.4, 1.9, 0.7], delays))
    part = plan.convergence(size)
    assert [(verdict.measured, verdict.holds) for verdict in part.verdicts] == [(0.99, False), (1.9, True)]
    shares = {row["ms"]: row["share"] for row in table(part, "convergence cdf")}
    assert (shares[75], shares[100], shares[500], shares[750]) == (0, 0.99, 0.99, 1)
    first = table(part, "convergence")[0]
    assert [first[name] for name in ("p50_ms", "p99_ms", "p999_ms", "last_p50_ms", "last_max_ms")] == [
        100, 100, 600, 700, 1900,
    ]  # fmt: skip


def test_the_lonely_region_lacks_what_the_others_made_and_is_as_far_as_the_farthest(size):
    part = plan.partitions(size)
    rows, course = table(part, "partition"), table(part, "partition course")
    assert [row["lacking_entries"] for row in rows] == pytest.approx([600 * per_s * 0.8 for per_s in (46, 1000, 5000)])
    assert max(moment["lacking_entries"] for moment in course) == pytest.approx(600 * 46 * 0.8)
    assert part.verdicts[0].measured == rows[0]["caught_up_s"]
    lonely = size.topology.regions[-1]
    far = {
        pair: replace(trip, p50_ms=trip.p50_ms + 1000) if lonely in pair else trip
        for pair, trip in size.topology.between.items()
    }
    alone = table(plan.partitions(replace(size, topology=replace(size.topology, between=far))), "partition")
    assert alone[0]["caught_up_s"] > rows[0]["caught_up_s"] + 0.9


def test_what_catching_up_takes_is_told_by_what_it_is_spent_on(size):
    for row in table(plan.partitions(size), "partition"):
        assert row["caught_up_s"] == pytest.approx(row["cpu_s"] + row["wire_s"] + row["waiting_s"], abs=1e-3)
        own = row["lacking_batches"] * costs.PAGE_CPU_S + row["lacking_entries"] * costs.ENTRY_CPU_S
        pushed = 0.8 * plan._cost(size, row["revocations_per_s"]).cpu_share
        assert row["cpu_s"] == pytest.approx(own / (1 - pushed), abs=1e-3)
        assert row["wire_s"] == pytest.approx(row["lacking_mb"] * 1e6 / partition.WIRE_BYTES_PER_S, abs=1e-3)
        trips = ceil(row["lacking_mb"] * 1e6 / MAX_FETCH_BYTES)
        assert row["waiting_s"] > plan.HEARD_AFTER_S + trips * 0.01


def test_the_times_of_replication_are_those_of_its_own_code():
    found = timing.measure(rounds=1, batches=20)
    assert min(astuple(found)) > 0


def test_costs_are_judged_at_the_usual_rate_and_in_a_storm(size):
    part = plan.rates(size)
    rows = {row["revocations_per_s"]: row for row in table(part, "costs")}
    assert [verdict.measured for verdict in part.verdicts] == [
        rows[46]["node_cpu_share"],
        rows[16_700]["node_cpu_share"],
    ]
    assert rows[16_700]["node_kb_per_s"] == pytest.approx(plan._cost(size, 16_700).bytes_per_s / 1e3, abs=1e-3)


def test_a_stampede_is_judged_by_the_herd_that_spreads_over_the_minute(size, monkeypatch):
    def cold_start(verifiers, spread_s, rng, mean_over_s):
        return stampede.Herd(spread_s, spread_s, spread_s, 0.0)

    monkeypatch.setattr(stampede, "cold_start", cold_start)
    monkeypatch.setattr(stampede, "refreshes", lambda verifiers, rng: (5, 2.5))
    found = plan.stampedes(size).verdicts
    assert [(verdict.measured, verdict.holds) for verdict in found] == [(60.0, False), (2.5, True)]
