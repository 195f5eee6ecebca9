"""Experiments in virtual time: the same files, in seconds, and the same numbers for a seed."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace

import click
import pytest

from cluster import experiment_console
from cluster.__main__ import cluster
from cluster.behaviour import BEHAVIOURS
from cluster.checks import KINDS, judge
from cluster.errors import ClusterError
from cluster.experiment import Experiment, Fault, Revoking, Variant
from cluster.experiment_file import parse
from cluster.files import parse_topology, topology_source
from cluster.history import Run
from cluster.interrupts import Interrupts
from cluster.load import groups, schedule
from cluster.report import console as report_console
from cluster.result import result, series
from cluster.scale import fleet
from cluster.scale.plan import Size
from cluster.topology import Topology
from cluster.virtual import calls, console
from cluster.virtual.runner import JUDGED, VirtualRunner, judged, left_out, refusals
from stsd.server.backbone import http, links

BRIEF = """
number = "E0"
name = "brief"
question = "Who notices that a region is gone?"
latency = false
topology = "three_regions"
policies = ["home-2011", "nearest-failover"]
seeds = 1
[load]
kind = "open"
operations = ["AssumeRole", "GetCallerIdentity", "verify"]
regional = "all"
arrivals_per_s = 5
warm_up_s = 1
duration_s = 12
timeout_s = 3
[[faults]]
at_s = 2
action = "kill"
region = "us-east-1"
[[faults]]
at_s = 8
action = "start"
region = "us-east-1"
[[checks]]
kind = "lost"
name = "clients of other regional endpoints lose nothing"
policies = ["home-2011", "nearest-failover"]
endpoint = "regional"
not_region = "us-east-1"
at_most = 0
[[checks]]
kind = "lost_share"
name = "clients of a dead home lose everything"
policies = ["home-2011"]
endpoint = "global"
since = "kill"
until = "start"
at_least = 1
[[checks]]
kind = "recovery_s"
name = "another region serves them"
policies = ["nearest-failover"]
endpoint = "global"
since = "kill"
until = "start"
at_most = 3.5
[quick]
checks = "all"
leaves_out = "nothing"
"""


def brief(**changes: object) -> Experiment:
    return replace(parse(BRIEF, "brief"), **changes)


def place(one: Experiment) -> Topology:
    return parse_topology(*topology_source(one.topology))


def run(one: Experiment, seed: int = 1) -> list[Run]:
    runner = VirtualRunner(judged(one), place(one), seed, lambda done_s, what: None)
    runner.run()
    return runner.runs


def revoking(*faults: Fault, duration_s: float = 14.0) -> Experiment:
    one = brief(policies=("nearest-failover",), revoking=Revoking(per_s=4, settle_s=4), faults=faults, checks=())
    return replace(one, load=replace(one.load, arrivals_per_s=0.2, duration_s=duration_s))


def test_a_seed_gives_the_same_bytes_again_and_another_seed_does_not():
    one = brief()
    first, again, other = (json.dumps(series(run(one, seed))) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_the_routers_own_decisions_move_clients_from_a_dead_region():
    one = brief()
    verdicts = judge(one.checks, run(one), place(one).rtt)
    assert [verdict.holds for verdict in verdicts] == [True] * 4


@pytest.mark.parametrize(("without", "lost"), [((), False), (("admission", "shedding"), True)])
def test_admission_limits_and_shedding_keep_calls_out_of_a_queue_that_grows(without, lost):
    slow = Fault(0, "capacity", "eu-west-1", per_s=8)
    (one,) = run(brief(policies=("nearest-failover",), faults=(slow,), variants=(Variant("v", without=without),)))
    late = [e for e in one.measured if (e.location, e.endpoint) == ("eu-west-1", "global") and e.due_at > 6]
    assert len(late) > 20
    assert (sum(e.outcome != "ok" for e in late) > len(late) / 2) is lost


@pytest.mark.parametrize(("without", "kept"), [((), True), (("breakers", "retries", "active-checks"), False)])
def test_a_router_without_checks_breakers_and_retries_stays_with_the_dead(without, kept):
    (one,) = run(brief(policies=("nearest-failover",), variants=(Variant("v", without=without),)))
    late = [e for e in one.measured if (e.location, e.endpoint) == ("us-east-1", "global") and 3 < e.due_at < 7]
    assert late
    assert {e.outcome == "ok" for e in late} == {kept}


def test_dns_answers_of_a_variant_end_when_it_says():
    (soon, late) = (
        run(brief(policies=("dns",), variants=(Variant("v", dns_ttl_s=ttl_s),)))[0] for ttl_s in (0.5, 3600)
    )
    lost = [[e for e in one.measured if e.endpoint == "global" and e.outcome != "ok"] for one in (soon, late)]
    assert 0 < len(lost[0]) < len(lost[1])


def test_a_paused_region_answers_when_it_goes_on_and_not_before():
    pause = Fault(2, "pause", "eu-west-1")
    (one,) = run(brief(policies=("nearest-failover",), faults=(pause, Fault(4, "resume", "eu-west-1"))))
    waited = [e for e in one.measured if e.region == "eu-west-1" and 2.1 < e.due_at < 3.9]
    assert waited
    assert all(4 <= e.ended_at < 5 for e in waited if e.outcome == "ok" and e.location == "eu-west-1")


@pytest.mark.parametrize("clients", ["plain", "naive-retries", "jitter", "budget"])
def test_time_goes_on_until_every_request_has_its_answer_however_often_it_is_tried(clients):
    pause = Fault(9, "pause", "us-east-1")
    one = brief(policies=("home-2011",), faults=(pause,), variants=(Variant("v", clients=clients),))
    (found,) = run(one)
    due = schedule(one.load, groups(place(one), one.load.regional), 1)
    assert sorted(e.due_at for e in found.exchanges) == [arrival.due_at for arrival in due]
    assert max(e.attempts for e in found.exchanges) == BEHAVIOURS[clients].retries + 1


def test_what_one_region_revokes_every_region_refuses():
    (one,) = run(revoking())
    acked = [r for r in one.revocations if r.acked_at is not None]
    assert len(acked) == len(one.revocations) > 50
    assert all(all(r.refused_in_the_end.values()) and len(r.refused_in_the_end) == 3 for r in acked)
    assert not any(any(u.refused_in_the_end.values()) for u in one.untouched)
    assert one.untouched
    far = [r.refused_at["ap-southeast-1"] - r.sent_at for r in acked if r.origin == "us-east-1"]
    assert 0.11 < sorted(far)[len(far) // 2] < 0.16  # half of 219.6 ms, a commit, and a question every 20 ms


def test_a_revocation_that_is_answered_late_is_watched_until_every_region_refuses():
    (one,) = run(revoking(Fault(3, "brown-out", "us-east-1", ms=1500)))
    late = [r for r in one.revocations if r.acked_at is not None and r.acked_at - r.sent_at > 1.5]
    assert {r.origin for r in late} == {"us-east-1"}
    assert all({*r.refused_at} == {"eu-west-1", "ap-southeast-1"} for r in late if r.acked_at < 14)


def test_past_a_one_way_cut_it_goes_by_way_of_the_third_region():
    cut = Fault(3, "partition", "us-east-1", "eu-west-1", one_way=True, name="cut")
    (one,) = run(revoking(cut))
    behind = [
        r.refused_at["eu-west-1"] - r.sent_at for r in one.revocations if r.origin == "us-east-1" and r.sent_at > 3.1
    ]
    assert behind
    assert sorted(behind)[len(behind) // 2] > 0.2
    assert max(behind) < 2.5
    assert all(all(r.refused_in_the_end.values()) for r in one.revocations)


def test_behind_a_cut_nobody_knows_until_it_heals():
    (one,) = run(revoking(Fault(3, "isolate", "ap-southeast-1"), Fault(9, "heal")))
    late = [
        r.refused_at["us-east-1"] for r in one.revocations if r.origin == "ap-southeast-1" and 3.1 < r.sent_at < 8.8
    ]
    assert late
    assert min(late) > 9
    assert max(late) < 12


def test_killed_nodes_lose_nothing_that_they_acknowledged():
    (one,) = run(revoking(Fault(1, "crash", every_s=2.0), duration_s=20))
    assert sum(event.action == "kill" for event in one.events) >= 8
    unanswered = [r for r in one.revocations if r.acked_at is None]
    acked = [r for r in one.revocations if r.acked_at is not None]
    assert unanswered
    assert all(all(r.refused_in_the_end.values()) for r in acked)
    heads = [counts.heads for counts in one.nodes.values()]
    assert len(heads) == 3
    assert heads[0] == heads[1] == heads[2]


def test_a_region_with_an_empty_disk_comes_back_with_all_that_the_others_hold():
    faults = Fault(4, "empty-disk", "eu-west-1"), Fault(6, "start", "eu-west-1")
    (one,) = run(revoking(*faults))
    before = [r for r in one.revocations if r.acked_at is not None and r.acked_at < 3.7]
    assert before
    assert all(len(r.refused_in_the_end) == 3 and all(r.refused_in_the_end.values()) for r in before)
    assert len({origin for origin in one.nodes["us-east-1"].heads if origin.startswith("eu-west-1/")}) == 2
    assert one.nodes["eu-west-1"].heads == one.nodes["us-east-1"].heads


def test_a_full_disk_refuses_revocations_and_none_of_them_is_half_there():
    (one,) = run(revoking(Fault(3, "full-disk", "eu-west-1"), Fault(9, "heal")))
    full = [r for r in one.revocations if r.origin == "eu-west-1" and 3.1 < r.sent_at < 8.8]
    assert full
    assert {r.outcome for r in full} == {"failed"}
    assert not any(any(r.refused_in_the_end.values()) for r in full)
    assert all(r.acked_at is not None for r in one.revocations if r not in full and not 2.9 < r.sent_at < 9.1)


@pytest.mark.parametrize(
    ("fault", "operations", "lost"),
    [
        (Fault(2, "grey", "eu-west-1"), {"AssumeRole"}, 1.0),
        (Fault(2, "error-rate", "eu-west-1", share=0.5), {"AssumeRole", "GetCallerIdentity", "verify"}, 0.5),
        (Fault(2, "brown-out", "eu-west-1", ms=400), set(), 0.0),
        (Fault(2, "stall", "eu-west-1", ms=20), set(), 0.0),
    ],
    ids=lambda value: getattr(value, "action", None),
)
def test_what_is_wrong_inside_a_node_is_seen_at_its_regional_endpoint(fault, operations, lost):
    # Until admission limits know that a brown-out is no queue, they refuse some calls.
    (one,) = run(brief(policies=("nearest",), faults=(fault,), variants=(Variant("v", without=("admission",)),)))
    ill = [e for e in one.measured if e.region == "eu-west-1" and e.due_at > 2.1]
    bad = [e for e in ill if e.outcome != "ok"]
    assert {e.operation for e in bad} == operations
    of = [e for e in ill if not operations or e.operation in operations]
    assert sum(e.outcome != "ok" for e in of) / len(of) == pytest.approx(lost, abs=0.12)
    if not operations:
        near = [e.latency_ms for e in ill if e.location == "eu-west-1"]
        assert min(near) > (fault.ms if fault.action == "brown-out" else 20)


def test_hedging_asks_a_second_region_when_the_first_is_late():
    slow = Fault(6, "brown-out", "us-east-1", ms=600)
    bare = Variant("v", without=("admission", "shedding"))
    one = brief(policies=("nearest-failover", "hedged"), faults=(slow,), variants=(bare,))
    one = replace(one, load=replace(one.load, arrivals_per_s=25, operations=("verify",), regional="none"))
    plain, hedged = run(one)
    answered = {r.policy: {e.served_by for e in r.measured if e.location == "us-east-1"} for r in (plain, hedged)}
    assert answered["nearest-failover"] == {"us-east-1"}
    assert answered["hedged"] >= {"us-east-1", "eu-west-1"}


def test_a_fault_that_the_simulation_does_not_know_is_refused_by_name():
    (why,) = refusals(brief(faults=(Fault(1, "earthquake", "us-east-1"),)), "http")
    assert "earthquake" in why


def test_a_fault_that_is_refused_ends_the_experiment_and_is_told_as_the_reason():
    one = brief(faults=(Fault(1, "kill", "eu-west-1"), Fault(2, "pause", "eu-west-1")))
    found = console.run(one, place(one), Interrupts(), quick=False, seed=1, commit="c")
    assert not found["valid"]
    assert "pause eu-west-1 did not work: eu-west-1 is killed" in found["answer"]


def able(chosen: list[Experiment], *, nodes: int | None = None, every: bool) -> list[str]:
    """The names of those that can be simulated."""
    there = experiment_console.new_console()
    return [one.name for one in console.possible(chosen, "http", nodes=nodes, every=every, console=there)]


def test_one_that_cannot_be_simulated_is_a_mistake_alone_and_told_among_all(capsys):
    strange = brief(name="strange", faults=(Fault(1, "earthquake"),))
    with pytest.raises(ClusterError, match="strange: cannot be simulated: fault earthquake"):
        able([strange], every=False)
    assert able([brief(), strange], every=True) == ["brief"]
    assert "strange: cannot be simulated" in capsys.readouterr().out


def test_checks_about_processes_are_left_out_and_named(tmp_path):
    code = main_code(["experiment", "run", "control-plane-outage", "--simulate", "--quick", "--out", str(tmp_path)])
    found = json.loads((tmp_path / "control-plane-outage" / "result.json").read_text())
    assert code == 0
    assert found["valid"]
    assert found["parameters"]["simulated"] is True
    assert list(found["parameters"]["not_judged"]) == ["calls to other regions made inside requests"]
    assert not any("calls to other regions" in check["name"] for check in found["checks"])


def test_more_regions_come_from_the_table_and_only_in_virtual_time(tmp_path):
    wide = console.place(brief(), 6)
    assert len(wide.regions) == len(wide.locations) == 6
    assert wide.regions[:3] == place(brief()).regions
    assert wide.between["eu-west-1", "us-west-2"].p50_ms > 100
    out = ["--out", str(tmp_path)]
    for many in ("--regions", "--nodes"):
        with pytest.raises(click.UsageError, match=f"{many}: give it with --simulate"):
            main_code(["experiment", "run", "E2", many, "9", *out])
    with pytest.raises(ClusterError, match="--regions 2: home-region-dies: give 3"):
        main_code(["experiment", "run", "E2", "--simulate", "--regions", "2", *out])


def test_many_nodes_are_computed_on_the_regions_of_the_run_and_told_beside_it(tmp_path):
    asked = ["E10", "--simulate", "--quick", "--regions", "5", "--nodes", "40", "--out", str(tmp_path)]
    main_code(["experiment", "run", *asked])
    found = json.loads((tmp_path / "control-plane-outage" / "result.json").read_text())
    tables = {table["name"]: table for table in found["series"]}
    assert (found["parameters"]["regions"], found["parameters"]["nodes_per_region"]) == (5, 40)
    assert tables["partition, 40 nodes in each region"]["rows"]
    assert tables["latency"]["rows"]
    claim = "seconds from the heal until equal heads, after 600 s at 46 a second"
    assert claim in [one["name"] for one in found["checks"]]
    assert f"{claim}: " in found["answer"]
    assert f"{len(found['checks'])} checks" in found["answer"]


def test_experiments_that_many_nodes_say_nothing_to_are_told_why(capsys):
    every = experiment_console.load_all()
    with pytest.raises(ClusterError, match="slow-node: --nodes 9: no table of many nodes is about it: it needs three"):
        able([every["slow-node"]], nodes=9, every=False)
    assert able([every["slow-node"], every["retry-storm"]], nodes=9, every=True) == ["retry-storm"]
    assert "slow-node: --nodes 9" in capsys.readouterr().out
    for name, one in every.items():
        assert (name in fleet.PARTS) + (name in fleet.WHY_NONE) == (name != "verifier-stampede")
        assert one.name not in fleet.PARTS or not refusals(one, "http")


def test_every_table_of_an_experiment_is_one_of_sim_s():
    where = experiment_console.load_all()
    for name, asked in fleet.PARTS.items():
        size = Size(console.place(where[name], 5), 2, 1)
        assert all(part.tables and part.verdicts for part in asked(size, where[name])), name


def test_an_engine_that_is_not_simulated_is_never_passed_off_as_http():
    variants = Variant("a", engine="http"), Variant("b", engine="nats")
    assert refusals(brief(variants=variants), "http") == ["engine nats is not simulated"]


def test_another_proxy_is_left_out_of_virtual_time_and_what_is_not_judged_for_it_is_named():
    one = experiment_console.load_all()["home-region-dies"].shortened()
    assert refusals(one, "http") == []
    left = judged(one)
    assert [variant.name for variant in left.variants] == ["whole router", "active checks alone", "passive alone"]
    assert not any("haproxy" in (*check.variants, check.than) for check in left.checks)
    named = left_out(one)
    assert "HAProxy's time as a multiple of that of our active checks" in named
    assert "haproxy: seconds until clients near the dead region are sent to another one" in named
    assert all("haproxy is a real program" in why for why in named.values())
    only = brief(variants=(Variant("h", front="haproxy"),))
    assert refusals(only, "http") == ["only another proxy is run, which is a real program"]


def test_an_experiment_that_asks_only_about_processes_is_refused():
    checks = tuple(replace(check, kind="restart_s") for check in brief().checks)
    assert refusals(brief(checks=checks), "http") == ["all of its checks are about processes"]


def test_the_kinds_that_are_judged_exist():
    assert set(KINDS) > JUDGED


def test_a_result_that_ctrl_c_let_be_written_is_whole_and_what_it_left_out_is_no_success(tmp_path):
    first, second = brief(), brief(name="second")

    def ended(one, interrupts):
        found = result(one, run(one), place(one), seed=1, quick=False, commit="c", started_at=1)
        os.kill(os.getpid(), signal.SIGINT)
        return found

    assert experiment_console._each([first, second], tmp_path, ended) == 1
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["brief"]
    found = json.loads((tmp_path / "brief" / "result.json").read_text())
    assert found["valid"]
    assert all(check["holds"] for check in found["checks"])
    assert (tmp_path / "report.html").exists()


def test_each_experiment_of_a_run_is_drawn_once_when_it_is_done(tmp_path, monkeypatch):
    drawn: list[list[str]] = []
    monkeypatch.setattr(report_console, "write", lambda out, names, numbers: drawn.append(names))

    def ended(one, interrupts):
        return result(one, [], place(one), seed=1, quick=False, commit="c", started_at=1)

    experiment_console._each([brief(), brief(name="second"), brief(name="third")], tmp_path, ended)
    assert drawn == [["brief"], ["second"], ["third"]]


def test_ctrl_c_in_virtual_time_leaves_what_was_computed_until_then():
    one, interrupts = judged(brief()), Interrupts()
    with interrupts.kept():
        os.kill(os.getpid(), signal.SIGTERM)
        found = console.run(one, place(one), interrupts, quick=False, seed=1, commit="c")
    assert found["valid"] is False
    assert found["answer"].startswith("Not valid: stopped before its end")


def test_a_fault_of_ours_in_virtual_time_is_told_in_its_result_and_the_next_experiment_runs(
    tmp_path, monkeypatch, capfd
):
    runs = VirtualRunner.run

    def failing(runner: VirtualRunner) -> None:
        if runner.experiment.name == "home-region-dies":
            raise KeyError("lost")
        runs(runner)

    monkeypatch.setattr(VirtualRunner, "run", failing)
    asked = {"quick": True, "seed": 1, "out": tmp_path, "backbone": "http", "regions": None}
    assert experiment_console.simulate_all(["home-region-dies", "control-plane-outage"], **asked) == 1
    first, second = (
        json.loads((tmp_path / name / "result.json").read_text())
        for name in ("home-region-dies", "control-plane-outage")
    )
    assert first["valid"] is False
    assert first["answer"].startswith("Not valid: it failed: KeyError: 'lost'")
    assert second["valid"]
    assert "Traceback" in capfd.readouterr().err


NOT_SIMULATED = {"clock-skew", "engine-swap", "rolling-upgrade", "verifier-stampede"}


def test_every_experiment_is_simulated_but_those_whose_parts_the_simulation_lacks():
    refused = {name: refusals(one.shortened(), "http") for name, one in experiment_console.load_all().items()}
    assert {name for name, why in refused.items() if why} == NOT_SIMULATED
    assert all(refusals(one, "nats") for one in experiment_console.load_all().values())


def test_calls_between_nodes_are_bounded_as_the_http_backbone_bounds_them():
    assert calls.CALLS_AT_ONCE == http.CALLS_AT_ONCE
    assert calls.MAX_QUEUED_MESSAGES == http.MAX_QUEUED_MESSAGES
    assert calls.CALL_TIMEOUT_S == links.TIMEOUT_S


def main_code(arguments: list[str]) -> int:
    """The exit code of a command of the laboratory, without the end of this process."""
    return cluster.main(arguments, standalone_mode=False) or 0
