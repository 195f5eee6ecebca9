"""`stsd keys list`: the token keys of a running node, asked over its operator socket."""

from __future__ import annotations

from pathlib import Path

import click

from stsd.config import ConfigError
from stsd.provision import NODE_FILE
from stsd.server import operator
from stsd.server.operator import SOCKET_FILE, OperatorError


def run(data_dir: Path) -> int:
    """Print a line per token key. Returns 1 when no node answers; raises ConfigError for a wrong directory."""
    if not (data_dir / NODE_FILE).exists() and not list(data_dir.glob(f"*/{NODE_FILE}")):
        raise ConfigError(f"--data-dir: {data_dir} is not a directory of a node or a cluster")
    try:
        answer = operator.call(_node_directory(data_dir), "keys list")
    except OperatorError as error:
        click.echo(f"stsd: {error}", err=True)
        return 1
    click.echo(f"{'KID':<18}{'STATE':<10}{'AGE':>10}")
    for key in answer["keys"]:
        click.echo(f"{key['kid']:<18}{key['state']:<10}{_age(key['age_s']):>10}")
    return 0


def _node_directory(data_dir: Path) -> Path:
    """The directory itself when a node runs in it, else the first of a cluster's regions where one runs."""
    sockets = sorted(data_dir.glob(f"*/{SOCKET_FILE}"))
    if (data_dir / SOCKET_FILE).exists() or not sockets:
        return data_dir
    return sockets[0].parent


def _age(seconds: float) -> str:
    for unit, size in (("days", 86_400), ("hours", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"
