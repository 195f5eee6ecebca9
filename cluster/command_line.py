"""How every command of the laboratory ends: one clear line per fault on stderr, never a traceback for what the user can
mend. (I/O)"""

from __future__ import annotations

import os
import sys
from typing import NoReturn

import click

from cluster.errors import ClusterError


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
