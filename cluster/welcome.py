"""What `cluster up` prints when everything is ready: where things are and what to try. (I/O)"""

from __future__ import annotations

import configparser
import os
import shlex
import sys
from pathlib import Path

from cluster.data_dir import ROUTER, DataDir
from cluster.supervisor import RunFlags


def welcome(data: DataDir, flags: RunFlags) -> str:
    """The text, for a plain terminal."""
    config = configparser.ConfigParser(interpolation=None)
    config.read(data.path / "config")
    lines = [
        f"{data.topology.name}: {len(data.topology.regions)} regions and the router are ready.",
        "",
        f"  global endpoint  {data.url(ROUTER)}",
        *(f"  {region:15}  {data.url(region)}" for region in data.topology.regions),
        "  seen from afar   " + str(data.path / "cluster.json") + " (locations, with the latency of each place)",
        "",
        *_try(data, config),
    ]
    if flags.unsafe_test_hooks:
        lines += ["", "UNSAFE: the test hooks are on. Whoever reaches this machine's loopback can reset everything."]
    return "\n".join([*lines, "", "Ctrl-C stops everything."])


def _try(data: DataDir, config: configparser.ConfigParser) -> list[str]:
    here, bin_dir = shlex.quote(str(data.path)), _bin_dir()
    first, last = data.topology.regions[0], data.topology.regions[-1]
    verify = f"  curl -s {data.url(last)}/v1/verify -d "
    return [
        "Try, in another terminal:",
        f"  export AWS_CONFIG_FILE={here}/config AWS_SHARED_CREDENTIALS_FILE={here}/credentials",
        "  aws sts get-caller-identity --profile admin",
        *_assume(config),
        "  TOKEN=$(aws sts get-session-token --profile admin --query Credentials.SessionToken --output text)",
        verify + "'{\"token\": \"'$TOKEN'\"}'",
        f"  echo $TOKEN | {bin_dir}stsd revoke token=- --profile admin@{first}     then verify again",
        f"  {bin_dir}python -m cluster kill {first} --data-dir {here}     then: status, start {first}",
        *_partition(first, last, f"{bin_dir}python -m cluster", here),
    ]


def _partition(first: str, last: str, command: str, here: str) -> list[str]:
    """A cut between two regions, where there are two."""
    return [] if first == last else [f"  {command} partition {first} {last} --data-dir {here}     then: heal"]


def _assume(config: configparser.ConfigParser) -> list[str]:
    """A role to assume, one with an external id if there is one; the default world's profiles name some."""
    roles = [config[name] for name in config.sections() if "role_arn" in config[name]]
    if not roles:
        return []
    role = next((role for role in roles if "external_id" in role), roles[0])
    external = f" --external-id {shlex.quote(role['external_id'])}" if "external_id" in role else ""
    return [
        f"  aws sts assume-role --profile {role['source_profile']} --role-session-name demo{external} \\",
        f"      --role-arn {role['role_arn']}",
    ]


def _bin_dir() -> str:
    """Where this Python's programs are, as one would type it; nothing when they are on the PATH."""
    folder = Path(sys.executable).parent
    if str(folder) in os.environ.get("PATH", "").split(os.pathsep):
        return ""
    near = os.path.relpath(folder)
    return f"{folder if near.startswith('..') else near}/"
