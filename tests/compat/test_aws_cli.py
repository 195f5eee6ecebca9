"""The stock aws command line with the generated files: what the README tells a new user to type."""

from __future__ import annotations

import json
import os
import shutil
import subprocess

import pytest

from tests.running import ROOT, RunningCluster

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def aws() -> str:
    """The program: the one that `make test` installs, else one on the path."""
    own = ROOT / ".venv-awscli" / "bin" / "aws"
    found = str(own) if own.exists() else shutil.which("aws")
    if found is None:
        if os.environ.get("STSD_REQUIRE_ALL"):
            pytest.fail("the aws command line is missing")
        pytest.skip("the aws command line is not installed; `make test` installs it")
    return found


def call(aws: str, cluster: RunningCluster, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [aws, "sts", *arguments, "--output", "json"]
    return subprocess.run(command, env=cluster.environment(), capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("profile", ["admin", "admin@us-east-1", "admin@eu-west-1", "admin@ap-southeast-1"])
def test_get_caller_identity(aws, cluster, profile):
    result = call(aws, cluster, "get-caller-identity", "--profile", profile)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["Arn"] == "arn:aws:iam::111122223333:user/alice"


def test_assume_role_with_and_without_the_external_id(aws, cluster):
    role = ["assume-role", "--profile", "acme-carol", "--role-session-name", "books",
            "--role-arn", "arn:aws:iam::444455556666:role/vendor-audit"]  # fmt: skip
    granted = call(aws, cluster, *role, "--external-id", "globex-books-2026", "--duration-seconds", "900")
    assert granted.returncode == 0, granted.stderr
    assert json.loads(granted.stdout)["Credentials"]["AccessKeyId"].startswith("ASIA")
    refused = call(aws, cluster, *role)
    assert refused.returncode != 0
    assert "(AccessDenied) when calling the AssumeRole operation: User: arn:aws:iam::111122223333:user/carol" in (
        refused.stderr
    )


def test_a_role_profile(aws, cluster):
    result = call(aws, cluster, "get-caller-identity", "--profile", "globex-vendor-audit")
    assert result.returncode == 0, result.stderr
    assert ":assumed-role/vendor-audit/" in json.loads(result.stdout)["Arn"]


def test_get_access_key_info(aws, cluster):
    key = cluster.keys("globex-erin")["access_key_id"]
    result = call(aws, cluster, "get-access-key-info", "--access-key-id", key, "--profile", "admin")
    assert json.loads(result.stdout) == {"Account": "444455556666"}


def test_tags_are_refused_where_the_role_does_not_let_them_be_set(aws, cluster):
    result = call(
        aws, cluster, "assume-role", "--profile", "acme-bob", "--role-session-name", "demo",
        "--role-arn", "arn:aws:iam::111122223333:role/deploy", "--tags", "Key=Team,Value=blue",
    )  # fmt: skip
    assert result.returncode != 0
    assert "(AccessDenied)" in result.stderr
    assert (
        "is not authorized to perform: sts:TagSession on resource: arn:aws:iam::111122223333:role/deploy"
        in result.stderr
    )
