"""What is required of revocations, over histories that are made up."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from cluster import watched
from cluster.checks import Check, judge
from cluster.experiment import Revoking
from cluster.experiment_console import load_all
from cluster.history import Event, Revocation, Run, Untouched
from cluster.load import open_session
from cluster.node_metrics import NodeCounts, parse
from cluster.result import series
from cluster.revocation_load import Revoker, Session
from loadtest.places import Key
from tests.cluster.histories import TABLE, exchange, regional

REGIONS = ("virginia", "dublin", "singapore")


def revocation(sent_at: float, after_s: float | None = 0.1, **members: Any) -> Revocation:
    """A revocation of Virginia, acknowledged after 50 ms and refused elsewhere after `after_s`, or never."""
    seen = {} if after_s is None else dict.fromkeys(REGIONS[1:], sent_at + after_s)
    one = Revocation("virginia", sent_at, sent_at, sent_at + 0.05, "ok", False, seen, dict.fromkeys(REGIONS, True))
    return replace(one, **members)


def run_of(*revocations: Revocation, events: tuple[Event, ...] = (), untouched: tuple[Untouched, ...] = ()) -> Run:
    return Run("home-2011", 1, (), events, revocations=revocations, untouched=untouched)


def measured(run: Run, kind: str, **members: Any) -> float | None:
    check = Check.of({"kind": kind, "name": "n", "policies": ["home-2011"], "at_most": 0, **members})
    [verdict] = judge([check], [run], TABLE)
    return verdict.measured


CUT = Event("partition", "virginia and dublin", 10.0, 10.1, "cut")
HEAL = Event("heal", "", 20.0, 20.1, "heal")
AGAIN = Event("heal", "", 40.0, 40.1, "second heal")


def test_convergence_is_the_time_from_sending_to_the_first_refusal_elsewhere():
    run = run_of(revocation(1, 0.2), revocation(2, 0.7))
    assert measured(run, "convergence_s") == pytest.approx(0.7)


def test_a_session_that_is_never_refused_elsewhere_has_no_convergence():
    assert measured(run_of(revocation(1), revocation(2, None)), "convergence_s") is None


def test_what_was_not_acknowledged_is_not_awaited():
    run = run_of(revocation(1), revocation(2, None, acked_at=None, outcome="unknown"))
    assert measured(run, "convergence_s") == pytest.approx(0.1)
    assert measured(run, "unacked") == 1


def test_a_p99_needs_a_thousand_times():
    few, many = [revocation(i / 100) for i in range(499)], [revocation(i / 100) for i in range(500)]
    assert measured(run_of(*few), "convergence_ms_p99") is None
    assert measured(run_of(*many), "convergence_ms_p99") == pytest.approx(100)


def test_windows_origins_and_observers_select():
    run = run_of(revocation(5, 1), revocation(15, 2), revocation(25, 3), events=(CUT, HEAL))
    assert measured(run, "convergence_s", until="cut") == pytest.approx(1)
    assert measured(run, "convergence_s", since="cut", until="heal") == pytest.approx(2)
    assert measured(run, "convergence_s", since="heal") == pytest.approx(3)
    assert measured(run, "convergence_s", since="flood") is None
    assert measured(run, "convergence_s", origin="dublin") is None
    one_late = revocation(5, refused_at={"dublin": 5.1, "singapore": 9.0})
    assert measured(run_of(one_late), "convergence_s", observer="dublin") == pytest.approx(0.1)


def test_a_revocation_whose_time_was_cut_off_is_not_judged_and_one_that_was_late_before_is():
    window = {"since": "cut", "until": "heal", "at_most": 3}
    just_before = run_of(revocation(12, 2), revocation(17.5, 20), revocation(19.9, 20), events=(CUT, HEAL))
    assert measured(just_before, "convergence_s", **window) == pytest.approx(2)
    in_time = run_of(revocation(12, 2), revocation(16.9, 20), events=(CUT, HEAL))
    assert measured(in_time, "convergence_s", **window) == pytest.approx(20)
    assert measured(run_of(revocation(19, 2), events=(CUT, HEAL)), "convergence_s", **window) is None


def test_catching_up_counts_from_the_named_heal_and_only_what_was_acknowledged_before():
    run = run_of(revocation(15, 6.5), revocation(19.99, 9), revocation(30, 9), events=(CUT, HEAL, AGAIN))
    assert measured(run, "caught_up_s", since="heal") == pytest.approx(1.5)
    assert measured(run, "caught_up_s", since="second heal") == 0
    assert measured(run_of(revocation(15, None), events=(HEAL,)), "caught_up_s", since="heal") is None


def test_catching_up_is_judged_by_the_slowest_heal_of_that_name():
    later = Event("heal", "", 60.0, 60.1, "heal")
    run = run_of(revocation(15, 6.5), revocation(39, 6), revocation(55, 7.25), events=(CUT, HEAL, AGAIN, later))
    assert measured(run, "caught_up_s", since="heal") == pytest.approx(2.25)
    never = run_of(revocation(15, 6.5), revocation(55, None), events=(CUT, HEAL, later))
    assert measured(never, "caught_up_s", since="heal") is None


def test_a_session_accepted_in_its_own_region_after_the_answer_counts():
    assert measured(run_of(revocation(1), revocation(2, accepted_after_ack=True)), "accepted_after_ack") == 1


def test_a_region_that_tells_nothing_after_its_answer_proves_nothing():
    silent = revocation(1, accepted_after_ack=None)
    assert measured(run_of(silent, silent), "accepted_after_ack") is None
    assert measured(run_of(silent, revocation(2)), "accepted_after_ack") == 0
    assert measured(run_of(silent, revocation(2, accepted_after_ack=True)), "accepted_after_ack") == 1


@pytest.mark.parametrize(
    ("status", "answer", "accepted"),
    [
        (200, {"results": [{"active": True}]}, True),
        (200, {"results": [{"active": False}]}, False),
        (503, {}, None),
    ],
    ids=["accepts it", "refuses it", "does not tell"],
)
async def test_what_its_own_region_says_of_a_session_after_the_answer_is_recorded(status, answer, accepted):
    async def revoke(request: web.Request) -> web.Response:
        return web.json_response({})

    async def verify(request: web.Request) -> web.Response:
        return web.json_response(answer, status=status)

    app = web.Application()
    app.add_routes([web.post("/v1/revocations", revoke), web.post("/v1/verify", verify)])
    async with TestServer(app) as server, open_session(1.0) as session:
        urls = {"virginia": str(server.make_url("")).rstrip("/")}
        revoker = Revoker(urls, None, Revoking(per_s=1.0, settle_s=0.0), session, lambda: 1.0)
        one = Session("virginia", 0.0, token="t")
        await revoker._revoke(one, Key("ASIA", "secret", "t"))
    assert (one.outcome, one.accepted_after_ack) == ("ok", accepted)


@pytest.mark.parametrize("dublin", [False, None])
def test_an_acknowledged_revocation_that_a_region_does_not_hold_or_tell_is_lost(dublin):
    in_the_end = {"virginia": True, "dublin": dublin, "singapore": True}
    run = run_of(revocation(1), revocation(2, refused_in_the_end=in_the_end))
    assert measured(run, "lost_acked") == 1


@pytest.mark.parametrize("asked", [{}, {"virginia": True}])
def test_of_a_run_that_was_stopped_before_regions_were_asked_nobody_knows_what_was_lost(asked):
    one, other = told({"v": 3}), told({"v": 2})
    for revocations in (
        [revocation(1), revocation(2, refused_in_the_end=asked)],
        [revocation(1, refused_in_the_end={})],
    ):
        run = replace(run_of(*revocations), nodes={"virginia": one, "dublin": other, "singapore": one})
        assert measured(run, "lost_acked") is None
        assert measured(run, "differing_heads") is None


def test_a_region_that_tells_nothing_of_any_session_holds_none_and_agrees_with_nobody():
    told = {"virginia": True, "dublin": None, "singapore": True}
    silent = revocation(1, refused_at={"singapore": 1.1}, refused_in_the_end=told)
    run = run_of(silent, untouched=(Untouched("virginia", dict.fromkeys(REGIONS)),))
    assert measured(run, "lost_acked") == 1
    assert measured(run, "convergence_s") is None
    assert measured(run, "phantoms") is None
    heads = NodeCounts({"virginia/a/1": 1}, {})
    two = replace(run, nodes={"virginia": heads, "singapore": heads})
    assert measured(two, "differing_heads") is None


async def test_a_region_that_does_not_answer_in_the_end_is_recorded_as_one():
    settings = Revoking(per_s=1.0, settle_s=0.0)
    async with open_session(1.0) as session:
        revoker = Revoker({"virginia": "http://127.0.0.1:1"}, None, settings, session, lambda: 1.0)
        revoker.sessions.append(Session("virginia", 0.0, sent_at=0.0, token="t"))
        await revoker.run(0.0, 1)
    [one] = watched.revocations(revoker.sessions)
    assert one.refused_in_the_end == {"virginia": None}


@pytest.mark.parametrize(("outcome", "awaited"), [(None, True), ("ok", True), ("failed", False), ("unknown", False)])
def test_other_regions_are_watched_as_long_as_the_answer_may_come_and_after_a_good_one(outcome, awaited):
    assert watched.Watched("virginia", 0.0, sent_at=0.0, outcome=outcome).is_awaited is awaited


def test_an_unacknowledged_one_may_be_in_force_and_is_counted_but_is_no_phantom():
    unknown = revocation(1, acked_at=None, outcome="unknown")
    left_alone = Untouched("virginia", dict.fromkeys(REGIONS, False))
    run = run_of(revocation(0), unknown, untouched=(left_alone,))
    assert measured(run, "lost_acked") == 0
    assert measured(run, "phantoms") == 0
    [counts] = [table for table in series([run]) if table["name"] == "revocations"]
    assert dict(zip(counts["columns"], counts["rows"][0], strict=True))["unacked_but_refused"] == 1


def test_a_session_refused_anywhere_that_nobody_revoked_is_a_phantom():
    wrong = Untouched("virginia", {"virginia": False, "dublin": True, "singapore": False})
    assert measured(run_of(untouched=(wrong,)), "phantoms") == 1
    assert measured(run_of(), "phantoms") is None


def test_a_p999_needs_twenty_thousand_times():
    for count, known in ((19_999, False), (20_000, True)):
        one = revocation(1, refused_at={"dublin": 1.1})
        [table] = [t for t in series([run_of(*[one] * count)]) if t["name"] == "convergence"]
        assert (table["rows"][0][-1] is not None) == known


def test_the_longest_restart_is_measured_and_kills_are_not():
    events = (Event("kill", "dublin", 1, 9), Event("start", "dublin", 9, 9.7), Event("start", "virginia", 12, 13.1))
    assert measured(run_of(events=events), "restart_s") == pytest.approx(1.1)


def test_a_p99_ratio_compares_after_with_before():
    before = [exchange(i / 100) for i in range(1000)]
    after = [exchange(20 + i / 100, 15) for i in range(1000)]
    run = Run("home-2011", 1, [*before, *after], (CUT,))
    assert measured(run, "p99_ratio", since="cut") == pytest.approx(1.5)
    assert measured(replace(run, exchanges=[*before, *after[1:]]), "p99_ratio", since="cut") is None


def test_crashes_are_drawn_from_the_seed_and_end_with_the_load():
    full = load_all()["kill-during-revocation"]
    drawn = full.drawn(1, REGIONS)
    assert sum(len(full.drawn(seed, REGIONS)) for seed in range(1, 1 + full.seeds)) >= 200
    assert drawn == full.drawn(1, REGIONS) != full.drawn(2, REGIONS)
    assert {fault.region for fault in drawn} == set(REGIONS)
    for form in (full, full.shortened()):
        times = [fault.at_s for fault in form.drawn(1, REGIONS)]
        assert times == sorted(times)
        assert times[-1] < form.load.duration_s


HEADS = {"virginia/1/a": 7.0, "dublin/1/b": 3.0}


def told(heads: dict[str, float] | None = None, **calls: float) -> NodeCounts:
    return NodeCounts(HEADS if heads is None else heads, calls)


def test_heads_differ_where_one_region_knows_less_of_an_origin_in_the_end():
    equal = replace(run_of(revocation(1)), nodes=dict.fromkeys(REGIONS, told()))
    assert measured(equal, "differing_heads") == 0
    behind = replace(equal, nodes=dict(equal.nodes) | {"dublin": told(HEADS | {"virginia/1/a": 6.0})})
    ignorant = replace(equal, nodes=dict(equal.nodes) | {"dublin": told({"virginia/1/a": 7.0})})
    assert measured(behind, "differing_heads") == measured(ignorant, "differing_heads") == 1


def test_heads_of_a_region_that_does_not_tell_are_not_known_to_be_equal():
    silent = replace(run_of(revocation(1)), nodes={"virginia": told(), "dublin": told()})
    assert measured(silent, "differing_heads") is None
    assert measured(run_of(revocation(1)), "differing_heads") is None


def test_calls_inside_requests_are_counted_over_all_regions_that_clients_called():
    called = [regional(1.0, "virginia"), regional(1.0, "dublin")]
    nodes = {"virginia": told(background=9, request=0), "dublin": told(background=9, request=2)}
    assert measured(replace(run_of(), exchanges=called, nodes=nodes), "remote_calls") == 2


@pytest.mark.parametrize("dublin", [None, NodeCounts(), told(background=0, request=0)])
def test_a_counter_that_is_not_there_or_never_counted_proves_nothing(dublin):
    called = [regional(1.0, "virginia"), regional(1.0, "dublin")]
    nodes = {"virginia": told(background=9, request=0)} | ({} if dublin is None else {"dublin": dublin})
    assert measured(replace(run_of(), exchanges=called, nodes=nodes), "remote_calls") is None


def test_convergence_is_told_apart_for_a_healthy_network_and_after_a_heal():
    healthy, waiting = revocation(1, 0.2), revocation(15, 5.5)
    in_time, later = revocation(12, 0.1), revocation(30, 0.1)
    run = run_of(healthy, waiting, in_time, later, events=(CUT, HEAL, AGAIN))
    [table] = [t for t in series([run]) if t["name"] == "convergence by condition"]
    rows = {row[1]: row[2:4] for row in table["rows"]}
    assert rows == {"healthy": [2, 200.0], "after heal": [1, 500.0]}


def test_what_a_node_counts_is_read_from_its_metrics():
    text = (
        '# TYPE stsd_revocations gauge\nstsd_revocations{origin="a/1/b"} 7\nstsd_revocations{origin="c/1/d"} 0\n'
        '# TYPE stsd_remote_calls counter\nstsd_remote_calls_total{during="request"} 2\n'
    )
    assert parse(text) == NodeCounts({"a/1/b": 7.0}, {"request": 2.0})
