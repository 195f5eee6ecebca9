"""Reading batches from streams: what our region gathers, all the time; another region's own stream when that stalls."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing, suppress

from stsd import nats_layout
from stsd.revocation import codec
from stsd.revocation.messages import Delta, Origin
from stsd.server.backbone import BackboneUnavailable, Deliver, Refused
from stsd.server.backbone.nats import streams
from stsd.server.backbone.nats.connection import Connection
from stsd.server.backbone.nats.streams import Kept
from stsd.view import View


class Reader:
    """Hands on what streams kept for this epoch. Anything else changes nothing; `refused` is told why."""

    def __init__(self, view: View, deliver: Deliver, refused: Refused) -> None:
        self._view, self._deliver, self._refused = view, deliver, refused

    async def read_on(self, connection: Connection, domain: str, stream: str, since: float) -> None:
        """Read until the stream is silent."""
        with suppress(BackboneUnavailable):
            async with aclosing(streams.read(connection, domain, stream, since)) as chunks:
                async for chunk in chunks:
                    await self.take(chunk.kept)

    async def take(self, kept: Sequence[Kept]) -> list[Delta]:
        """Deliver batches, those of one region together; what was delivered."""
        deltas = list(self._decoded(kept))
        for region, delta in streams.joined(deltas):
            await self._deliver(region, delta)
        return deltas

    def _decoded(self, kept: Sequence[Kept]) -> Iterator[Delta]:
        for region, payload in kept:
            try:
                delta = streams.delta_of(payload)
            except codec.CodecError as error:
                self._refused(error.reason, region)
                continue
            if delta.epoch >= self._view.replica.epoch:
                yield delta


class Tail:
    """`flows` while the stream is read; `read_once` is set when all that it held was. `brought` says how far it has
    brought each log. `now` gives Unix seconds."""

    def __init__(self, region: str, view: View, reader: Reader, now: Callable[[], float]) -> None:
        self._region, self._view, self._reader, self._now = region, view, reader, now
        self._read_at = 0.0
        self.brought: dict[Origin, int] = {}
        self.flows = False
        self.read_once = asyncio.Event()

    async def run(self, connection: Connection) -> None:
        """Read on. Raises BackboneUnavailable when the stream is silent."""
        stream = nats_layout.gathered(self._region)
        try:
            async with aclosing(streams.read(connection, self._region, stream, self._since())) as chunks:
                async for chunk in chunks:
                    self.flows = True
                    for delta in await self._reader.take(chunk.kept):
                        self._note(delta)
                    if chunk.end:
                        self.read_once.set()
                    if self.read_once.is_set():
                        self._read_at = self._now()
        finally:
            self.flows = False

    def _note(self, delta: Delta) -> None:
        (batch,) = delta.batches
        self.brought[batch.origin] = max(batch.last, self.brought.get(batch.origin, 0))

    def _since(self) -> float:
        """When this node last knew what its region gathered. By time and not by place: a stream that was lost counts
        from 1 again, and what is read twice is known."""
        replica = self._view.replica
        last_applied = max((replica.applied(origin)[1] for origin in replica.heads()), default=0.0)
        return min(self._read_at or last_applied, self._now())
