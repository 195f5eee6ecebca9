from __future__ import annotations

from dataclasses import replace

import pytest

from cluster.checks import Check, judge
from cluster.history import Event, Exchange, Run, percentile
from cluster.load_checks import switches

OVERLOAD = Event("load", "1.5 times", 2.0, 2.0, "overload")


def exchange(due_at: float, ok: bool, attempts: int = 1, took_s: float = 0.1) -> Exchange:
    outcome = "ok" if ok else "unknown"
    return Exchange("here", "global", "", "verify", due_at, due_at, due_at + took_s, outcome, attempts=attempts)


def run(shares: list[float], variant: str = "", attempts: int = 1) -> Run:
    """Ten requests in each second from -2 s on, of which that share is answered well."""
    requests = [
        exchange(second - 2 + i / 10, ok=i < share * 10, attempts=attempts)
        for second, share in enumerate(shares)
        for i in range(10)
    ]
    return Run("p", 1, requests, [OVERLOAD], variant=variant)


def measured(kind: str, *runs: Run, **members) -> float | None:
    check = Check(kind, "c", ("p",), since="overload", level=0.5, at_least=0, **members)
    (verdict,) = judge([check], runs, {})
    return verdict.measured


#         -2 -1  0  1 | 2  3    4  5    6  7 |
HEALED = [1, 1, 1, 1, 0, 0.4, 1, 0.3, 1, 1]
COLLAPSED = [1, 1, 1, 1, 0, 0.4, 0, 0.3, 0, 0]


def test_impairment_ends_with_the_last_bad_second_and_collapse_with_the_first_good_one():
    assert measured("impaired_s", run(HEALED)) == 4
    assert measured("collapsed_s", run(HEALED)) == 2
    assert measured("impaired_s", run(COLLAPSED)) == measured("collapsed_s", run(COLLAPSED)) == 6


WELL = [1] * 10


def test_what_no_whole_second_and_no_request_shows_is_divided_by_as_one_of_them():
    runs = [run(COLLAPSED, "naive"), run(WELL, "budget")]
    compared = {"variants": ("naive",), "than": "budget"}
    assert measured("impaired_s", *runs, **compared) == 6
    lost, of = 53, 60
    assert measured("lost_share", *runs, **compared) == lost
    assert measured("lost_share", *runs, run(WELL, "budget"), **compared) == pytest.approx(lost / of * 2 * of)
    assert measured("lost_share", *runs, variants=("budget",), than="budget") == 0
    elsewhere = compared | {"location": "nowhere"}
    assert measured("lost_share", *runs, **elsewhere) is None


def test_hedges_are_divided_by_as_one_where_no_second_region_was_asked():
    some, none = replace(run(WELL, "hedging"), hedges=4.0), replace(run(WELL, "plain"), hedges=0.0)
    assert measured("hedged_share", some, none, variants=("hedging",), than="plain") == pytest.approx(4)
    untold = replace(none, hedges=None)
    assert measured("hedged_share", some, untold, variants=("hedging",), than="plain") is None


def test_late_answers_are_bad_ones_where_a_check_says_how_late():
    slow = run(HEALED)
    slow.exchanges.extend(exchange(6 + i / 20, ok=True, took_s=0.7) for i in range(11))
    for kind in ("impaired_s", "collapsed_s"):
        assert measured(kind, slow) == measured(kind, run(HEALED))
    assert measured("impaired_s", slow, within_ms=650) == 5
    assert measured("impaired_s", slow, within_ms=750) == 4
    assert measured("collapsed_s", slow, within_ms=50) == 6


def test_the_worst_seed_counts_for_both():
    assert measured("impaired_s", run(HEALED), run(COLLAPSED)) == 6
    assert measured("collapsed_s", run(HEALED), run(COLLAPSED)) == 2


def test_a_fault_that_did_not_happen_measures_nothing():
    calm = Run("p", 1, run(HEALED).exchanges)
    for kind in ("impaired_s", "collapsed_s", "amplification"):
        assert measured(kind, calm) is None
        assert measured(kind) is None


def test_amplification_counts_attempts_since_the_overload():
    assert measured("amplification", run(HEALED, attempts=3)) == 3


def test_a_p99_is_of_good_answers_of_the_window_and_needs_a_thousand():
    assert measured("latency_ms_p99", run(HEALED)) is None
    many = replace(run(HEALED), exchanges=[e for e in run(HEALED).exchanges for _ in range(100)])
    good = [e.latency_ms for e in many.exchanges if e.outcome == "ok" and e.due_at >= many.events[0].began_at]
    assert measured("latency_ms_p99", many) == pytest.approx(percentile(good, 0.99))


def test_hedges_are_a_share_of_all_requests_and_unknown_where_one_router_did_not_tell():
    told = replace(run(HEALED), hedges=2.0)
    assert measured("hedged_share", told) == 2 / len(told.exchanges)
    assert measured("hedged_share", told, run(HEALED)) is None


def test_a_variant_is_judged_by_its_own_runs_and_against_another_one():
    runs = run(COLLAPSED, "naive"), run(HEALED, "budget")
    assert measured("impaired_s", *runs, variants=("naive",)) == 6
    assert measured("impaired_s", *runs, variants=("naive",), than="budget") == 1.5
    assert measured("impaired_s", runs[0], variants=("naive",), than="budget") is None


@pytest.mark.parametrize("variant", ["naive", "budget"])
def test_a_verdict_names_its_variant(variant):
    check = Check("amplification", "attempts", ("p",), ("naive", "budget"), since="overload", at_most=1)
    names = [verdict.name for verdict in judge([check], [run(HEALED, variant)], {})]
    assert names == ["p, naive: attempts", "p, budget: attempts"]


KILL = Event("kill", "home", 2.0, 2.1, "overload")


def switched(*outcomes: tuple[float, str, str], variant: str = "") -> Run:
    """A run in which requests were due then, with that outcome, answered by that region."""
    requests = [replace(exchange(due_at, ok=True), outcome=ok, served_by=by) for due_at, ok, by in outcomes]
    return Run("p", 1, requests, [KILL], variant=variant)


SWITCHED = switched(
    (1.9, "ok", "home"), (2.0, "ok", "home"), (2.2, "failed", ""), (3.5, "failed", ""), (4.5, "ok", "far")
)


def test_the_switch_is_the_first_answer_of_another_region_after_a_lost_request():
    assert measured("switch_s", SWITCHED) == 2.5
    sooner = switched((2.2, "failed", ""), (2.5, "ok", "far"), (2.6, "failed", ""))
    assert measured("switch_s", SWITCHED, sooner) == 1.5


@pytest.mark.parametrize(
    "other",
    [
        switched((2.2, "ok", "far"), (2.5, "ok", "far")),
        switched((2.2, "failed", ""), (4.5, "ok", "home")),
        switched((2.2, "failed", ""), (4.5, "ok", "")),
        switched((1.5, "failed", ""), (4.5, "ok", "far")),
        replace(SWITCHED, events=()),
        switched(),
    ],
    ids=["lost nothing", "the region itself", "nobody said who", "lost before", "no fault", "no request"],
)
def test_what_did_not_switch_is_not_measured_and_so_does_not_hold(other):
    assert measured("switch_s", other) is None
    assert measured("switch_s", SWITCHED, other) is None


def test_a_switch_is_compared_with_that_of_another_variant():
    ours = replace(SWITCHED, variant="ours")
    other = switched((2.2, "failed", ""), (3.0, "ok", "far"), variant="other")
    check = Check("switch_s", "c", ("p",), ("ours",), than="other", since="overload", at_most=2)
    (verdict,) = judge([check], [ours, other], {})
    assert (verdict.measured, verdict.holds) == (2.5, False)
    (unmeasured,) = judge([check], [ours], {})
    assert (unmeasured.measured, unmeasured.holds) == (None, False)


def test_the_switch_of_each_run_is_told_with_what_was_lost_until_the_end_of_the_window():
    check = Check("switch_s", "c", ("p",), ("ours",), since="overload", at_most=2)
    ours = replace(SWITCHED, variant="ours")
    assert [*switches(check, [ours, SWITCHED])] == [(ours, 2.5, 4, 2)]
