"""`stsd keys list`: the token keys of a running node, asked over its operator socket."""

from __future__ import annotations

from pathlib import Path

import click

from stsd.server import operator
from stsd.server.operator import OperatorError


def run(data_dir: Path) -> int:
    """Print a line per token key. Returns 1 when no node answers; raises ConfigError for a wrong directory."""
    try:
        _, answer = operator.call_any(operator.directories(data_dir), "keys list")
    except OperatorError as error:
        click.echo(f"stsd: {error}", err=True)
        return 1
    click.echo(f"{'KID':<18}{'STATE':<10}{'AGE':>10}")
    for key in answer["keys"]:
        click.echo(f"{key['kid']:<18}{key['state']:<10}{_age(key['age_s']):>10}")
    return 0


def _age(seconds: float) -> str:
    for unit, size in (("days", 86_400), ("hours", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"
