"""Stock clients of AWS against a running node: every operation, credential providers, errors and retries."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from stsd.operations import OPERATIONS
from tests.compat import clients, scenario, table
from tests.compat.clients import Came
from tests.compat.record import PINNED, Record, load
from tests.running import ROOT, RunningNode, running_node

pytestmark = pytest.mark.processes
HERE = ROOT / "tests" / "compat"
OPTIONAL = ("Go v2", "Java v2")
"""Where these are not installed they are skipped, always."""
NEWER = (
    "AssumeRoot",
    "GetDelegatedAccessToken",
    "GetWebIdentityToken",
    "credentials of a role",
    "credentials of a chained role",
    "credentials of a web identity token file",
)
"""What a command line of before 2025 does not have; `endpoint_url` in its files is what role profiles need."""
UNTRIED = (("aws", scenario.RETRY), ("aws of Debian", scenario.RETRY))
CLASSES = ("boto3", "aiobotocore", "JavaScript v3", "Go v2", "Java v2")
"""The clients whose errors have classes of their own."""


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningNode, Path]]:
    """A node with the scenario's world, one that lets one request a second through, and the scenario's files."""
    folder = tmp_path_factory.mktemp("clients")
    (folder / "world.json").write_text(json.dumps(scenario.WORLD))
    world = ("--world", str(folder / "world.json"))
    with (
        running_node(folder / "node", *world) as node,
        running_node(folder / "busy", *world, "--quota", "1") as busy,
    ):
        scenario.write(node, busy, folder)
        yield node, folder


@pytest.fixture(scope="module")
def runs(stage: tuple[RunningNode, Path]) -> dict[str, tuple[str, dict[str, Came]]]:
    """Version and outcomes of each client that has run; each runs once."""
    return {}


@pytest.fixture
def came(client: str, stage: Any, runs: dict[str, tuple[str, dict[str, Came]]]) -> dict[str, Came]:
    """What came of the client's run."""
    if client not in runs:
        runs[client] = run(client, stage[1])
        version, rows = runs[client]
        marks = {
            row: rows[row].outcome if rows[row].outcome in ("lacks", "untried") else "yes" for row in scenario.ROWS
        }
        Record(client, version, marks).save()
    return runs[client][1]


def run(client: str, folder: Path) -> tuple[str, dict[str, Came]]:
    content = json.loads((folder / "scenario.json").read_text())
    if client == "boto3":
        return boto3.__version__, clients.from_boto3(content, folder)
    if client == "aiobotocore":
        python = ROOT / ".venv-aiobotocore" / "bin" / "python"
        command = [program(client, str(python), python), str(HERE / "aio" / "calls.py")]
        return clients.version_of_module("aio/constraints.txt", "aiobotocore"), clients.from_program(command, folder)
    if client == "JavaScript v3":
        command = [program(client, shutil.which("node"), HERE / "js" / "node_modules"), str(HERE / "js" / "calls.js")]
        version = clients.version_of_module("js/package.json", "@aws-sdk/client-sts")
        return version, clients.from_program(command, folder)
    if client == "Go v2":
        built = HERE / "go" / ".build" / "calls"
        command = [program(client, str(built), built)]
        version = clients.version_of_module("go/go.mod", "github.com/aws/aws-sdk-go-v2/service/sts")
        return version, clients.from_program(command, folder)
    if client == "Java v2":
        built = HERE / "java" / ".build"
        java = program(client, shutil.which("java"), built / ".installed")
        command = [java, "-XX:TieredStopAtLevel=1", "-cp", f"{built / 'classes'}:{built / 'lib' / '*'}", "Calls"]
        return clients.version_of_module("java/pom.xml", "<sdk"), clients.from_program(command, folder)
    own = ROOT / ".venv-awscli" / "bin" / "aws" if client == "aws" else Path("/usr/bin/aws")
    aws = program(client, str(own), own)
    rows = clients.from_command_line(aws, content, folder, old=client != "aws")
    return clients.version_of_command_line(aws), rows


def program(client: str, path: str | None, needed: Path) -> str:
    if path is None or not needed.exists():
        if os.environ.get("STSD_REQUIRE_ALL") and client not in OPTIONAL:
            pytest.fail(f"{client} is missing")
        pytest.skip(f"{client} is not installed; `make test` installs it where its language or package is there")
    return path


def test_the_scenario_leaves_no_operation_out():
    assert list(scenario.CALLS) == [action for service, action in OPERATIONS if service == "sts"]


@pytest.mark.parametrize("client", PINNED)
@pytest.mark.parametrize("row", scenario.ROWS)
def test_a_client_gets_what_it_asks_for(client, row, came):
    got = came[row]
    if got.outcome == "untried" and (client, row) in UNTRIED:
        pytest.skip("one command makes one call, which is not throttled")
    if got.outcome == "lacks" and client == "aws of Debian" and row in NEWER:
        pytest.skip("newer than this command line")
    if row in scenario.REFUSALS:
        assert (got.outcome, got.message) == scenario.REFUSALS[row]
    else:
        assert got.outcome == "ok", got
        check(row, got.result)


def check(row: str, result: Any) -> None:
    if row == scenario.RETRY:
        assert result > 1
    elif row == "GetWebIdentityToken":
        assert result.count(".") == 2
    else:
        assert result.startswith(scenario.RESULTS[row])


@pytest.mark.parametrize("client", CLASSES)
def test_an_error_of_the_model_is_of_the_sdks_own_class(client, came):
    assert came["DecodeAuthorizationMessage"].class_name == "InvalidAuthorizationMessageException"


@pytest.mark.parametrize("client", ["aws"])
def test_a_current_command_line_lacks_no_operation(client, came):
    assert [row for row in (*scenario.CALLS, *clients.PROFILES) if came[row].outcome == "lacks"] == []


def test_the_readmes_table_is_what_this_run_says(runs):
    ran = [record for record in load() if record.client in runs]
    differ = table.differences((ROOT / "README.md").read_text(), ran)
    assert not differ, f"{differ}: write the table anew with python -m tests.compat.table"


def test_a_table_that_says_more_than_a_run_is_noticed():
    truth = Record("boto3", "1", dict.fromkeys(scenario.ROWS, "yes"))
    worse = Record("boto3", "1", {**truth.rows, "AssumeRole": "lacks"})
    readme = f"<!-- clients -->\n{table.render([truth])}<!-- /clients -->"
    assert table.differences(readme, [truth]) == []
    assert table.differences(readme, [worse]) == ["boto3 1"]
    assert table.differences(readme, [Record("boto3", "2", truth.rows)]) == ["boto3 2"]
    other = Record("aws of Debian", "9", truth.rows)
    assert table.differences(readme, [other]) == []
