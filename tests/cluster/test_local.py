"""Real processes: what ends, what goes on and what is refused."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from cluster import data_dir
from tests.running import ROOT, RunningCluster, free_base_port, run, running_cluster, wait_for

pytestmark = pytest.mark.processes


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def pids(cluster: RunningCluster) -> dict[str, int]:
    info = cluster.info
    return {region: entry["pid"] for region, entry in info["regions"].items()} | {"router": info["router"]["pid"]}


def all_are_gone(found: dict[str, int]) -> bool:
    return not any(is_alive(pid) for pid in found.values())


def ready(url: str) -> bool:
    return requests.get(f"{url}/readyz", timeout=2).status_code == 200


# -- kill, start, status ---------------------------------------------------------------------------------------------


def test_kill_ends_one_node_and_start_brings_a_new_process(cluster):
    before = pids(cluster)
    assert all(is_alive(pid) for pid in before.values())
    cluster.kill("eu-west-1")
    assert not is_alive(before["eu-west-1"])
    assert pids(cluster) == before | {"eu-west-1": None}
    shown = cluster.command("status")
    assert (shown.returncode, "down" in shown.stdout) == (1, True)
    again = cluster.command("kill", "eu-west-1")
    assert (again.returncode, again.stderr) == (1, "cluster: eu-west-1 is not running\n")
    cluster.start("eu-west-1")
    after = pids(cluster)
    assert after["eu-west-1"] not in (None, before["eu-west-1"])
    assert is_alive(after["eu-west-1"])
    assert cluster.command("status").returncode == 0
    assert "runs already" in cluster.command("start", "eu-west-1").stdout


def test_the_global_endpoint_survives_the_loss_of_its_home(cluster):
    sts = cluster.sts("admin")
    cluster.kill("us-east-1")
    for _ in range(10):
        assert sts.get_caller_identity()["ResponseMetadata"]["HTTPHeaders"]["x-stsd-region"] == "eu-west-1"


def test_a_crash_is_noted_and_nothing_restarts_by_itself(cluster):
    crashed = pids(cluster)["ap-southeast-1"]
    os.kill(crashed, signal.SIGKILL)
    cluster.killed.add("ap-southeast-1")
    wait_for(lambda: pids(cluster)["ap-southeast-1"] is None, "the crash's note")
    wait_for(lambda: "ap-southeast-1: process" in cluster.output.read_text(), "the crash's message")
    cluster.start("ap-southeast-1")


def test_a_part_that_is_not_of_the_cluster_is_refused(cluster):
    refused = cluster.command("kill", "mars-north-1")
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
    assert "us-east-1" in refused.stderr


def test_the_data_of_a_running_cluster_is_refused_and_stays_as_it_is(cluster):
    files = {path: path.read_bytes() for path in cluster.data_dir.iterdir() if path.is_file()}
    refused = cluster.command("up", "--base-port", str(free_base_port()))
    assert refused.returncode == 2
    assert "runs there already" in refused.stderr
    assert {path: path.read_bytes() for path in cluster.data_dir.iterdir() if path.is_file()} == files


def test_a_port_in_use_is_named(tmp_path):
    base_port = free_base_port()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", base_port + 2))
        taken.listen()
        refused = run("cluster", "up", "--data-dir", str(tmp_path / "data"), "--base-port", str(base_port))
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == (
        f"cluster: port {base_port + 2} (eu-west-1): in use: stop what listens there, or give another --base-port\n"
    )


def test_the_ports_of_another_cluster_are_one_fault(cluster, tmp_path):
    refused = run("cluster", "up", "--data-dir", str(tmp_path / "data"), "--base-port", str(cluster.base_port))
    assert refused.returncode == 2
    assert refused.stderr == (
        f"cluster: ports {cluster.base_port} (router), {cluster.base_port + 1} (us-east-1), {cluster.base_port + 2}"
        " (eu-west-1) and 13 more: in use: stop what listens there, or give another --base-port\n"
    )


def test_a_second_supervisor_of_the_same_part_is_refused(cluster):
    refused = cluster.command("supervise", "eu-west-1")
    assert refused.returncode == 2
    assert refused.stderr == f"cluster: eu-west-1 of {cluster.data_dir} is supervised already: stop that one first\n"


def test_kill_says_how_to_start_again_with_the_directory_that_is_not_the_default(cluster):
    killed = cluster.command("kill", "eu-west-1")
    cluster.start("eu-west-1")
    assert f"`python -m cluster start eu-west-1 --data-dir {cluster.data_dir}`" in killed.stdout


def test_a_failed_start_shows_what_this_start_said_and_nothing_older(tmp_path):
    data = data_dir.prepare(tmp_path / "data", data_dir.Wanted(base_port=free_base_port()))
    data.log("us-east-1").write_text("said by an earlier process\n")
    (data.path / "us-east-1" / "world.sealed").write_bytes(b"damaged")
    refused = run("cluster", "supervise", "us-east-1", "--data-dir", str(data.path))
    assert refused.returncode == 1
    assert "its state does not open" in refused.stderr
    assert "said by an earlier process" not in refused.stderr


# -- ends ------------------------------------------------------------------------------------------------------------


def test_one_ctrl_c_ends_everything_and_the_next_start_continues(tmp_path):
    with running_cluster(tmp_path / "data", "--topology", "two_continents") as first:
        before, credentials = pids(first), (tmp_path / "data" / "credentials").read_bytes()
        assert set(before) == {"us-east-1", "eu-west-1", "router"}
        wait_for(lambda: "aws sts get-caller-identity --profile admin" in first.output.read_text(), "the welcome")
        assert first.stop() == 0
        assert all_are_gone(before)
    assert run("cluster", "status", "--data-dir", str(tmp_path / "data")).returncode == 1
    with running_cluster(tmp_path / "data") as second:
        assert (tmp_path / "data" / "credentials").read_bytes() == credentials
        assert set(pids(second)) == set(before)


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
    names = ("us-east-1", "eu-west-1", "router")
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
        (("up", "--policy", "weighted"), "--policy weighted: is not supported yet"),
        (("up", "--policy", "best"), "--policy best: is not a policy"),
        (("up", "--backbone", "nats"), "--backbone"),
        (("up", "--workers", "2"), "--workers"),
        (("up", "--base-port", "many"), "--base-port"),
        (("partition", "us-east-1", "eu-west-1"), "partition"),
        (("pause", "us-east-1"), "pause"),
        (("status",), "no cluster is here"),
        (("kill", "us-east-1"), "no cluster is here"),
        (("router",), "no cluster is here"),
    ],
)
def test_wrong_usage_is_one_clear_line_and_exit_2(tmp_path, arguments, words):
    flags = () if arguments[0] in ("partition", "pause") else ("--data-dir", str(tmp_path / "none"))
    refused = run("cluster", *arguments, *flags)
    assert refused.returncode == 2
    assert refused.stdout == ""
    assert words in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("verb", ["up", "status", "kill", "start", "supervise", "router"])
def test_every_verb_explains_itself_with_an_example(verb):
    shown = run("cluster", verb, "--help")
    assert (shown.returncode, "Example:" in shown.stdout) == (0, True)
