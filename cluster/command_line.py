"""What the commands of the laboratory share: how they find a running cluster and ask it, and how they end, with one
clear line per fault on stderr and never a traceback for what the user can mend. (I/O)"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, NoReturn

import click

from cluster import control, data_dir, faults
from cluster.data_dir import DataDir
from cluster.errors import ClusterError, Refused

DATA = click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    default=data_dir.DEFAULT_PATH,
    show_default=True,
    help="The cluster's state.",
)


def main(command: click.Command, program: str, said_by: str) -> NoReturn:
    """Runs a command and exits: its own code, 2 for bad usage, 130 for Ctrl-C. What it writes is private (0600)."""
    os.umask(0o077)
    try:
        code = command.main(prog_name=program, standalone_mode=False)
    except ClusterError as error:
        for fault in error.faults:
            click.echo(f"{said_by}: {fault}", err=True)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        click.echo(f"{said_by}: {error.format_message()}", err=True)
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    sys.exit(code or 0)


def find(path: Path) -> DataDir:
    """The cluster that a data directory holds. Raises ClusterError."""
    return data_dir.find(path.absolute())


def find_with(path: Path, *regions: str) -> DataDir:
    """The same cluster, which has these regions. Raises ClusterError."""
    data = find(path)
    try:
        faults.check_regions(data.topology.regions, *regions)
    except faults.FaultError as error:
        raise ClusterError(str(error)) from error
    return data


def check_name(data: DataDir, name: str) -> None:
    """Raises ClusterError for what is no process of the cluster."""
    if name not in data.names:
        raise ClusterError(f"{name}: not a part of this cluster; choose from {', '.join(data.names)}")


def ask(data: DataDir, name: str, verb: str) -> dict[str, Any]:
    """What the supervisor of a process answers to a verb. Raises ClusterError."""
    check_name(data, name)
    answer = control.ask(data.run, name, verb)
    if answer is None:
        raise ClusterError(f"{name}: nothing supervises it in {data.path}: is the cluster up?")
    if not answer["ok"]:
        raise Refused(*answer["fault"].splitlines())
    return answer
