"""A cluster of an experiment's own: a temporary data directory, free ports, gone with the experiment. (I/O)"""

from __future__ import annotations

import asyncio
import random
import shutil
import signal
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from cluster import control, data_dir, node_metrics, probe
from cluster.children import spawn, terminate
from cluster.data_dir import ROUTER, DataDir
from cluster.errors import ClusterError, Refused
from cluster.files import parse_topology, topology_source
from cluster.local import check_ports
from cluster.node_metrics import NodeCounts
from cluster.supervisor import POLL_S
from cluster.topology import Topology, assign_ports

READY_TIMEOUT_S = 75.0
STOP_TIMEOUT_S = 30.0
EQUAL_WITHIN_S = 30.0
FIRST_PORT, LAST_PORT = 20_000, 29_000
PORT_ATTEMPTS = 50
LOG_TAIL_LINES = 5


class OwnCluster:
    """`python -m cluster up` as an asynchronous context: ready inside, stopped and removed after it."""

    def __init__(
        self, topology: str, policy: str, seed: int, *flags: str, environment: Mapping[str, str] | None = None
    ) -> None:
        """`flags` are more of `cluster up`, `environment` is added to ours."""
        self._environment = environment
        self._topology = topology
        self._policy = policy
        self._seed = seed
        self._flags = flags
        self._process: asyncio.subprocess.Process | None = None
        self._root = Path()

    async def __aenter__(self) -> DataDir:
        """Starts it and waits until every process is ready. Raises ClusterError."""
        self._root = Path(tempfile.mkdtemp(prefix="stsd-experiment-"))
        try:
            return await self._start()
        except BaseException:
            await self.__aexit__()
            raise

    async def __aexit__(self, *_: object) -> None:
        stopping = asyncio.create_task(self._stop())
        try:
            await asyncio.shield(stopping)
        except asyncio.CancelledError:
            await stopping  # a Ctrl-C that comes now leaves no process and no keys behind either
            raise

    async def _stop(self) -> None:
        try:
            if self._process is not None:
                terminate(self._process, signal.SIGINT)
                try:
                    async with asyncio.timeout(STOP_TIMEOUT_S):
                        await self._process.wait()
                except TimeoutError:
                    # A killed `cluster up` takes its supervisors along, and they their processes (see `children`).
                    terminate(self._process, signal.SIGKILL)
                    await self._process.wait()
        finally:
            shutil.rmtree(self._root, ignore_errors=True)

    async def _start(self) -> DataDir:
        base_port = free_base_port(read_topology(self._topology))
        path, log = self._root / "data", self._root / "up.log"
        command = [
            *(sys.executable, "-m", "cluster", "up", "--topology", self._topology, "--base-port", str(base_port)),
            *("--data-dir", str(path), "--policy", self._policy, "--seed", str(self._seed)),
            *self._flags,
        ]
        self._process = await spawn(command, signal.SIGTERM, log, environment=self._environment)
        try:
            async with asyncio.timeout(READY_TIMEOUT_S):
                while self._process.returncode is None:
                    if (data := await self._ready(path)) is not None:
                        return data
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            pass
        tail = log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:]
        raise Refused("the experiment's cluster did not start", *tail)

    async def _ready(self, path: Path) -> DataDir | None:
        try:
            data = data_dir.find(path)
        except ClusterError:
            return None
        for name in data.names:
            answer = await asyncio.to_thread(control.ask, data.run, name, "status")
            if answer is None or not answer["ready"]:
                return None
        return data


async def router_metrics(data: DataDir) -> str:
    """The exposition text of the router. Raises Refused."""
    answer = await probe.get(f"{data.url(ROUTER)}/metrics", timeout_s=5)
    if answer is None or answer[0] != 200:
        raise Refused("the router does not tell its metrics")
    return answer[1].decode()


async def node_counts(data: DataDir) -> dict[str, NodeCounts]:
    """What each region's node has counted; a node that does not say is left out."""
    regions = data.topology.regions
    answers = await asyncio.gather(*(probe.get(f"{data.url(region)}/metrics", timeout_s=5) for region in regions))
    return {
        region: node_metrics.parse(answer[1].decode())
        for region, answer in zip(regions, answers, strict=True)
        if answer is not None and answer[0] == 200
    }


async def node_metrics_texts(data: DataDir) -> dict[str, str | None]:
    """The exposition of each region's node, None of one that is silent; to be understood later, for whoever has no time
    now."""
    regions = data.topology.regions
    answers = await asyncio.gather(*(probe.get(f"{data.url(region)}/metrics", timeout_s=5) for region in regions))
    return {
        region: None if answer is None or answer[0] != 200 else answer[1].decode()
        for region, answer in zip(regions, answers, strict=True)
    }


async def heads_are_equal(data: DataDir) -> bool:
    """Whether every region's node knows the same of every origin."""
    found = await node_counts(data)
    heads = [counts.heads for counts in found.values()]
    return len(found) == len(data.topology.regions) and all(one == heads[0] for one in heads)


async def until_heads_are_equal(data: DataDir, timeout_s: float = EQUAL_WITHIN_S) -> bool:
    """Waits for it; whether it came to that in time."""
    loop = asyncio.get_running_loop()
    until = loop.time() + timeout_s
    while loop.time() < until:
        if await heads_are_equal(data):
            return True
        await asyncio.sleep(POLL_S)
    return False


def read_topology(name: str) -> Topology:
    """A topology by name or file. Raises ClusterError."""
    return parse_topology(*topology_source(name))


def free_base_port(topology: Topology) -> int:
    """A base port with every port that a cluster may need free at this moment. Raises Refused."""
    for _ in range(PORT_ATTEMPTS):
        base_port = random.randrange(FIRST_PORT, LAST_PORT, 10)  # noqa: S311  any port will do
        try:
            check_ports(assign_ports(topology, base_port, "nats").named())
        except ClusterError:
            continue
        return base_port
    raise Refused(f"no free ports between {FIRST_PORT} and {LAST_PORT}")
