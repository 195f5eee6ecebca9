"""What a machine and a router have counted at one moment, and how the machine did between two of them. (I/O)"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import NamedTuple

from cluster import conditions, own_cluster
from cluster.data_dir import DataDir
from cluster.history import Conditions


class Snapshot(NamedTuple):
    """CPU times since boot, and what the router has counted since it started."""

    cpu: list[int]
    router: str


async def take(data: DataDir, after_s: float = 0.0) -> Snapshot:
    """Read now and understood later: the generator must not wait for a parser. Raises Refused."""
    await asyncio.sleep(after_s)
    return Snapshot(_cpu(), await own_cluster.router_metrics(data))


def _cpu() -> list[int]:
    """The first line of /proc/stat without its name."""
    return [int(ticks) for ticks in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]


def between(before: Snapshot, after: Snapshot) -> Conditions:
    """Whether the machine could do what was asked of it."""
    return Conditions(conditions.idle_share(before.cpu, after.cpu), *conditions.delays(before.router, after.router))
