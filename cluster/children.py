"""Starting processes that cannot outlive who started them. (I/O)"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

PR_SET_PDEATHSIG = 1


def dies_with_parent(number: signal.Signals) -> Callable[[], None] | None:
    """What a child runs before its program so that it gets a signal when its parent is gone; None where it cannot.

    Only Linux has it. Elsewhere a killed supervisor leaves its process behind, and the next start names its port.
    """
    if not sys.platform.startswith("linux"):
        return None
    libc, parent = ctypes.CDLL(None, use_errno=True), os.getpid()

    def ask_kernel() -> None:
        libc.prctl(PR_SET_PDEATHSIG, int(number))
        if os.getppid() != parent:  # the parent went before the request was made
            os.kill(os.getpid(), number)

    return ask_kernel


async def spawn(
    command: Sequence[str],
    number: signal.Signals,
    log: Path | None = None,
    *,
    code: str = "",
    environment: Mapping[str, str] | None = None,
) -> asyncio.subprocess.Process:
    """Starts a process in a session of its own: a terminal's Ctrl-C reaches it only through us.

    `log` takes its output (appended, mode 0600); without one it is ours. `code` is a checkout whose Python modules it
    imports instead of ours; `environment` is added to ours.
    """
    added = {**(environment or {}), **({"PYTHONPATH": code} if code else {})}
    output = None if log is None else os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        return await _spawn(command, number, output, code or None, os.environ | added)
    finally:
        if output is not None:
            os.close(output)


async def _spawn(
    command: Sequence[str], number: signal.Signals, output: int | None, folder: str | None, environment: dict[str, str]
) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,
        cwd=folder,
        env=environment,
        preexec_fn=dies_with_parent(number),
    )


def terminate(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    """Sends a signal; a process that is gone already is what was wanted."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)
