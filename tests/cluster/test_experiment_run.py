from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from cluster import experiment_console
from cluster.errors import ClusterError
from cluster.experiment import PRELOADED_PER_S, START_S
from cluster.experiment_console import EXPERIMENTS
from cluster.experiment_file import parse
from cluster.result import result
from cluster.runner import Runner
from tests.running import ROOT, run, wait_for

SHORT = """
number = "E0"
name = "short"
question = "Does the runner run?"
latency = false
topology = "two_continents"
policies = ["nearest-failover"]
seeds = 1
[load]
kind = "open"
operations = ["AssumeRole", "GetCallerIdentity", "verify"]
regional = "all"
arrivals_per_s = 5
warm_up_s = 0.5
duration_s = 4
timeout_s = 3
[[faults]]
at_s = 1
action = "kill"
region = "us-east-1"
[[faults]]
at_s = 2
action = "start"
region = "us-east-1"
[[checks]]
kind = "lost"
name = "clients of the other region lose nothing"
policies = ["nearest-failover"]
endpoint = "regional"
region = "eu-west-1"
at_most = 0
[[checks]]
kind = "lost_share"
name = "clients of the dead region lose everything"
policies = ["nearest-failover"]
endpoint = "regional"
region = "us-east-1"
since = "kill"
until = "start"
at_least = 1
[quick]
checks = "all"
leaves_out = "nothing"
"""


@pytest.mark.processes
async def test_a_region_is_killed_and_started_under_load_and_the_result_says_who_lost_what():
    told: list[float] = []
    runner = Runner(parse(SHORT, "short.toml"), 1, lambda done_s, what: told.append(done_s))
    await runner.run()
    found = result(runner.experiment, runner.runs, runner.topology, seed=1, quick=False, commit="c", started_at=1)
    assert [check["holds"] for check in found["checks"]] == [True, True], found["answer"]
    series = {table["name"]: table for table in found["series"]}
    assert [row[2] for row in series["faults"]["rows"]] == ["kill", "start"]
    assert len(series["latency"]["rows"]) == 2 * 3
    between = {(row[2], row[3]): row[4:] for row in series["delays between nodes"]["rows"]}
    assert set(between) == set(runner.topology.between)
    for pair, (messages, asked_ms, achieved_ms, error_ms_p99) in between.items():
        assert messages > 0
        assert achieved_ms >= asked_ms > runner.topology.between[pair].p50_ms / 4
        assert error_ms_p99 > 0
    assert told == sorted(told)
    operations = {exchange.operation for exchange in runner.runs[0].exchanges if exchange.outcome == "ok"}
    assert operations == {"AssumeRole", "GetCallerIdentity", "verify"}


REVOKING = """
number = "E0"
name = "revoking"
question = "Are faults and revocations recorded?"
latency = false
topology = "three_regions"
policies = ["nearest-failover"]
seeds = 1
[load]
kind = "open"
operations = ["verify"]
regional = "own"
arrivals_per_s = 1
warm_up_s = 0.5
duration_s = 9
timeout_s = 3
[revocations]
per_s = 4
settle_s = 4
preloaded = 50
[[faults]]
at_s = 1
action = "partition"
region = "us-east-1"
to = "eu-west-1"
one_way = true
name = "one way"
[[faults]]
at_s = 1.2
action = "slow"
region = "us-east-1"
to = "ap-southeast-1"
ms = 50
[[faults]]
at_s = 1.4
action = "lose"
region = "eu-west-1"
to = "ap-southeast-1"
share = 0.05
[[faults]]
at_s = 2
action = "pause"
region = "ap-southeast-1"
[[faults]]
at_s = 3
action = "resume"
region = "ap-southeast-1"
[[faults]]
at_s = 4
action = "heal"
[[faults]]
at_s = 5
action = "crash"
every_s = 4
[[checks]]
kind = "lost_acked"
name = "acknowledged revocations lost"
policies = ["nearest-failover"]
at_most = 0
[[checks]]
kind = "phantoms"
name = "sessions refused that nobody revoked"
policies = ["nearest-failover"]
at_most = 0
[[checks]]
kind = "accepted_after_ack"
name = "revoked sessions accepted in their region"
policies = ["nearest-failover"]
at_most = 0
[quick]
checks = "all"
leaves_out = "nothing"
"""


@pytest.mark.processes
async def test_no_acknowledged_revocation_is_lost_by_a_cut_a_pause_and_a_crash_and_the_result_counts_them():
    runner = Runner(parse(REVOKING, "revoking.toml"), 1, lambda done_s, what: None)
    await runner.run()
    found = result(runner.experiment, runner.runs, runner.topology, seed=1, quick=False, commit="c", started_at=1)
    assert [check["holds"] for check in found["checks"]] == [True, True, True], found["answer"]
    assert sum(next(iter(runner.runs[0].nodes.values())).heads.values()) >= 50
    series = {table["name"]: table for table in found["series"]}
    actions = [row[2] for row in series["faults"]["rows"]]
    assert actions == ["partition", "slow", "lose", "pause", "resume", "heal", "kill", "start"]
    assert series["faults"]["rows"][0][3] == "us-east-1 to eu-west-1"
    assert series["faults"]["rows"][0][6] == "one way"
    counts = series["revocations"]["rows"]
    assert {row[2] for row in counts} == {"us-east-1", "eu-west-1", "ap-southeast-1"}
    assert all(sent == acked + unacked for _, _, _, sent, acked, unacked, *_ in counts)
    assert sum(row[4] for row in counts) > 0
    assert len(series["convergence"]["rows"]) == 3 * 2


@pytest.mark.processes
def test_ctrl_c_once_and_again_leaves_a_readable_partial_result_no_process_and_no_file(tmp_path: Path):
    out, temporary = tmp_path / "out", tmp_path / "temporary"
    temporary.mkdir()
    command = [sys.executable, "-m", "cluster", "experiment", "run", "E2", "E1", "--quick", "--out", str(out)]
    process = subprocess.Popen(
        command, cwd=ROOT, env=os.environ | {"TMPDIR": str(temporary)}, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        # cluster up, a supervisor for each of three regions, the links and the router, and what they supervise
        family = wait_for(lambda: _family(process.pid, at_least=11), "the experiment's cluster")
        (log,) = temporary.glob("*/up.log")
        os.killpg(process.pid, signal.SIGINT)
        wait_for(lambda: "stopping" in log.read_text(), "the end of the experiment's cluster")
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(timeout=40) == 1
    finally:
        process.kill()
        process.wait()
    assert [member for member in family if member.is_running()] == []
    assert [*temporary.iterdir()] == []
    found = json.loads((out / "home-region-dies" / "result.json").read_text())
    assert found["valid"] is False
    assert "stopped before its end" in found["answer"]
    assert (out / "report.html").exists()
    assert not (out / "global-vs-regional").exists()


def _family(pid: int, at_least: int) -> list[psutil.Process]:
    members = psutil.Process(pid).children(recursive=True)
    return members if len(members) >= at_least else []


def test_an_unknown_experiment_exits_2_with_the_known_ones():
    done = run("cluster", "experiment", "run", "E99", "--out", os.devnull)
    assert done.returncode == 2
    names = ", ".join(experiment_console.load_all())
    assert names.startswith("global-vs-regional, home-region-dies, ")
    assert done.stderr == f"cluster: experiment E99: not known; choose {names}, their numbers or all\n"


def test_a_folder_that_cannot_be_written_is_refused_before_anything_runs():
    done = run("cluster", "experiment", "run", "E1", "--out", "/proc/nowhere", timeout_s=10)
    assert done.returncode == 2
    assert done.stderr == "cluster: --out /proc/nowhere: cannot be written: No such file or directory\n"


@pytest.mark.parametrize(
    ("standing", "reason"),
    [
        ("control-plane-outage", "Not a directory"),
        ("control-plane-outage/result.json/x", "Is a directory"),
        ("report.html/x", "Is a directory"),
    ],
)
def test_what_stands_in_the_place_of_a_result_is_told_before_anything_runs(tmp_path, standing, reason):
    (tmp_path / standing).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / standing).touch()
    with pytest.raises(ClusterError) as refused:
        experiment_console.run_all(["E10"], quick=True, seed=1, out=tmp_path)
    assert str(refused.value) == f"--out {tmp_path / standing.removesuffix('/x')}: cannot be written: {reason}"


def test_a_seed_that_no_report_can_read_is_refused():
    done = run("cluster", "experiment", "run", "E10", "--seed", str(10**15), "--out", os.devnull)
    assert (done.returncode, "--seed" in done.stderr) == (2, True)


def test_the_list_fits_a_terminal():
    lines = "\n".join(experiment_console.listed(80)).splitlines()
    assert max(map(len, lines)) <= 80
    assert [line for line in lines if not line.startswith(("E", " " * 5))] == []


def test_the_list_counts_starts_filled_journals_and_the_report_beside_the_load():
    listed = "\n".join(experiment_console.listed(None))
    for one in experiment_console.load_all().values():
        for form in (one, one.shortened()):
            least_s = form.seconds + len(form.arms) * form.seeds * START_S
            assert form.whole_s > least_s
            assert f"about {math.ceil(form.whole_s / 30) / 2:g} min ({form.seconds:.0f} s of load)" in listed
    rejoin = experiment_console.load_all()["empty-disk-rejoin"]
    assert rejoin.whole_s - rejoin.shortened().whole_s > 980_000 / PRELOADED_PER_S


def test_the_list_says_what_the_quick_forms_check_and_leave_out():
    done = run("cluster", "experiment", "list")
    assert done.returncode == 0
    for path in EXPERIMENTS.glob("*.toml"):
        experiment = parse(path.read_text(), path.name)
        assert experiment.quick.checks in done.stdout
        assert experiment.quick.leaves_out in done.stdout
