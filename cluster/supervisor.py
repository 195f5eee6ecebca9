"""One process of a cluster and its supervisor, which outlives it (contract 1). (I/O)

The supervisor starts its process, tells `cluster.json` its id, and obeys `kill`, `start` and `status` on its control
socket, for a region also `pause` and `resume`. It never restarts by itself: what an experiment killed stays dead.
Until its process was ready once, the end of the process is the end of the supervisor, so that a wrong start is seen at
once.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cluster import control, data_dir, probe, rejoin
from cluster.children import spawn, terminate
from cluster.data_dir import HOST, ROUTER, DataDir
from cluster.errors import ClusterError, Refused
from cluster.files import locked
from cluster.topology import CORE, JETSTREAM, LINKS

READY_TIMEOUT_S = 60.0
POLL_S = 0.05
STOP_TIMEOUT_S = 10.0
LOG_TAIL_LINES = 12
UNSAFE_TEST_HOOKS = "--unsafe-test-hooks"
CODE = "STSD_NODE_CODE"
"""The environment variable that names a checkout of another version, of which the nodes of a cluster are at first; who
is killed or stopped and starts again is of this one."""


@dataclass(frozen=True, slots=True)
class RunFlags:
    """What every process of one run is started with."""

    policy: str | None = None
    seed: int | None = None
    unsafe_test_hooks: bool = False
    dns_ttl_s: float | None = None
    network: str = "inproc"
    without: tuple[str, ...] = ()
    pinned_from: int | None = None
    """The first of the router's pinned ports, None for none of them."""
    drain_s: float = 0.0
    """How long a node goes on serving that gets SIGTERM."""

    @property
    def words(self) -> list[str]:
        """For a supervisor's command line."""
        hooks = [UNSAFE_TEST_HOOKS] if self.unsafe_test_hooks else []
        return [*self.router_words, *hooks]

    @property
    def node_words(self) -> list[str]:
        """Those that only nodes obey."""
        return ["--drain-s", f"{self.drain_s:g}"] if self.drain_s else []

    @property
    def link_words(self) -> list[str]:
        """Those that only the links obey."""
        return [] if self.network == "inproc" else ["--network", self.network]

    @property
    def router_words(self) -> list[str]:
        """Those that only the router obeys, and the seed."""
        policy = ["--policy", self.policy] if self.policy else []
        ttl = [] if self.dns_ttl_s is None else ["--dns-ttl", f"{self.dns_ttl_s:g}"]
        pinned = [] if self.pinned_from is None else ["--pinned-from", str(self.pinned_from)]
        without = [word for part in self.without for word in ("--without", part)]
        return [*policy, *ttl, *pinned, *without, *(["--seed", str(self.seed)] if self.seed is not None else [])]


def command(data: DataDir, name: str, flags: RunFlags) -> list[str]:
    """The command line of a region's node, of a NATS server, of the links or of the router."""
    if name in data.ports.brokers:
        from cluster import brokers

        return brokers.command(data, name)
    hooks = [UNSAFE_TEST_HOOKS] if flags.unsafe_test_hooks else []
    seed = ["--seed", str(flags.seed)] if flags.seed is not None else []
    if name == LINKS:
        return [sys.executable, "-m", "cluster", "links", "--data-dir", str(data.path), *seed, *flags.link_words]
    if name == ROUTER:
        return [sys.executable, "-m", "cluster", "router", "--data-dir", str(data.path), *flags.words]
    others = [to for to in data.topology.regions if to != name]
    peers = [part for to in others for part in ("--peer", f"{to}={data.link(name, to)}")]
    return [
        *(sys.executable, "-m", "stsd", "serve", "--region", name),
        *("--host", HOST, "--port", str(data.ports.regions[name]), "--data-dir", str(data.path / name)),
        *("--issuer", data.url(ROUTER), "--cluster-key", str(data.key_file), "--log-format", "json"),
        *peers,
        *_backbone(data, name),
        *flags.node_words,
        *hooks,
    ]


def _backbone(data: DataDir, region: str) -> list[str]:
    """Where a node finds its region's NATS servers: the one with the streams first."""
    if not data.ports.nats:
        return []
    return ["--backbone", ",".join(data.url(f"{kind}-{region}") for kind in (JETSTREAM, CORE))]


def check_not_supervised(data: DataDir, name: str) -> None:
    """Raises ClusterError when a process of this name has a supervisor already."""
    if control.is_alive(data.run, name):
        raise _supervised(data, name)


def _supervised(data: DataDir, name: str) -> ClusterError:
    return ClusterError(f"{name} of {data.path} is supervised already: stop that one first")


class Supervisor:
    """Runs one process of the cluster in `data`. `drain_s` is how long it may take to end, beside what that costs."""

    def __init__(self, data: DataDir, name: str, program: Sequence[str], drain_s: float = 0.0) -> None:
        self._data = data
        self._code = os.environ.get(CODE, "") if name in data.topology.regions else ""
        self._name = name
        self._program = program
        self._process: asyncio.subprocess.Process | None = None
        self._watch: asyncio.Task[None] | None = None
        self._ready = False
        self._paused = False
        self._log_from = 0
        self._drain_s = drain_s
        self._signal = signal.SIGINT
        """What our process gets when we end: the signal that we got."""
        self._one_at_a_time = asyncio.Lock()
        self._ended = asyncio.Event()

    async def run(self) -> int:
        """Until a signal: exit code 0; 1 when the process did not get ready the first time. Raises ClusterError."""
        lock = self._claim()
        server = await asyncio.start_unix_server(self._serve, sock=control.listen(self._data.run, self._name))
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._on_signal, number)
        try:
            starting = asyncio.create_task(self._start())
            ended = asyncio.create_task(self._ended.wait())
            await asyncio.wait((starting, ended), return_when=asyncio.FIRST_COMPLETED)
            if starting.done() and (fault := starting.result()):
                raise Refused(*fault.splitlines())
            await ended
            starting.cancel()
            return 0
        finally:
            server.close()
            await self._stop(self._signal)
            control.socket_path(self._data.run, self._name).unlink(missing_ok=True)
            os.close(lock)

    def _on_signal(self, number: signal.Signals) -> None:
        """The first one is passed on when everything else has ended, a second one ends a drain."""
        if self._ended.is_set() and self._process is not None:
            terminate(self._process, number)
        self._signal = number
        self._ended.set()

    def _claim(self) -> int:
        """Takes the lock of this name; the first supervisor of a run begins `cluster.json` anew."""
        with locked(self._data.path):
            others = [name for name in self._data.names if name != self._name]
            alone = not any(control.is_alive(self._data.run, name) for name in others)
            lock = control.take_lock(self._data.run, self._name)
            if lock is None:
                raise _supervised(self._data, self._name)
            if alone:
                data_dir.begin_cluster_file(self._data)
            return lock

    # -- the process -------------------------------------------------------------------------------------------------

    async def _start(self) -> str:
        """Starts the process and waits until it is ready; what went wrong, or nothing. A region whose folder is empty
        joins the cluster first."""
        if rejoin.is_needed(self._data, self._name):
            if fault := await rejoin.rejoin(self._data, self._name):
                return fault
            await self._let_in()
        log = self._data.log(self._name)
        log.parent.mkdir(mode=0o700, exist_ok=True)
        self._log_from = log.stat().st_size if log.exists() else 0
        self._process = process = await spawn(self._program, signal.SIGKILL, log, code=self._code)
        data_dir.set_pid(self._data, self._name, process.pid)
        self._watch = asyncio.create_task(self._note_end(process))
        try:
            async with asyncio.timeout(READY_TIMEOUT_S):
                while process.returncode is None:
                    if await self._serves() and process.returncode is None:
                        self._ready = True
                        return ""
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            return f"{self._name}: not ready after {READY_TIMEOUT_S:.0f} s\n{self._log_tail()}"
        return f"{self._name}: ended {_how(process.returncode)} before it was ready\n{self._log_tail()}"

    async def _let_in(self) -> None:
        """A node that joined has a new key, which its region's NATS servers have to know."""
        if self._data.ports.nats:
            from cluster import brokers

            await asyncio.to_thread(brokers.refresh, self._data)

    async def _serves(self) -> bool:
        if self._name == LINKS:
            return await asyncio.to_thread(control.ask, self._data.run, control.LINKS_FAULTS, "status") is not None
        if self._name in self._data.ports.brokers:
            from cluster import brokers

            return await brokers.serves(self._data, self._name)
        answer = await probe.readiness(self._data.url(self._name))
        return answer is not None and answer[0]

    async def _note_end(self, process: asyncio.subprocess.Process) -> None:
        code = await process.wait()
        was_ready, self._ready = self._ready, False
        self._paused = False
        data_dir.set_pid(self._data, self._name, None)
        if was_ready and not self._ended.is_set():
            again = f"`python -m cluster start {self._name}{self._data.flag}` starts it again"
            print(f"{self._name}: process {process.pid} ended {_how(code)}; {again}", file=sys.stderr, flush=True)

    async def _stop(self, number: signal.Signals) -> None:
        """Ends the process, by force when it does not end in time. SIGTERM lets a node drain."""
        process = self._process
        if process is None:
            return
        terminate(process, number)
        terminate(process, signal.SIGCONT)  # a paused process takes no signal but SIGKILL
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S + self._drain_s):
                await process.wait()
        except TimeoutError:
            terminate(process, signal.SIGKILL)
            await process.wait()
        if self._watch is not None:
            await self._watch

    def _log_tail(self) -> str:
        """The end of what the process of this start has said; what earlier ones said explains nothing."""
        try:
            said = self._data.log(self._name).read_bytes()[self._log_from :]
        except OSError:
            said = b""
        lines = said.decode(errors="replace").splitlines()[-LOG_TAIL_LINES:]
        return "\n".join([f"the end of {self._data.log(self._name)}:", *(f"  {line}" for line in lines)])

    # -- the control socket ------------------------------------------------------------------------------------------

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(control.ANSWER_TIMEOUT_S):
                answer = await self._obey(await reader.readline())
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
        except (OSError, ValueError, TimeoutError):
            pass  # whoever asked is gone or does not speak the protocol; nothing depends on the answer
        finally:
            writer.close()

    async def _obey(self, line: bytes) -> dict[str, Any]:
        order = json.loads(line)
        verb = order.get("verb")
        if verb == "status":
            hooks = UNSAFE_TEST_HOOKS in self._program
            return {"ok": True, "pid": self._pid(), "ready": self._ready, "paused": self._paused, "hooks": hooks}
        async with self._one_at_a_time:
            if verb in ("kill", "stop"):
                return await self._kill(signal.SIGKILL if verb == "kill" else signal.SIGTERM)
            if verb == "start":
                self._code = ""
                return await self._start_again()
            if verb in ("pause", "resume"):
                return self._pause(verb == "pause")
            if verb == "reload":
                return self._reload()
        return {"ok": False, "fault": "unknown verb"}

    async def _kill(self, number: signal.Signals) -> dict[str, Any]:
        """Ends the process, by SIGTERM if it may finish what it does; the node of another version gives way to ours."""
        pid = self._pid()
        if pid is None:
            return {"ok": False, "fault": f"{self._name} is not running"}
        self._ready = False
        await self._stop(number)
        return {"ok": True, "pid": pid}

    def _pause(self, paused: bool) -> dict[str, Any]:
        """Stops the process where it is, or lets it go on; doing it twice is doing it once."""
        if self._process is None or self._pid() is None:
            return {"ok": False, "fault": f"{self._name} is not running"}
        terminate(self._process, signal.SIGSTOP if paused else signal.SIGCONT)
        self._paused = paused
        return {"ok": True, "pid": self._pid()}

    def _reload(self) -> dict[str, Any]:
        """Has a NATS server read its file again; one that is not running will anyway."""
        if self._process is not None:
            terminate(self._process, signal.SIGHUP)
        return {"ok": True, "pid": self._pid()}

    async def _start_again(self) -> dict[str, Any]:
        if self._paused:
            return {"ok": False, "fault": f"{self._name} is paused: `python -m cluster resume {self._name}`"}
        if self._pid() is not None:
            return {"ok": True, "pid": self._pid(), "already": True}
        fault = await self._start()
        return {"ok": not fault, "pid": self._pid(), "fault": fault}

    def _pid(self) -> int | None:
        return self._process.pid if self._process is not None and self._process.returncode is None else None


def _how(code: int | None) -> str:
    if code is not None and code < 0:
        return f"by {signal.Signals(-code).name}"
    return f"with exit code {code}"
