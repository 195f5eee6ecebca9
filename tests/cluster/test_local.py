"""Real processes: what ends, what goes on and what is refused."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

import pytest
import requests

from cluster import data_dir
from tests.running import (
    RunningCluster,
    free_base_port,
    post_signed,
    run,
    signing,
    wait_for,
)

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


def test_a_paused_region_is_silent_until_it_is_resumed(cluster):
    pid = pids(cluster)["eu-west-1"]
    assert cluster.command("pause", "eu-west-1").returncode == 0
    try:
        shown = cluster.command("status")
        assert (shown.returncode, "paused" in shown.stdout) == (1, True)
        assert Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
        again = cluster.command("start", "eu-west-1")
        assert (again.returncode, "is paused" in again.stderr) == (1, True)
        assert cluster.command("heal").returncode == 0
        assert "paused" in cluster.command("status").stdout
    finally:
        assert cluster.command("resume", "eu-west-1").returncode == 0
    wait_for(lambda: ready(cluster.url("eu-west-1")), "the region's return")
    assert pids(cluster)["eu-west-1"] == pid


def test_a_paused_region_can_be_killed_and_one_that_is_down_cannot_be_paused(cluster):
    assert cluster.command("pause", "eu-west-1").returncode == 0
    cluster.kill("eu-west-1")
    refused = cluster.command("pause", "eu-west-1")
    assert (refused.returncode, refused.stderr) == (1, "cluster: eu-west-1 is not running\n")
    cluster.start("eu-west-1")


# -- the router's policy ---------------------------------------------------------------------------------------------


def test_another_policy_counts_at_once_and_a_wrong_one_changes_nothing(cluster):
    def served() -> tuple[str, str]:
        url = cluster.info["locations"]["eu-west-1"]["global"]
        answer = requests.get(f"{url}/.well-known/jwks.json", timeout=5)
        policy, _, rest = answer.headers["x-stsd-route"].partition(", ")
        return policy, rest.partition(";")[0]

    assert served() == ("nearest-failover", "eu-west-1")
    switched = cluster.command("policy", "home-2011")
    try:
        assert switched.stdout == "router: home-2011 from now on, nearest-failover until now\n"
        assert served() == ("home-2011", "us-east-1")
        refused = cluster.command("policy", "fastest")
        assert (refused.returncode, refused.stdout) == (2, "")
        assert served() == ("home-2011", "us-east-1")
    finally:
        assert cluster.command("policy", "nearest-failover").returncode == 0
    assert served() == ("nearest-failover", "eu-west-1")


def test_a_region_is_drained_and_gets_calls_again(cluster):
    def served() -> str:
        url = cluster.info["locations"]["eu-west-1"]["global"]
        return requests.get(f"{url}/.well-known/jwks.json", timeout=5).headers["x-stsd-route"]

    assert "has none" in cluster.command("drain", "eu-west-1").stdout
    try:
        assert served() == "nearest-failover, eu-west-1;draining, us-east-1;status=200"
    finally:
        assert cluster.command("undrain", "eu-west-1").returncode == 0
    assert served() == "nearest-failover, eu-west-1;status=200"


# -- the links between regions ---------------------------------------------------------------------------------------


def revoked_session(cluster: RunningCluster) -> str:
    """A session token that us-east-1 has revoked."""
    session = cluster.sts("admin@us-east-1").get_session_token()["Credentials"]
    content = {"token": session["SessionToken"]}
    answer = post_signed(cluster.url("us-east-1"), "/v1/revocations", content, signing(session), "us-east-1")
    assert answer.status_code == 200, answer.text
    token: str = session["SessionToken"]
    return token


def is_refused(cluster: RunningCluster, region: str, token: str) -> bool:
    answer = requests.post(f"{cluster.url(region)}/v1/verify", json={"token": token}, timeout=5)
    return answer.json()["active"] is False


def test_a_region_that_is_cut_off_learns_of_a_revocation_when_the_links_are_healed(cluster):
    assert cluster.command("isolate", "ap-southeast-1").returncode == 0
    token = revoked_session(cluster)
    wait_for(lambda: is_refused(cluster, "eu-west-1", token), "the revocation in the region that is not cut off")
    assert not is_refused(cluster, "ap-southeast-1", token)
    shown = cluster.command("status")
    assert (shown.returncode, shown.stdout.count(": cut")) == (1, 4)
    assert cluster.command("heal").returncode == 0
    wait_for(lambda: is_refused(cluster, "ap-southeast-1", token), "the revocation behind the cut")
    assert cluster.command("status").returncode == 0


def test_a_one_way_cut_is_gone_round_through_the_third_region(cluster):
    assert cluster.command("partition", "us-east-1", "eu-west-1", "--one-way").returncode == 0
    token = revoked_session(cluster)
    wait_for(lambda: is_refused(cluster, "eu-west-1", token), "the revocation, by way of ap-southeast-1")
    assert "link from us-east-1 to eu-west-1: cut" in cluster.command("status").stdout


def test_a_link_process_that_starts_again_starts_healed(cluster):
    assert cluster.command("slow", "us-east-1", "eu-west-1", "250").returncode == 0
    assert cluster.command("status").stdout.count("250 ms slower") == 2
    cluster.kill("links")
    assert "links" in cluster.command("partition", "us-east-1", "eu-west-1").stderr
    cluster.start("links")
    assert cluster.command("status").returncode == 0


SCHEDULE = """
duration_s = 1.5
[[faults]]
at_s = 0
action = "grey"
region = "us-east-1"
[[faults]]
at_s = 0.1
action = "full-disk"
region = "eu-west-1"
[[faults]]
at_s = 0.2
action = "pause"
region = "ap-southeast-1"
[[faults]]
at_s = 0.3
action = "kill"
region = "eu-west-1"
"""


def test_a_schedule_disturbs_the_cluster_and_leaves_it_well(cluster, tmp_path):
    file = tmp_path / "schedule.toml"
    file.write_text(SCHEDULE)
    done = cluster.command("fault-schedule", str(file))
    assert (done.returncode, done.stderr) == (0, "")
    words = ["grey us-east-1", "full-disk eu-west-1", "pause ap-southeast-1", "kill eu-west-1", "everything is well"]
    assert all(word in line for word, line in zip(words, done.stdout.splitlines(), strict=True))
    wait_for(lambda: all(ready(cluster.url(region)) for region in cluster.regions), "every region's return")
    assert cluster.command("status").returncode == 0


def test_a_node_that_is_told_to_fails_its_clients_and_stays_ready(cluster):
    token = cluster.sts("admin@us-east-1").get_session_token()["Credentials"]["SessionToken"]
    assert cluster.command("error-rate", "us-east-1", "1").returncode == 0
    answer = requests.post(f"{cluster.url('us-east-1')}/v1/verify", json={"token": token}, timeout=5)
    assert (answer.status_code, ready(cluster.url("us-east-1"))) == (503, True)
    shown = cluster.command("status")
    assert (shown.returncode, "100.00% of the answers are 503" in shown.stdout) == (1, True)
    assert cluster.command("heal", "us-east-1").returncode == 0
    assert not is_refused(cluster, "us-east-1", token)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("partition", "us-east-1", "mars-north-1"), "choose from us-east-1, eu-west-1, ap-southeast-1"),
        (("partition", "us-east-1", "us-east-1"), "no link to itself"),
        (("slow", "router", "us-east-1", "10"), "router: not a region of this cluster"),
        (("slow", "us-east-1", "eu-west-1", "many"), "many"),
        (("slow", "us-east-1", "eu-west-1", "-5"), "-5"),
        (("drain", "mars-north-1"), "choose from us-east-1, eu-west-1, ap-southeast-1"),
        (("policy", "fastest"), "policy fastest: not a policy; choose home-2011, global-2025"),
        (("pause", "router"), "choose from us-east-1, eu-west-1, ap-southeast-1"),
        (("resume", "mars-north-1"), "mars-north-1: not a region"),
        (("grey", "mars-north-1"), "mars-north-1: not a region"),
    ],
)
def test_a_fault_between_what_is_no_region_is_refused_in_one_line(cluster, arguments, words):
    refused = cluster.command(*arguments)
    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (2, "", 1)
    assert words in refused.stderr


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
        " (eu-west-1) and 19 more: in use: stop what listens there, or give another --base-port\n"
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
