from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.running import ROOT, RunningCluster, run

MEMBERS = {"name", "unit", "ours", "reference", "reference_name", "ratio", "runs"}


@pytest.mark.processes
def test_the_benchmark_prints_json_alone():
    done = run("loadtest.bench", "--json", "--rounds", "2", "--slice-s", "0.05", timeout_s=120)
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert len(rows) == 5
    for row in rows:
        assert set(row) == MEMBERS
        assert row["unit"] == "calls/s"
        assert len(row["runs"]) == 2
        assert min(row["ours"], row["reference"], row["ratio"]) > 0


@pytest.mark.processes
@pytest.mark.parametrize(("flag", "fault"), [("--nope", "No such option"), ("--rounds=0", "--rounds"), ("x", "extra")])
def test_a_wrong_flag_is_one_line_and_exits_2(flag, fault):
    done = run("loadtest.bench", flag)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith("bench: ")
    assert fault in done.stderr


def test_a_revision_that_does_not_exist_exits_2_and_leaves_no_work_tree():
    done = run("loadtest.bench", "--against", "no-such-revision", "--rounds", "1", timeout_s=120)
    assert done.returncode == 2
    assert "--against no-such-revision: no such commit" in done.stderr
    trees = subprocess.run(["git", "worktree", "list"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "stsd-bench" not in trees.stdout


@pytest.mark.parametrize("revision", ["--all", "HEAD; true", ""])
def test_what_is_no_revision_exits_2(revision):
    done = run("loadtest.bench", f"--against={revision}")
    assert done.returncode == 2
    assert "not a revision" in done.stderr


def locust(*arguments: str, data_dir: Path) -> subprocess.CompletedProcess[str]:
    command = [
        *(sys.executable, "-m", "locust", "-f", "loadtest/locustfile.py", "--headless"),
        *("--data-dir", str(data_dir), *arguments),
    ]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=90, check=False)


@pytest.mark.processes
def test_locust_names_results_by_operation_endpoint_and_place(cluster: RunningCluster, tmp_path):
    table = str(tmp_path / "load")
    done = locust("-u", "9", "-r", "9", "-t", "4s", "--csv", table, "--only-summary", data_dir=cluster.data_dir)
    assert done.returncode == 0, done.stderr
    with (tmp_path / "load_stats.csv").open() as file:
        found = {row["Name"]: int(row["Failure Count"]) for row in csv.DictReader(file)}
    for place in cluster.regions:
        assert found[f"AssumeRole regional {place}"] == 0
    words = [set(column) for column in zip(*(name.split() for name in found if name != "Aggregated"), strict=True)]
    assert words == [
        {"AssumeRole", "GetCallerIdentity", "verify"}, {"global", "regional"}, set(cluster.regions),
    ]  # fmt: skip
    assert found["Aggregated"] == 0


def test_locust_without_a_cluster_exits_2_and_says_how_to_start_one(tmp_path):
    done = locust("-u", "1", "-t", "1s", data_dir=tmp_path)
    assert done.returncode == 2
    assert f"{tmp_path}: no cluster.json: start one with `python -m cluster up`" in done.stderr
