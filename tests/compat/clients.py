"""One runner for each client: it does all of the scenario, and gives what came of it row by row."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import botocore
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.session import Session as BotocoreSession

from tests.compat.scenario import CALLER, CALLS, REGION, RETRY, environment
from tests.running import NO_RETRIES, ROOT, sts_with

PROFILES = {
    "credentials of a role": "role",
    "credentials of a chained role": "chained",
    "credentials of a web identity token file": "web",
    "credentials of a process": "process",
}


@dataclass(frozen=True, slots=True)
class Came:
    """What came of a row: `ok`, an error code, `lacks` or `untried`; of an error, the SDK's own class if it has one."""

    outcome: str
    result: Any = None
    class_name: str = ""
    message: str = ""


def from_boto3(scenario: dict[str, Any], folder: Path) -> dict[str, Came]:
    """boto3, in this process."""
    client = sts_with({**CALLER, "SessionToken": None}, scenario["url"], REGION)

    def call(operation: str) -> Any:
        answer = getattr(client, botocore.xform_name(operation))(**CALLS[operation])
        named = next((answer[name] for name in ("Arn", "Account", "WebIdentityToken") if name in answer), None)
        return named or sts_with(answer["Credentials"], scenario["url"], REGION).get_caller_identity()["Arn"]

    def identity(profile: str) -> Any:
        core = BotocoreSession(profile=profile)
        core.set_config_variable("config_file", str(folder / "config"))
        core.set_config_variable("credentials_file", str(folder / "credentials"))
        sts = boto3.Session(botocore_session=core).client("sts", config=NO_RETRIES)
        return sts.get_caller_identity()["Arn"]

    rows = {operation: _boto3_came(lambda operation=operation: call(operation)) for operation in CALLS}
    rows |= {row: _boto3_came(lambda profile=profile: identity(profile)) for row, profile in PROFILES.items()}
    return rows | {RETRY: _boto3_came(lambda: _crowd(scenario["busy_url"]))}


def _boto3_came(call: Callable[[], Any]) -> Came:
    try:
        return Came("ok", call())
    except ClientError as error:
        told = error.response["Error"]
        return Came(told["Code"], None, type(error).__name__, told.get("Message", ""))


def _crowd(url: str) -> int:
    """Make more calls at once than the quota lets through; the most attempts that one of them took."""
    client = boto3.client(
        "sts", region_name=REGION, endpoint_url=url, aws_access_key_id=CALLER["AccessKeyId"],
        aws_secret_access_key=CALLER["SecretAccessKey"],
        config=Config(retries={"mode": "standard", "total_max_attempts": 6}),
    )  # fmt: skip
    with ThreadPoolExecutor(3) as threads:
        answers = list(threads.map(lambda _: client.get_caller_identity(), range(3)))
    return 1 + max(answer["ResponseMetadata"]["RetryAttempts"] for answer in answers)


def from_program(command: list[str], folder: Path) -> dict[str, Came]:
    """A program that reads the scenario and prints a line for each row."""
    command = [*command, str(folder / "scenario.json")]
    ran = subprocess.run(command, env=environment(folder), capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    lines = [json.loads(line) for line in ran.stdout.splitlines()]
    return {
        line["operation"]: Came(line["outcome"], line.get("result"), line.get("class", ""), line.get("message", ""))
        for line in lines
    }


def from_command_line(program: str, scenario: dict[str, Any], folder: Path, *, old: bool) -> dict[str, Came]:
    """The aws command line. An `old` one is told the endpoint by its flag, which does not reach the STS client inside
    its role profiles."""

    def run(profile: str, name: str, *arguments: str, **keys: str) -> Came:
        command = [program, "sts", botocore.xform_name(name, "-"), "--output", "json", *arguments]
        command += ["--endpoint-url", scenario["url"]] if old else []
        variables = environment(folder) | keys | ({} if keys else {"AWS_PROFILE": profile})
        if keys:
            variables["AWS_ENDPOINT_URL_STS"] = scenario["url"]
        ran = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=60)
        if ran.returncode == 0:
            return Came("ok", json.loads(ran.stdout))
        if "argument operation: Invalid choice" in ran.stderr or "argument operation: Found invalid" in ran.stderr:
            return Came("lacks")
        said = re.search(r"\((\w+)\) when calling the \w+ operation: (.*)", ran.stderr)
        assert said is not None, ran.stderr
        return Came(said[1], None, "", said[2].strip())

    def call(operation: str) -> Came:
        came = run("alice", operation, "--cli-input-json", json.dumps(CALLS[operation]))
        if came.outcome != "ok":
            return came
        answer = came.result
        if "Credentials" not in answer:
            return Came("ok", next(answer[name] for name in ("Arn", "Account", "WebIdentityToken") if name in answer))
        made = answer["Credentials"]
        return who(
            "",
            AWS_ACCESS_KEY_ID=made["AccessKeyId"],
            AWS_SECRET_ACCESS_KEY=made["SecretAccessKey"],
            AWS_SESSION_TOKEN=made["SessionToken"],
        )

    def who(profile: str, **keys: str) -> Came:
        came = run(profile, "GetCallerIdentity", **keys)
        return Came("ok", came.result["Arn"]) if came.outcome == "ok" else came

    with ThreadPoolExecutor(2) as threads:
        called = dict(zip(CALLS, threads.map(call, CALLS), strict=True))
        rows = {row: profile for row, profile in PROFILES.items() if not old or profile == "process"}
        found = dict(zip(rows, threads.map(who, rows.values()), strict=True))
    return called | dict.fromkeys(PROFILES, Came("lacks")) | found | {RETRY: Came("untried")}


def version_of_command_line(program: str) -> str:
    """The version of an aws command line."""
    said = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=60, check=True).stdout
    return said.split()[0].removeprefix("aws-cli/")


def version_of_module(folder: str, name: str) -> str:
    """The version that a program's own file pins."""
    text = (ROOT / "tests" / "compat" / folder).read_text()
    found = re.search(rf'{re.escape(name)}"?(?:==|>|:? "?v?)([0-9.]+)', text)
    assert found is not None, f"{folder} does not pin {name}"
    return found[1]
