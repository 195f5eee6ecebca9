"""What `cluster up` prints when everything is ready: where things are and what to try."""

from __future__ import annotations

import configparser
import shlex
from collections.abc import Mapping

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
    here = shlex.quote(str(data.path))
    first, last = data.topology.regions[0], data.topology.regions[-1]
    lines = [
        "Try, in another terminal:",
        f"  export AWS_CONFIG_FILE={here}/config AWS_SHARED_CREDENTIALS_FILE={here}/credentials",
        "  aws sts get-caller-identity --profile admin",
    ]
    roles = {name.removeprefix("profile "): config[name] for name in config.sections() if "role_arn" in config[name]}
    if roles:
        name, role = next(iter(roles.items()))
        lines += [f"  aws sts get-caller-identity --profile {name}", *_assume(role)]
    return [
        *lines,
        f'  curl -s {data.url(last)}/v1/verify -d \'{{"token": "SESSION_TOKEN"}}\'',
        f"  stsd revoke access_key_id=ASIA_OF_THE_SESSION --profile admin@{first}",
        f"  python -m cluster kill {first} --data-dir {here}     then: start {first}, status",
    ]


def _assume(role: Mapping[str, str]) -> list[str]:
    external = f" --external-id {shlex.quote(role['external_id'])}" if "external_id" in role else ""
    return [
        f"  aws sts assume-role --profile {role['source_profile']} --role-session-name demo{external} \\",
        f"      --role-arn {role['role_arn']}",
    ]
