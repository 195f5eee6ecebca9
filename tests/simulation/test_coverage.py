"""`python -m cluster.sim.coverage`: how much of the replication core simulated worlds take. Processes of their own,
because here the core is imported already."""

import subprocess
import sys

import pytest

from cluster.sim.coverage import CORE


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cluster.sim.coverage", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def shares(told: str) -> dict[str, float]:
    return {line.split()[0]: float(line.split()[1]) for line in told.splitlines()}


def test_some_worlds_take_most_of_the_core():
    ran = run("--seeds", "24", "--at-least", "95")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    found = shares(ran.stdout)
    assert found.keys() == {*CORE, "all"}
    assert min(found.values()) >= 90, ran.stdout


@pytest.mark.soak
def test_many_worlds_take_nearly_all_of_the_core():
    ran = run("--at-least", "96")
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_too_few_taken_is_a_failure_that_tells_what_is_missing():
    ran = run("--seeds", "1", "--at-least", "100")
    assert ran.returncode == 1
    assert shares(ran.stdout)["all"] < 100
    assert "->" in ran.stdout


@pytest.mark.parametrize("wrong", [("--seeds", "0"), ("--seeds", "-1"), ("--at-least", "much")], ids=" ".join)
def test_bad_usage_is_refused(wrong):
    assert run(*wrong).returncode == 2
