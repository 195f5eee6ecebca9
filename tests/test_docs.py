"""The README tells the truth: its commands run as they stand, its lists agree with the code."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess

import pytest
import requests

from stsd import operations
from tests.readme import BLOCKS, README, block, run
from tests.running import ROOT, free_base_port, running_node, wait_for

RUN_ELSEWHERE = {"make test": "is this", "make lint": "is a step of CI", "make soak": "takes hours"}
"""Commands that a test cannot run, and why."""


@pytest.fixture
def aws() -> None:
    if not (ROOT / ".venv-awscli" / "bin" / "aws").exists() and shutil.which("aws") is None:
        if os.environ.get("STSD_REQUIRE_ALL"):
            pytest.fail("the aws command line is missing")
        pytest.skip("the aws command line is not installed; `make test` installs it")


SETTING_UP = block("export AWS_CONFIG_FILE")
TICKET, JOINING = block("stsd peers ticket"), block("stsd join")


@pytest.mark.processes
def test_the_first_minute(aws, cluster, tmp_path):
    output = "\n".join(run(cluster, tmp_path, SETTING_UP))
    assert output.count("arn:aws:iam::111122223333:user/alice") == 2
    assert "arn:aws:sts::444455556666:assumed-role/vendor-audit/" in output


@pytest.mark.processes
def test_a_revocation_in_the_readme_is_seen_in_another_region(aws, cluster, tmp_path):
    output = "\n".join(run(cluster, tmp_path, SETTING_UP, block("TOKEN=$(")))
    assert output.index('{"active":true') < output.index('"revocation_token"')
    assert output.endswith('{"active":false,"reason":"revoked"}')


@pytest.mark.processes
def test_taking_a_region_away_in_the_readme(aws, cluster, tmp_path):
    output = "\n".join(run(cluster, tmp_path, SETTING_UP, block("python -m cluster kill")))
    assert output.count("arn:aws:iam::111122223333:user/alice") == 4
    assert "ap-southeast-1" in output


@pytest.mark.processes
def test_disturbing_the_network_in_the_readme(cluster, tmp_path):
    output = "\n".join(run(cluster, tmp_path, block("python -m cluster partition")))
    assert "link from us-east-1 to eu-west-1: cut" in output
    assert "paused" in output
    assert output.endswith("every link and region is well")


@pytest.mark.processes
def test_the_other_commands_of_a_node_and_of_the_story(aws, cluster, tmp_path):
    output = "\n".join(run(cluster, tmp_path, SETTING_UP, block("stsd keys list"), block("--external-id")))
    assert "prepared" in output
    assert "assumed-role/incident-response/" in output


@pytest.mark.processes
def test_an_mfa_code_in_the_readme(aws, cluster, tmp_path):
    output = "\n".join(run(cluster, tmp_path, SETTING_UP, block("stsd mfa code")))
    assert "assumed-role/payroll/wages" in output


@pytest.mark.processes
def test_a_job_of_the_build_service_in_the_readme(aws, cluster, tmp_path):
    output = "\n".join(run(cluster, tmp_path, SETTING_UP, block("cluster.ci_issuer")))
    assert "assumed-role/publish/build-7" in output
    assert "build-8" not in output


@pytest.mark.processes
def test_load_as_in_the_readme(cluster, tmp_path):
    run(cluster, tmp_path, block("locust -f"))


@pytest.mark.processes
def test_joining_as_in_the_readme(tmp_path):
    """The two machines are two folders of this one."""
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    first, second = (base := free_base_port(2)), base + 1
    path = {"PATH": os.pathsep.join((str(ROOT / ".venv" / "bin"), os.environ["PATH"]))}
    join, serve = JOINING.replace(" --host 10.0.2.7", "").replace("10.0.1.5:8711", f"127.0.0.1:{first}").splitlines()
    join = join.replace("10.0.2.7:8711", f"127.0.0.1:{second}").replace("ticket.txt", str(here / "ticket.txt"))
    with running_node(here / ".stsd-node", port=first):
        for folder, command in ((here, TICKET), (there, join)):
            subprocess.run(["bash", "-euc", command], cwd=folder, env=os.environ | path, check=True, timeout=30)
        with subprocess.Popen(["bash", "-euc", f"exec {serve}"], cwd=there, env=os.environ | path) as joined:
            try:
                url = f"http://127.0.0.1:{second}/readyz"
                wait_for(lambda: requests.get(url, timeout=2).status_code == 200, "catching up")
            finally:
                joined.terminate()


@pytest.mark.processes
def test_make_up_and_make_bench_as_in_the_readme(tmp_path):
    assert "make up\n" in BLOCKS
    port = free_base_port()
    arguments = f"ARGS=--base-port {port} --data-dir {tmp_path / 'data'}"
    command = ["make", "up", arguments]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True) as up:
        assert up.stdout is not None
        lines = iter(up.stdout.readline, "")
        wait_for(lambda: "Ctrl-C stops everything" in next(lines), "the cluster's welcome")
        os.killpg(up.pid, signal.SIGINT)  # what Ctrl-C in a terminal does
        up.stdout.read()
    bench = subprocess.run(
        ["make", "bench", "ARGS=--rounds 1 --slice-s 0.05"], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert bench.returncode == 0, bench.stderr
    for name in ("AssumeRole", "GetCallerIdentity", "verify http uncached", "verify http cached", "verify in process"):
        assert name in bench.stdout


def test_every_command_of_the_readme_is_run():
    run_here = [
        SETTING_UP, block("TOKEN=$("), block("python -m cluster kill"), block("python -m cluster partition"),
        block("stsd keys list"), block("--external-id"),
        block("stsd mfa code"), block("cluster.ci_issuer"), block("locust -f"), block("experiment run"), "make up\n",
        TICKET, JOINING,
    ]  # fmt: skip
    rest = [line for text in BLOCKS if text not in run_here for line in text.splitlines()]
    assert [line for line in rest if line not in RUN_ELSEWHERE] == ["make bench"]


def test_every_operation_is_in_the_readme():
    for _, action in operations.OPERATIONS:
        assert f"`{action}`" in README


def test_every_dependency_says_why_it_is_there():
    text = (ROOT / "pyproject.toml").read_text()
    tables = re.findall(r"^(?:dependencies|lab|dev) = \[\n(.*?)^\]", text, re.DOTALL | re.MULTILINE)
    assert len(tables) == 3
    for line in "".join(tables).splitlines():
        assert re.fullmatch(r'  "[^"]+",\s+# \S.*', line), line


def test_the_procfile_starts_three_nodes_the_links_and_the_router():
    lines = (ROOT / "Procfile").read_text().splitlines()
    assert len([line for line in lines if line and not line.startswith("#")]) == 5
