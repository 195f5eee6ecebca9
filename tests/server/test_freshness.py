"""Who knows what, as operators and verifiers see it: real nodes that wait for each other, fall behind and recover."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests
import yaml
from botocore.exceptions import ClientError

from tests.running import RunningNode, free_base_port, join, post_signed, run, running_node, ticket, wait_for

pytestmark = pytest.mark.processes

US, EU, AP = "us-east-1", "eu-west-1", "ap-southeast-1"


def revoke(cluster, region: str, content, profile: str = "admin"):
    return post_signed(cluster.url(region), "/v1/revocations", content, cluster.keys(profile), region)


def session(cluster, region: str = US):
    return cluster.sts(f"admin@{region}").get_session_token(DurationSeconds=900)["Credentials"]


def test_wait_all_names_every_region_when_all_have_it(cluster):
    answer = revoke(cluster, US, {"token": session(cluster)["SessionToken"], "wait": "all"}).json()
    assert answer["confirmed"][0] == US
    assert sorted(answer["confirmed"]) == sorted([US, EU, AP])
    assert (answer["lagging"], answer["copies"]) == ([], 3)


def test_wait_all_answers_in_time_and_names_the_region_that_is_dead(cluster):
    token = session(cluster)["SessionToken"]
    cluster.kill(AP)
    began = time.monotonic()
    answer = revoke(cluster, US, {"token": token, "wait": "all", "timeout_s": 1})
    took_s = time.monotonic() - began
    assert answer.status_code == 200
    assert (answer.json()["confirmed"], answer.json()["lagging"]) == ([US, EU], [AP])
    assert 0.9 < took_s < 3
    read_at_least = {"token": token, "at_least": answer.json()["revocation_token"]}
    told = requests.post(f"{cluster.url(EU)}/v1/verify", json=read_at_least, timeout=5)  # it confirmed: no waiting
    assert told.json() == {"active": False, "reason": "revoked"}

    cluster.start(AP)

    def caught_up():
        told = requests.post(f"{cluster.url(AP)}/v1/verify", json=read_at_least, timeout=5)
        assert told.status_code == 503 or told.json() == {"active": False, "reason": "revoked"}
        return told.status_code == 200

    wait_for(caught_up, "the revocation's arrival", 5)


def test_a_region_that_returns_in_time_is_waited_for(cluster):
    token = session(cluster)["SessionToken"]
    cluster.kill(AP)
    command = ("revoke", "token=-", "--profile", f"admin@{US}", "--wait", "all", "--timeout-s", "20")
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(run, "stsd", *command, env=cluster.environment(), input=token)
        wait_for(lambda: verified(cluster, token, US) == "revoked", "the revocation", 5)
        assert not waiting.done()
        cluster.start(AP)
        result = waiting.result(timeout=20)
    assert (result.returncode, result.stderr) == (0, "")
    assert json.loads(result.stdout)["lagging"] == []
    assert verified(cluster, token, AP) == "revoked"


def verified(cluster, token: str, region: str) -> str:
    answer = requests.post(f"{cluster.url(region)}/v1/verify", json={"token": token}, timeout=5).json()
    return answer.get("reason", "active")


def test_the_command_line_tells_who_lags(cluster):
    cluster.kill(AP)
    command = ("revoke", "token=-", "--profile", f"admin@{US}", "--wait", "all", "--timeout-s", "0.5")
    result = run("stsd", *command, env=cluster.environment(), input=session(cluster)["SessionToken"])
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["lagging"] == [AP]
    assert result.stderr == f"stsd: revoked, but not confirmed yet by {AP}\n"


def test_without_wait_nobody_is_named(node):
    subject = {"access_key_id": node.sts("admin").get_session_token()["Credentials"]["AccessKeyId"]}
    answer = post_signed(node.url, "/v1/revocations", subject, node.keys("admin"), US).json()
    assert not {"confirmed", "lagging"} & answer.keys()
    alone = post_signed(node.url, "/v1/revocations", subject | {"wait": "all"}, node.keys("admin"), US).json()
    assert (alone["confirmed"], alone["lagging"]) == ([US], [])


CAREFUL = """
- RoleName: careful
  RequireFresh: true
  AssumeRolePolicyDocument: &trust
    Version: "2012-10-17"
    Statement: {Effect: Allow, Action: sts:AssumeRole, Principal: {AWS: "111122223333"}}
- RoleName: deploy
  AssumeRolePolicyDocument: *trust
"""


def careful_world(path: Path) -> Path:
    world = {"Accounts": [{"Id": "111122223333", "Roles": yaml.safe_load(CAREFUL)}]}
    path.write_text(json.dumps(world))
    return path


def assume(node: RunningNode, name: str):
    arn = f"arn:aws:iam::111122223333:role/{name}"
    return node.sts("admin").assume_role(RoleArn=arn, RoleSessionName="session")


def lifetime_s(answer) -> float:
    return (answer["Credentials"]["Expiration"] - datetime.now(UTC)).total_seconds()


def header(answer) -> str | None:
    return answer["ResponseMetadata"]["HTTPHeaders"].get("x-stsd-degraded")


def events(node: RunningNode) -> list[tuple[str, str]]:
    """The staleness events in the log, each with the region it is about."""
    lines = (node.data_dir.parent / f"{node.data_dir.name}.log").read_text().splitlines()
    found = [json.loads(line) for line in lines if line.startswith("{")]
    return [(e["event"], e["origin"].split("/")[0]) for e in found if e["event"].startswith("staleness_")]


def test_a_node_whose_peer_is_silent_degrades_step_by_step_and_recovers(tmp_path):
    us, eu = (base := free_base_port(2)), base + 1
    with running_node(tmp_path / "us", "--world", str(careful_world(tmp_path / "world.json")), port=us) as node:
        assert join(ticket(node.data_dir), node.url, tmp_path / "eu", f"http://127.0.0.1:{eu}").returncode == 0
    with running_node(tmp_path / "us", "--log-format", "json", port=us, limits=(2.5, 9)) as node:
        wait_for(lambda: header(assume(node, "deploy")) == "revocation-staleness", "the soft limit", 5)
        assert lifetime_s(assume(node, "careful")) > 3000

        hard = "revocation-staleness; max-session-s=900"
        wait_for(lambda: header(assume(node, "deploy")) == hard, "the hard limit", 10)
        assert 890 < lifetime_s(assume(node, "deploy")) <= 900
        assert 890 < lifetime_s(node.sts("admin").get_session_token(DurationSeconds=3600)) <= 900
        with pytest.raises(ClientError) as refused:
            assume(node, "careful")
        assert refused.value.response["Error"]["Code"] == "AccessDenied"
        assert "is not authorized to perform: sts:AssumeRole on resource" in str(refused.value)

        ready = requests.get(f"{node.url}/readyz", timeout=5)
        assert (ready.status_code, ready.json()["degraded"]) == (200, hard)
        assert ready.json()["staleness"][EU] >= 9
        assert f'stsd_staleness_seconds{{origin="{EU}"}}' in requests.get(f"{node.url}/metrics", timeout=5).text
        wait_for(lambda: events(node) == [("staleness_soft", EU), ("staleness_hard", EU)], "both events", 5)

        with running_node(tmp_path / "eu", region=EU, port=eu):
            wait_for(lambda: requests.get(f"{node.url}/readyz", timeout=5).json()["degraded"] is None, "recovery", 10)
            again = assume(node, "careful")
            assert (lifetime_s(again) > 3000, header(again)) == (True, None)
            wait_for(lambda: events(node)[2:] == [("staleness_recovered", EU)], "its event", 5)
