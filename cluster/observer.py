"""Looks at every region twice a second beside the load: what it tells, what the router and the links tell. (I/O)"""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import Callable, Mapping

from cluster import control, probe
from cluster.data_dir import ROUTER, DataDir
from cluster.history import Look

EVERY_S = 0.5
PATIENCE_S = 0.4
JOURNAL = "journal.db"
_HEALTHY = re.compile(r'^router_region_healthy\{region="([^"]+)"\} (\S+)$', re.M)
_UNKNOWN = re.compile(r"^stsd_unknown_revocations (\S+)$", re.M)


class Observer:
    """The samples of one run. `now`: seconds since the measured part began."""

    def __init__(self, data: DataDir, now: Callable[[], float]) -> None:
        self._data, self._now = data, now
        self.samples: list[Look] = []

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            looked_at = self._now()
            await self._look(looked_at)
            await asyncio.sleep(max(0.0, looked_at + EVERY_S - self._now()))

    async def _look(self, at: float) -> None:
        healthy, received = await asyncio.gather(self._healthy(), asyncio.to_thread(self._received))
        regions = self._data.topology.regions
        self.samples += await asyncio.gather(*(self._sample(at, one, healthy, received) for one in regions))

    async def _sample(self, at: float, region: str, healthy: Mapping[str, bool], received: Mapping[str, int]) -> Look:
        url = self._data.url(region)
        answer, metrics = await asyncio.gather(probe.readiness(url), probe.get(f"{url}/metrics", timeout_s=PATIENCE_S))
        ready, told = (False, {}) if answer is None else answer
        unknown = None if metrics is None else _UNKNOWN.search(metrics[1].decode())
        return Look(
            at, region, ready, told.get("origin", ""), _by_region(told.get("staleness", {})), healthy.get(region),
            received.get(region), None if unknown is None else int(float(unknown[1])),
        )  # fmt: skip

    async def _healthy(self) -> dict[str, bool]:
        answer = await probe.get(f"{self._data.url(ROUTER)}/metrics", timeout_s=PATIENCE_S)
        return {} if answer is None else {one: value != "0.0" for one, value in _HEALTHY.findall(answer[1].decode())}

    def _received(self) -> dict[str, int]:
        answer = control.ask(self._data.run, control.LINKS_FAULTS, "status")
        return {} if answer is None else answer["received"]


def _by_region(staleness: Mapping[str, float]) -> dict[str, float]:
    """The age of the freshest origin of each region: a node that joined anew leaves an older one behind."""
    found: dict[str, float] = {}
    for origin, age in staleness.items():
        region = origin.partition("/")[0]
        found[region] = min(age, found.get(region, age))
    return found


def journal_bytes(data: DataDir) -> dict[str, int]:
    """How much the batches in each region's journal are; a region whose journal cannot be read is left out."""
    found = {}
    for region in data.topology.regions:
        uri = f"file:{data.path / region / JOURNAL}?mode=ro"
        try:
            connection = sqlite3.connect(uri, uri=True)
            try:
                found[region] = connection.execute("SELECT coalesce(sum(length(body)), 0) FROM batches").fetchone()[0]
            finally:
                connection.close()
        except sqlite3.Error:
            continue
    return found
