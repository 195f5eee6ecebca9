"""Reading past a stream that has stalled (design 2.5).

While an origin is stalled, its region's own stream is followed in that region's JetStream, and questions of the
replica go straight to the nodes. One is asked at once: earlier ones waited for the stream. The stall is told once, and
its end.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

from stsd import nats_layout
from stsd.revocation.messages import Origin
from stsd.server.backbone import Heard
from stsd.server.backbone.nats.connection import Connection
from stsd.server.backbone.nats.tail import Reader, Tail
from stsd.server.backbone.stalls import Stalls
from stsd.server.keeper import Report
from stsd.view import View

LOOK_INTERVAL_S = 0.25
AGAIN_S = 1.0
"""Before a region's JetStream that did not answer is asked once more."""


class Repairs:
    """The stalls of one node. `began` is called with an origin that has stalled."""

    def __init__(
        self, view: View, heard: Heard, tail: Tail, reader: Reader, report: Report, began: Callable[[Origin], None]
    ) -> None:
        self._view, self._heard, self._reader, self._report, self._began = view, heard, reader, report, began
        self._stalls = Stalls(self._applied, lambda origin: tail.brought.get(origin, 0))
        self._following: dict[str, asyncio.Task[None]] = {}
        self.counted: Counter[str] = Counter()
        """Stalls by the region of their origin."""

    def is_stalled(self, origin: Origin) -> bool:
        """Whether nothing more is expected from the stream."""
        return self._stalls.is_stalled(origin)

    async def run(self, connection: Connection) -> None:
        """Look, and follow what is stalled."""
        try:
            while True:
                self._look(connection)
                await asyncio.sleep(LOOK_INTERVAL_S)
        finally:
            self._follow_only(set())

    def _look(self, connection: Connection) -> None:
        told = self._view.replica.obtainable(self._heard.heads)
        began, ended = self._stalls.look(told, asyncio.get_running_loop().time())
        for origin in began:
            self.counted[origin.region] += 1
            behind = told[origin] - self._applied(origin)
            self._report("backbone_source_stalled", origin=str(origin), behind=behind)
            self._began(origin)
        for origin in ended:
            self._report("backbone_source_recovered", origin=str(origin))
        regions = {origin.region for origin in self._stalls.stalled}
        self._follow_only(regions)
        for region in regions - self._following.keys():
            self._following[region] = asyncio.create_task(self._follow(connection, region))

    def _follow_only(self, regions: set[str]) -> None:
        for region in self._following.keys() - regions:
            self._following.pop(region).cancel()

    async def _follow(self, connection: Connection, region: str) -> None:
        """Read what a region publishes where it does, from where something is lacking. A library may have swallowed the
        cancellation (see `tasks`): so it looks whether it still is who follows."""
        while self._following.get(region) is asyncio.current_task():
            stalled = [origin for origin in self._stalls.stalled if origin.region == region]
            since = min((self._view.replica.applied(origin)[1] for origin in stalled), default=0.0)
            await self._reader.read_on(connection, region, nats_layout.published(region), since)
            await asyncio.sleep(AGAIN_S)

    def _applied(self, origin: Origin) -> int:
        return self._view.replica.applied(origin)[0]
