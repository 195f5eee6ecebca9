"""Another proxy where an experiment's router stands: an HAProxy for the global endpoint of every place. (I/O)

Its configuration is `haproxy_files`, its file and its log lie beside the experiment's cluster and go with it. The
router goes on behind it, with nothing but its pinned ports in use (see `router`).
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import shutil
import signal
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import NamedTuple

from cluster import health_checks, probe, routing
from cluster.breaker import BreakerSettings
from cluster.children import spawn, terminate
from cluster.data_dir import HOST, DataDir
from cluster.errors import ClusterError, Refused
from cluster.files import write_whole
from cluster.haproxy_files import Knobs, Listen, Server, text
from cluster.local import check_ports
from cluster.outlier import OutlierSettings
from cluster.router_config import ANSWER_TIMEOUT_S, CONNECT_TIMEOUT_S, PARTS, pinned_ports
from cluster.supervisor import POLL_S
from cluster.topology import Topology

PROGRAM = "haproxy"
PLACES = ("/usr/sbin", "/usr/local/sbin")
"""Where Debian and others have it: not on everybody's PATH."""
FIRST_PORT, LAST_PORT = 29_000, 32_000
PORT_ATTEMPTS = 50
READY_TIMEOUT_S = 10.0
LOG_TAIL_LINES = 5


class Front(NamedTuple):
    """What stands in the router's place, and the first of its ports: the pinned ones, then one for each place."""

    kind: str
    policy: str
    first_port: int

    @property
    def flags(self) -> list[str]:
        """How the router behind it starts: it only marks and delays."""
        return ["--pinned-from", str(self.first_port), *(word for part in PARTS for word in ("--without", part))]


def program() -> str | None:
    """The path of HAProxy, None where there is none."""
    return shutil.which(PROGRAM) or next(
        (found for place in PLACES if (found := shutil.which(PROGRAM, path=place))), None
    )


def missing(kind: str) -> str:
    """Why a front cannot be run, empty when it can."""
    if not kind or program():
        return ""
    return f"{PROGRAM} is not there (Debian: apt-get install {PROGRAM})"


def chosen(kind: str, policy: str, topology: Topology) -> Front | None:
    """A front on ports that are free at this moment; None for the router itself. Raises Refused."""
    if not kind:
        return None
    count = len(topology.locations) * (len(topology.regions) + 1)
    for _ in range(PORT_ATTEMPTS):
        first = random.randrange(FIRST_PORT, LAST_PORT - count)  # noqa: S311  any port will do
        try:
            check_ports(dict.fromkeys(range(first, first + count), kind))
        except ClusterError:
            continue
        return Front(kind, policy, first)
    raise Refused(f"no free ports between {FIRST_PORT} and {LAST_PORT}")


def listeners(front: Front, topology: Topology, regions: Mapping[str, int]) -> list[Listen]:
    """What it listens on; `regions` are the regions' own ports."""
    pinned = pinned_ports(topology, front.first_port)
    order = routing.find(front.policy).order
    found = []
    for index, place in enumerate(topology.locations):
        servers = (Server(region, pinned[place, region], regions[region]) for region in order(topology, place))
        found.append(Listen(place, front.first_port + len(pinned) + index, tuple(servers)))
    return found


def knobs() -> Knobs:
    """The router's own settings."""
    active, passive = OutlierSettings(), BreakerSettings()
    return Knobs(
        interval_s=health_checks.INTERVAL_S,
        check_timeout_s=health_checks.TIMEOUT_S,
        jitter=health_checks.JITTER,
        fall=active.fall,
        rise=active.rise,
        errors=passive.consecutive_gateway_failures,
        connect_timeout_s=CONNECT_TIMEOUT_S,
        answer_timeout_s=ANSWER_TIMEOUT_S,
    )


@contextlib.asynccontextmanager
async def running(front: Front | None, data: DataDir) -> AsyncIterator[dict[str, str]]:
    """The URL of the global endpoint by place, where it is not the router's own; ready inside, stopped after it.
    Raises Refused when the proxy does not start, or did not stay until the end."""
    if front is None:
        yield {}
        return
    config, log = data.path.parent / f"{front.kind}.cfg", data.path.parent / f"{front.kind}.log"
    found = listeners(front, data.topology, data.ports.regions)
    write_whole(config, text(front.kind, found, knobs()).encode())
    urls = {one.place: f"http://{HOST}:{one.port}" for one in found}
    async with _process(config, log) as process:
        await _until_ready(process, urls, log)
        yield urls
        if process.returncode is not None:
            raise _ended(log)


@contextlib.asynccontextmanager
async def _process(config: Path, log: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    path = program()
    if path is None:
        raise Refused(missing(PROGRAM))
    # -db: in the foreground, one process.
    process = await spawn([path, "-db", "-f", str(config)], signal.SIGTERM, log)
    try:
        yield process
    finally:
        terminate(process, signal.SIGTERM)
        await process.wait()


async def _until_ready(process: asyncio.subprocess.Process, urls: Mapping[str, str], log: Path) -> None:
    """Until a region answers every place through it. Raises Refused."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(READY_TIMEOUT_S):
            for url in urls.values():
                while process.returncode is None:
                    answer = await probe.get(f"{url}/readyz", timeout_s=1)
                    if answer is not None and answer[0] == 200:
                        break
                    await asyncio.sleep(POLL_S)
            if process.returncode is None:
                return
    raise _ended(log)


def _ended(log: Path) -> Refused:
    return Refused(f"{PROGRAM} did not serve", *log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:])
