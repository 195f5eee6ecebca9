"""`stsd mfa code`: a code of an MFA device, asked of a running node over its operator socket."""

from __future__ import annotations

from pathlib import Path

import click

from stsd.server import operator
from stsd.server.operator import OperatorError


def code(data_dir: Path, serial: str | None) -> int:
    """Print a code that is good now. Returns 1 when no node answers or there is none; raises ConfigError for a wrong
    directory."""
    try:
        _, answer = operator.call_any(operator.directories(data_dir), "mfa code", serial=serial)
    except OperatorError as error:
        click.echo(f"stsd: {error}", err=True)
        return 1
    click.echo(answer["code"])
    return 0
