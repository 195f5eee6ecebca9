"""`cluster up`: every process of a cluster under its supervisor, in the foreground. (I/O)"""

from __future__ import annotations

import asyncio
import errno
import signal
import socket
import sys
from collections.abc import Iterable

from cluster import control
from cluster.children import spawn, terminate
from cluster.data_dir import HOST, DataDir
from cluster.errors import ClusterError, Refused
from cluster.supervisor import POLL_S, READY_TIMEOUT_S, RunFlags
from cluster.welcome import welcome

STOP_TIMEOUT_S = 15.0
PORTS_NAMED = 3
"""How many ports a fault names: when another cluster runs, all of them are in use."""


def check_ports(ports: dict[int, str]) -> None:
    """Raises ClusterError when ports cannot be used: a line for each reason, which names the first of them."""
    blocked: dict[str, list[str]] = {}
    for port, use in ports.items():
        if reason := _why_not(port):
            blocked.setdefault(reason, []).append(f"{port} ({use})")
    if blocked:
        raise ClusterError(*(_port_fault(reason, found) for reason, found in blocked.items()))


def _port_fault(reason: str, found: list[str]) -> str:
    more = f" and {len(found) - PORTS_NAMED} more" if len(found) > PORTS_NAMED else ""
    said = f"port{'s' if len(found) > 1 else ''} {', '.join(found[:PORTS_NAMED])}{more}: {reason}"
    return f"{said}: stop what listens there, or give another --base-port"


def _why_not(port: int) -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            return "in use" if error.errno == errno.EADDRINUSE else f"{error.strerror}"
    return ""


class Local:
    """A cluster run from one command."""

    def __init__(self, data: DataDir, flags: RunFlags) -> None:
        self._data = data
        self._flags = flags
        self._supervisors: dict[str, asyncio.subprocess.Process] = {}
        self._signals = 0
        self._stop = asyncio.Event()

    async def run(self) -> int:
        """Starts everything, tells what to try, waits for Ctrl-C; the exit code. Raises ClusterError."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._on_signal)
        try:
            for name in self._data.names:
                self._supervisors[name] = await spawn(self._supervise(name), signal.SIGTERM)
            if await self._all_ready():
                print(welcome(self._data, self._flags), flush=True)
                await self._until_stopped()
        finally:
            await self._end()
        return 1 if self._signals > 1 else 0

    def _supervise(self, name: str) -> list[str]:
        supervise = [sys.executable, "-m", "cluster", "supervise", name, "--data-dir", str(self._data.path)]
        return [*supervise, *self._flags.words, *self._flags.link_words, *self._flags.node_words]

    async def _all_ready(self) -> bool:
        """Waits for every process; False when it was stopped meanwhile. Raises Refused when one does not come up."""
        waiting = set(self._data.names)
        try:
            async with asyncio.timeout(READY_TIMEOUT_S + 5):
                while waiting and not self._stop.is_set():
                    self._raise_for_ended(waiting)
                    waiting -= {name for name in waiting if self._is_ready(name)}
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            raise Refused(f"not ready in time: {', '.join(sorted(waiting))}") from None
        return not self._stop.is_set()

    def _is_ready(self, name: str) -> bool:
        if not control.socket_path(self._data.run, name).exists():
            return False
        answer = control.ask(self._data.run, name, "status")
        return answer is not None and bool(answer["ready"])

    def _raise_for_ended(self, names: Iterable[str]) -> None:
        """A supervisor that ended has said why on its own; here only what follows from it is said."""
        if ended := [name for name in names if self._supervisors[name].returncode is not None]:
            raise Refused(f"the cluster stops, because this did not run: {', '.join(sorted(ended))}")

    async def _until_stopped(self) -> None:
        ends = {asyncio.create_task(process.wait()) for process in self._supervisors.values()}
        stop = asyncio.create_task(self._stop.wait())
        await asyncio.wait({*ends, stop}, return_when=asyncio.FIRST_COMPLETED)
        for task in (*ends, stop):
            task.cancel()
        if not self._stop.is_set():
            await asyncio.sleep(POLL_S)
            self._raise_for_ended(self._data.names)

    def _on_signal(self) -> None:
        self._signals += 1
        if self._signals == 1:
            print("stopping …  (Ctrl-C again to force)", file=sys.stderr, flush=True)
            self._stop.set()
        else:
            self._signal_all(signal.SIGKILL)

    def _signal_all(self, number: signal.Signals) -> None:
        for process in self._supervisors.values():
            terminate(process, number)

    async def _end(self) -> None:
        """Stops the supervisors, which stop their processes; a killed supervisor takes its process along. Nobody is
        left to see that a node drains, so none does."""
        self._signal_all(signal.SIGINT)
        waits = [process.wait() for process in self._supervisors.values()]
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await asyncio.gather(*waits)
        except TimeoutError:
            self._signal_all(signal.SIGKILL)
            await asyncio.gather(*(process.wait() for process in self._supervisors.values()))
