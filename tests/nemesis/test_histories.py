"""Histories of real processes, and the command that records them for as long as one likes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest
from click.testing import CliRunner

from cluster.nemesis import __main__ as command
from cluster.nemesis import checker
from cluster.nemesis.clients import session_of
from cluster.nemesis.harness import Settings, record
from cluster.nemesis.plan import VERBS, Step
from cluster.topology import BACKBONES
from tests.nemesis import test_totals
from tests.running import ROOT, run

pytestmark = pytest.mark.processes
EAST, WEST, SOUTH = "us-east-1", "eu-west-1", "ap-southeast-1"
SHORT_S = 14.0
SEED = 3


def nemesis(*arguments: str, timeout_s: float, **environment: str) -> subprocess.CompletedProcess[str]:
    return run("cluster.nemesis", *arguments, timeout_s=timeout_s, env=os.environ | environment)


SHORT = [
    Step("cut one way", (EAST, WEST), 0.5, 3.0),
    Step("kill", (WEST,), 1.0, 2.0),
    Step("full disk", (SOUTH,), 1.0, 3.5),
    Step("move clock", (EAST,), 1.5, 4.0, -0.9),
    Step("pause", (WEST,), 3.5, 4.5),
    Step("cut", (EAST, SOUTH), 3.8, 5.0),
    Step("lossy", (EAST, WEST), 4.2, 5.0, 0.2),
    Step("slow", (WEST, SOUTH), 4.2, 5.0, 200.0),
    Step("lose disk", (EAST,), 6.0, 6.5),
    Step("isolate", (SOUTH,), 8.5, 10.0),
    Step("kill", (SOUTH,), 9.0, 9.5),
]


async def test_a_disturbed_cluster_keeps_every_promise(tmp_path):
    history = await record(Settings(), 1, tmp_path, SHORT)
    assert checker.check(history) == []
    assert {fault.verb for fault in history.faults} == {*VERBS}
    acked = [one for one in history.operations if one.action == "revoke" and one.outcome == "ok"]
    answers = [one for one in history.operations if one.action != "revoke" and one.outcome == "ok"]
    assert len(acked) > 20
    assert {one.kind for one in acked} == {"access_key", "session", "role"}
    assert {one.accepted for one in answers} == {True, False}
    assert any(one.at_least for one in answers)
    assert any(session.ancestors for session in history.sessions.values())
    assert set(history.final) == {*history.regions}
    told = json.dumps(history.told())
    assert "SecretAccessKey" not in told
    assert "eyJ" not in told


def test_a_fault_or_number_that_does_not_exist_is_bad_usage():
    bad = ("--only", "flood"), ("--minutes", "0"), ("--seconds", "many"), ("--topology", "nowhere"), ("--json", "/no/t")
    for wrong in bad:
        answer = nemesis(*wrong, timeout_s=30)
        assert answer.returncode == 2, wrong
        assert answer.stderr.startswith("nemesis: ")
        assert "Traceback" not in answer.stderr


def test_what_a_token_tells_is_read_without_its_signature(cluster):
    credentials = cluster.sts("admin@us-east-1").assume_role(
        RoleArn="arn:aws:iam::111122223333:role/deploy", RoleSessionName="seen"
    )["Credentials"]
    session = session_of(credentials["SessionToken"], 1.5)
    assert (session.key, session.region) == (credentials["AccessKeyId"], "us-east-1")
    assert session.role == "arn:aws:iam::111122223333:role/deploy"
    assert session.arn == "arn:aws:sts::111122223333:assumed-role/deploy/seen"


FORGETFUL = """
from stsd.server.journal import Journal
async def rows(self):
    return []
Journal.rows = rows
"""
"""A node that finds nothing of what it wrote when it starts again."""


async def test_a_node_that_forgets_when_it_is_killed_is_found(tmp_path, monkeypatch):
    (tmp_path / "sitecustomize.py").write_text(FORGETFUL)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(ROOT)]))
    steps = [Step("isolate", (EAST,), 1.0, 8.0), Step("kill", (EAST,), 3.0, 3.2)]
    violations = checker.check(await record(Settings(), 1, tmp_path, steps))
    assert {4, 6} <= {one.invariant for one in violations}


def test_a_broken_history_is_told_kept_and_ends_with_1(tmp_path, monkeypatch):
    async def recorded(settings, seed, logs):
        (logs / "us-east-1.log").write_text("{}")
        return replace(test_totals.HISTORY, seed=seed)

    monkeypatch.setattr(command, "record", recorded)
    arguments = [
        "--minutes",
        "0.001",
        "--seed",
        "5",
        "--keep",
        f"{tmp_path / 'kept'}",
        "--json",
        f"{tmp_path / 't.json'}",
    ]
    answer = CliRunner().invoke(command.nemesis, arguments, standalone_mode=False)
    assert answer.return_value == 1
    assert "VIOLATIONS" in answer.stderr
    totals = json.loads((tmp_path / "t.json").read_text())
    assert totals["lost"] > 0
    assert "--seed 5 --seconds 30 --clients 8" in totals["broken"][0]["replay"]
    assert {path.name for path in (tmp_path / "kept" / "seed-5").iterdir()} == {"history.json", "us-east-1.log"}


@pytest.mark.soak
@pytest.mark.parametrize("backbone", BACKBONES)
def test_an_hour_of_histories(backbone, tmp_path):
    minutes = os.environ.get("STSD_NEMESIS_MINUTES", "60")
    path = tmp_path / "totals.json"
    command = [
        "-m",
        "cluster.nemesis",
        "--minutes",
        minutes,
        "--seed",
        "1000",
        "--json",
        str(path),
        "--backbone",
        backbone,
    ]
    answer = subprocess.run([sys.executable, *command], cwd=ROOT, check=False)
    assert answer.returncode == 0
    assert set(json.loads(path.read_text())["faults"]) == {*VERBS}
