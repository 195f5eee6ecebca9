"""Real processes: how a cluster ends, the lines of a Procfile, and usage."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest
import requests

from tests.cluster.test_local import all_are_gone, is_alive, parent, pids, ready
from tests.running import (
    ROOT,
    free_base_port,
    run,
    running_cluster,
    wait_for,
)

pytestmark = pytest.mark.processes


# -- without test hooks ----------------------------------------------------------------------------------------------


def test_no_node_without_test_hooks_is_asked_for_them(tmp_path):
    with running_cluster(tmp_path / "data", "--topology", "two_continents") as cluster:
        assert [cluster.command(verb).returncode for verb in ("status", "heal")] == [0, 0]
        logs = [tmp_path / "data" / region / "node.log" for region in cluster.regions]
        lines = [line for log in logs for line in log.read_text().splitlines()]
    events = [json.loads(line) for line in lines if line.startswith("{")]
    assert events
    assert [event for event in events if event.get("status") == 404] == []


# -- ends ------------------------------------------------------------------------------------------------------------


def test_one_ctrl_c_ends_everything_and_the_next_start_continues(tmp_path):
    with running_cluster(tmp_path / "data", "--topology", "two_continents") as first:
        before, credentials = pids(first), (tmp_path / "data" / "credentials").read_bytes()
        assert set(before) == {"us-east-1", "eu-west-1", "router"}
        wait_for(lambda: "aws sts get-caller-identity --profile admin" in first.output.read_text(), "the welcome")
        assert first.stop() == 0
        assert all_are_gone(before)
    assert run("cluster", "status", "--data-dir", str(tmp_path / "data")).returncode == 1
    idle = run("cluster", "heal", "--data-dir", str(tmp_path / "data"))
    assert (idle.returncode, "is the cluster up?" in idle.stderr) == (2, True)
    with running_cluster(tmp_path / "data") as second:
        assert (tmp_path / "data" / "credentials").read_bytes() == credentials
        assert set(pids(second)) == set(before)


def test_a_node_that_gets_sigterm_drains_and_ctrl_c_does_not_wait_for_it(tmp_path):
    with running_cluster(tmp_path / "data", "--topology", "two_continents", "--drain-s", "60") as cluster:
        found, url = pids(cluster), cluster.info["regions"]["eu-west-1"]["url"]
        os.kill(found["eu-west-1"], signal.SIGTERM)
        wait_for(lambda: requests.get(f"{url}/readyz", timeout=2).status_code == 503, "the drain")
        assert requests.get(f"{url}/healthz", timeout=2).status_code == 200
        assert is_alive(found["eu-west-1"])
        assert cluster.stop() == 0
        assert all_are_gone(found)


def test_a_supervisor_that_gets_sigterm_lets_its_node_drain_until_a_second_one(tmp_path):
    with running_cluster(tmp_path / "data", "--topology", "two_continents", "--drain-s", "60") as cluster:
        found, url = pids(cluster), cluster.info["regions"]["eu-west-1"]["url"]
        supervisor = parent(found["eu-west-1"])
        os.kill(supervisor, signal.SIGTERM)
        wait_for(lambda: requests.get(f"{url}/readyz", timeout=2).status_code == 503, "the drain")
        os.kill(supervisor, signal.SIGTERM)
        assert cluster.process.wait(timeout=20) == 1  # as when a supervisor is killed
        assert all_are_gone(found)


def test_nothing_outlives_a_killed_cluster_up(tmp_path):
    with running_cluster(tmp_path / "data", "--topology", "two_continents") as cluster:
        found = pids(cluster)
        supervisors = {name: parent(pid) for name, pid in found.items()}
        cluster.process.kill()
        wait_for(lambda: all_are_gone(found) and all_are_gone(supervisors), "the end of every process")


def test_a_killed_supervisor_takes_its_process_and_the_cluster_along(tmp_path):
    with running_cluster(tmp_path / "data", "--topology", "two_continents") as cluster:
        found = pids(cluster)
        os.kill(parent(found["eu-west-1"]), signal.SIGKILL)
        assert cluster.process.wait(timeout=20) == 1
        assert all_are_gone(found)
        assert "eu-west-1" in cluster.output.read_text().splitlines()[-1]


def test_a_node_that_does_not_come_up_stops_the_start_with_its_last_words(tmp_path):
    data = tmp_path / "data"
    with running_cluster(data, "--topology", "two_continents"):
        pass
    (data / "eu-west-1" / "world.sealed").write_bytes(b"damaged")
    refused = run("cluster", "up", "--data-dir", str(data))
    assert refused.returncode == 1
    assert "cluster: eu-west-1: ended with exit code 2 before it was ready" in refused.stderr
    assert "does not open" in refused.stderr
    assert "Traceback" not in refused.stderr


# -- the lines of a Procfile -----------------------------------------------------------------------------------------


def test_the_lines_of_a_procfile_fill_the_directory_once_and_run_the_cluster(tmp_path):
    data, base_port = tmp_path / "data", str(free_base_port())
    names = ("us-east-1", "eu-west-1", "links", "router")
    flags = ("--data-dir", str(data), "--base-port", base_port, "--topology", "two_continents")
    command = [sys.executable, "-m", "cluster", "supervise"]
    lines = {name: subprocess.Popen([*command, name, *flags], cwd=ROOT, stderr=subprocess.PIPE) for name in names}
    try:
        wait_for(lambda: ready(f"http://127.0.0.1:{base_port}"), "the router's start")
        wait_for(lambda: run("cluster", "status", "--data-dir", str(data)).returncode == 0, "every process")
        assert run("cluster", "kill", "us-east-1", "--data-dir", str(data)).returncode == 0
        assert lines["us-east-1"].poll() is None
        assert run("cluster", "start", "us-east-1", "--data-dir", str(data)).returncode == 0
        info = json.loads((data / "cluster.json").read_text())
        found = [info["router"]["pid"], *(entry["pid"] for entry in info["regions"].values())]
        assert all(is_alive(pid) for pid in found)
        twice = run("cluster", "supervise", "router", *flags)
        assert twice.returncode == 2
    finally:
        for line in lines.values():
            line.terminate()
        codes = {name: line.wait(timeout=20) for name, line in lines.items()}
        for line in lines.values():
            assert line.stderr is not None
            line.stderr.close()
    assert codes == dict.fromkeys(names, 0)
    assert not any(is_alive(pid) for pid in found)


# -- usage -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("up", "--policy", ""), "--policy : not a policy"),
        (("up", "--policy", "best"), "--policy best: not a policy"),
        (("up", "--backbone", "kafka"), "--backbone"),
        (("up", "--workers", "2"), "--workers"),
        (("up", "--base-port", "many"), "--base-port"),
        (("partition", "us-east-1", "eu-west-1"), "no cluster is here"),
        (("isolate",), "no cluster is here"),
        (("slow", "us-east-1", "eu-west-1", "5"), "no cluster is here"),
        (("pause", "us-east-1"), "no cluster is here"),
        (("resume", "us-east-1"), "no cluster is here"),
        (("heal",), "no cluster is here"),
        (("links",), "no cluster is here"),
        (("status",), "no cluster is here"),
        (("kill", "us-east-1"), "no cluster is here"),
        (("router",), "no cluster is here"),
        (("policy", "nearest"), "no cluster is here"),
        (("up", "--dns-ttl", "-1"), "--dns-ttl"),
        (("up", "--drain-s", "61"), "--drain-s"),
    ],
)
def test_wrong_usage_is_one_clear_line_and_exit_2(tmp_path, arguments, words):
    refused = run("cluster", *arguments, "--data-dir", str(tmp_path / "none"))
    assert refused.returncode == 2
    assert refused.stdout == ""
    assert words in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    "verb",
    [
        *("up", "status", "kill", "start", "supervise", "router", "links"),
        *("pause", "resume", "partition", "isolate", "slow", "heal"),
    ],
)
def test_every_verb_explains_itself_with_an_example(verb):
    shown = run("cluster", verb, "--help")
    assert (shown.returncode, "Example:" in shown.stdout) == (0, True)
