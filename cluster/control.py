"""How a command speaks to a supervisor: one line of JSON each way over a Unix socket in DATA/run. (I/O)

A socket's path may have 107 bytes, a data directory's path more: on Linux the socket is reached through a
descriptor of its folder. A lock beside each socket says whether its supervisor lives; the kernel drops it with the
process, so a left-over socket never looks alive.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

ANSWER_TIMEOUT_S = 90.0
LINE_BYTES_MAX = 65_536
LINKS_FAULTS = "links-faults"
"""The socket on which the links themselves take orders, beside that of their supervisor."""
ROUTER_ORDERS = "router-orders"
"""The same of the router."""


@contextlib.contextmanager
def _reachable(path: Path) -> Iterator[str]:
    """A short name of the socket at `path`."""
    if not sys.platform.startswith("linux"):
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def socket_path(run: Path, name: str) -> Path:
    """The control socket of a supervisor."""
    return run / f"{name}.sock"


def take_lock(run: Path, name: str) -> int | None:
    """The descriptor of the supervisor's lock, to be kept open; None while another one holds it."""
    descriptor = os.open(run / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def is_alive(run: Path, name: str) -> bool:
    """Whether a supervisor of that name lives."""
    if not run.is_dir():
        return False
    descriptor = take_lock(run, name)
    if descriptor is None:
        return True
    os.close(descriptor)
    return False


def listen(run: Path, name: str) -> socket.socket:
    """A listening socket (mode 0600); the caller holds the lock, so what lies there is a left-over."""
    path = socket_path(run, name)
    path.unlink(missing_ok=True)
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with _reachable(path) as short:
        server.bind(short)
    path.chmod(0o600)
    server.listen(16)
    server.setblocking(False)
    return server


def ask(run: Path, name: str, verb: str, **members: Any) -> dict[str, Any] | None:
    """What the supervisor, or the links, answer to a verb with its members, None when there is none."""
    path = socket_path(run, name)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(ANSWER_TIMEOUT_S)
        try:
            with _reachable(path) as short:
                client.connect(short)
            client.sendall(json.dumps({"verb": verb, **members}).encode() + b"\n")
            with client.makefile("rb") as lines:
                answer = json.loads(lines.readline(LINE_BYTES_MAX))
        except (OSError, ValueError):
            return None
    return answer if isinstance(answer, dict) else None


@contextlib.asynccontextmanager
async def taking_orders(
    run: Path, name: str, obey: Callable[[Mapping[str, Any]], dict[str, Any]]
) -> AsyncIterator[None]:
    """Answers every order on the socket of `name` with what `obey` returns, as long as the body runs."""

    async def order(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, ValueError):  # who asked is gone, or does not speak the protocol
            given = json.loads(await reader.readline())
            answer = obey(given) if isinstance(given, dict) else {"ok": False, "fault": "not an order"}
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
        writer.close()

    server = await asyncio.start_unix_server(order, sock=listen(run, name))
    try:
        yield
    finally:
        server.close()
        socket_path(run, name).unlink(missing_ok=True)
