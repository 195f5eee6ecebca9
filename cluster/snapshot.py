"""What a machine, a router and the links have counted at one moment, and how they did between two of them. (I/O)"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, NamedTuple

from cluster import conditions, control, lateness, own_cluster
from cluster.data_dir import DataDir
from cluster.errors import Refused
from cluster.history import Conditions


class Snapshot(NamedTuple):
    """CPU times since boot, and what the router and the links have counted since they started."""

    cpu: list[int]
    router: str
    links: list[list[Any]]


async def take(data: DataDir, after_s: float = 0.0) -> Snapshot:
    """Read now and understood later: the generator must not wait for a parser. Raises Refused."""
    await asyncio.sleep(after_s)
    router, links = await asyncio.gather(own_cluster.router_metrics(data), asyncio.to_thread(_links, data))
    return Snapshot(_cpu(), router, links)


def _links(data: DataDir) -> list[list[Any]]:
    """Raises Refused when the links do not say."""
    answer = control.ask(data.run, control.LINKS_FAULTS, "lateness") or {"ok": False, "fault": "nobody answers"}
    if not answer["ok"]:
        raise Refused(f"the links do not tell how late they were: {answer['fault']}")
    found: list[list[Any]] = answer["lateness"]
    return found


def _cpu() -> list[int]:
    """The first line of /proc/stat without its name."""
    return [int(ticks) for ticks in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]


def between(before: Snapshot, after: Snapshot) -> Conditions:
    """Whether the machine could do what was asked of it."""
    idle = conditions.idle_share(before.cpu, after.cpu)
    links = lateness.between(lateness.read(before.links), lateness.read(after.links))
    return Conditions(idle, *conditions.delays(before.router, after.router), *links)
