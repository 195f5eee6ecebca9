"""What `cluster up` prints when everything is ready: where things are and what to try. (I/O)

Every line that begins with two spaces below "Try" can be pasted as it stands, in a shell that was just opened.
"""

from __future__ import annotations

import configparser
import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

from cluster.data_dir import CLUSTER_FILE, ROUTER, DataDir
from cluster.supervisor import RunFlags


def welcome(data: DataDir, flags: RunFlags) -> str:
    """The text, for a plain terminal."""
    config = configparser.ConfigParser(interpolation=None)
    config.read(data.path / "config")
    regions = data.topology.regions
    lines = [
        f"{data.topology.name}: {len(regions)} region{'s' * (len(regions) > 1)} and the router are ready.",
        "",
        f"  global endpoint  {data.url(ROUTER)}",
        *(f"  {region:15}  {data.url(region)}" for region in regions),
        f"  with latency     the locations in {os.path.relpath(data.path / CLUSTER_FILE)}",
        *_backbone(data),
        "",
        "Try, in another terminal:",
        "",
        *_set_up(data),
        "  aws sts get-caller-identity --profile admin",
        "",
        *_assume(config),
        *_revoke(data),
        *_take_away(data),
    ]
    if flags.unsafe_test_hooks:
        lines += ["UNSAFE: the test hooks are on. Whoever reaches this machine's loopback", "can reset everything.", ""]
    return "\n".join([*lines, "Ctrl-C stops everything."])


def _backbone(data: DataDir) -> Iterator[str]:
    if data.ports.nats:
        from cluster import brokers

        yield f"  replication      NATS, two servers for each region, files in {os.path.relpath(data.nats)}:"
        yield f"                   {brokers.program().told}"


def _set_up(data: DataDir) -> Iterator[str]:
    activate = Path(sys.prefix) / "bin" / "activate"
    own = f" && . {_near(activate)}" if sys.prefix != sys.base_prefix and activate.exists() else ""
    yield f"  cd {shlex.quote(str(Path.cwd()))}{own}"
    yield f"  export AWS_CONFIG_FILE={_from_here(data.path / 'config')}"
    yield f"  export AWS_SHARED_CREDENTIALS_FILE={_from_here(data.path / 'credentials')}"


def _assume(config: configparser.ConfigParser) -> Iterator[str]:
    """A role to assume, one with an external id if there is one; the default world's profiles name some."""
    roles = [config[name] for name in config.sections() if "role_arn" in config[name]]
    if not roles:
        return
    role = next((role for role in roles if "external_id" in role), roles[0])
    external = "external_id" in role
    yield "A role to assume" + (", which wants an external id:" if external else ":")
    yield ""
    yield f"  aws sts assume-role --profile {role['source_profile']} --role-session-name demo \\"
    yield f"      --role-arn {role['role_arn']}" + (" \\" if external else "")
    if external:
        yield f"      --external-id {shlex.quote(role['external_id'])}"
    yield ""


def _revoke(data: DataDir) -> Iterator[str]:
    first, last = data.topology.regions[0], data.topology.regions[-1]
    verify = f"  curl -s {data.url(last)}/v1/verify -d '{{\"token\": \"'$TOKEN'\"}}'"
    yield f"A token, revoked in {first} and a moment later refused in {last}:"
    yield ""
    yield f"  TOKEN=$(aws sts get-session-token --profile admin@{first} \\"
    yield "      --query Credentials.SessionToken --output text)"
    yield verify
    yield f"  echo $TOKEN | stsd revoke token=- --profile admin@{first}"
    yield verify
    yield ""


def _take_away(data: DataDir) -> Iterator[str]:
    first = data.topology.regions[0]
    yield "A region, taken away with kill -9 and brought back:"
    yield ""
    yield f"  python -m cluster kill {first}{data.flag}"
    yield "  aws sts get-caller-identity --profile admin"
    yield f"  python -m cluster start {first}{data.flag}"
    yield f"  python -m cluster status{data.flag}"
    yield ""
    if (last := data.topology.regions[-1]) != first:
        yield "Two regions that cannot reach each other, and their reunion:"
        yield ""
        yield f"  python -m cluster partition {first} {last}{data.flag}"
        yield f"  python -m cluster heal{data.flag}"
        yield ""


def _near(path: Path) -> str:
    """A path as one types it here."""
    near = os.path.relpath(path)
    return shlex.quote(str(path) if near.startswith("..") else near)


def _from_here(path: Path) -> str:
    """A path that holds wherever one goes from here."""
    near = _near(path)
    return near if near.startswith(("/", "'")) else f'"$PWD"/{near}'
