"""Our own log on its way into our region's stream: in order, each batch once, nothing left out.

The journal is what counts. A batch goes out when it is committed; when the broker was away, everything that its stream
lacks follows from our own log, as far back as the stream would keep it. So nothing depends on a client's buffer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from stsd import nats_layout
from stsd.revocation.messages import Batch, Delta, Origin
from stsd.server.backbone import BackboneUnavailable
from stsd.server.backbone.nats import streams
from stsd.server.backbone.nats.connection import Connection
from stsd.view import View

RECEIPT_TIMEOUT_S = 1.0


class OwnLog:
    """How far the stream has our log. `now` gives Unix seconds."""

    def __init__(self, cluster: str, view: View, now: Callable[[], float]) -> None:
        self._cluster, self._view, self._now = cluster, view, now
        self._origin: Origin | None = None
        self._kept = 0
        self._wanted = asyncio.Event()
        self._news = asyncio.Condition()

    async def offered(self, batch: Batch) -> str:
        """Wait until the stream keeps a batch of ours; its name. Raises BackboneUnavailable."""
        self._wanted.set()
        try:
            async with asyncio.timeout(RECEIPT_TIMEOUT_S), self._news:
                await self._news.wait_for(lambda: self._origin == batch.origin and self._kept >= batch.last)
        except TimeoutError:
            raise BackboneUnavailable("no_receipt") from None
        return nats_layout.published(batch.origin.region)

    async def run(self, connection: Connection) -> None:
        """Publish what the stream lacks, and then what comes. Raises BackboneUnavailable when it takes no more."""
        self._origin = None
        while True:
            self._wanted.clear()
            replica = self._view.replica
            if replica.origin != self._origin:  # a new connection, incarnation or epoch
                self._kept = await streams.published_up_to(connection, self._cluster, replica.origin)
                self._origin = replica.origin
            if not await self._publish_next(connection):
                await self._wanted.wait()

    async def _publish_next(self, connection: Connection) -> bool:
        """Whether there was something to publish."""
        replica = self._view.replica
        batch = next(iter(replica.after({replica.origin: self._kept}, 1)), None)
        if batch is None or replica.origin != self._origin:
            return False
        if batch.made_at >= self._now() - nats_layout.RETENTION_S:
            keys = tuple(key for key in replica.identities.announcements() if key.origin == batch.origin)
            await streams.publish(connection, self._cluster, Delta(replica.epoch, (batch,), identities=keys))
        async with self._news:
            self._kept = batch.last
            self._news.notify_all()
        return True
