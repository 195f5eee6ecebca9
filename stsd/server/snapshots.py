"""Keeps what this node knows with its backbone, and takes it back when its own disk is empty (design 2.2, 2.6).

A snapshot is what a peer with an empty disk would be answered: keys, our checkpoint, and every batch. So whoever takes
it back needs no peer, believes nothing that is not signed, and treats it as a peer's word.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from stsd.revocation import codec
from stsd.revocation.messages import Delta, Fetch, Message, Origin
from stsd.server.backbone import Backbone, BackboneUnavailable, Deliver
from stsd.server.backbone.sealing import pack, unpack
from stsd.server.keeper import Report
from stsd.view import View
from stsd.wire.envelope import EnvelopeError

INTERVAL_S = 600.0
ENTRIES = 100_000
LOOK_INTERVAL_S = 10.0
ATTEMPTS = 10
ATTEMPT_INTERVAL_S = 1.0
"""A backbone that does not answer in the first seconds is asked no more: by then peers have."""


class SnapshotKeeper:
    """The snapshots of one node."""

    def __init__(self, backbone: Backbone, view: View, deliver: Deliver, report: Report) -> None:
        self._backbone, self._view, self._deliver, self._report = backbone, view, deliver, report
        self.empty = False
        """Whether this node holds nothing and is to take one back."""

    async def run(self) -> None:
        """Take one back if that is wanted, then put one every ten minutes, or after many entries."""
        if self.empty:
            await self.take_back()
            self.empty = False
        kept, kept_at = 0, asyncio.get_running_loop().time()
        while True:
            await asyncio.sleep(LOOK_INTERVAL_S)
            entries, now = sum(self._view.replica.heads().values()), asyncio.get_running_loop().time()
            if entries - kept >= ENTRIES or (entries != kept and now - kept_at >= INTERVAL_S):
                kept, kept_at = entries, now
                await self.put()

    async def put(self) -> None:
        """Keep what is known now; what fails is tried again in ten minutes."""
        try:
            messages = [codec.encode_message(message) async for message in self._messages()]
            await self._backbone.snapshot_put(await asyncio.to_thread(pack, messages))
        except BackboneUnavailable as error:
            self._report("snapshot_not_kept", reason=error.reason)

    async def take_back(self) -> None:
        """Take in the newest snapshot, if there is one."""
        for _ in range(ATTEMPTS):
            try:
                snapshot = await self._backbone.snapshot_get()
                break
            except BackboneUnavailable:
                await asyncio.sleep(ATTEMPT_INTERVAL_S)
        else:
            return
        if snapshot is not None:
            await self._take_in(snapshot)

    async def _take_in(self, snapshot: bytes) -> None:
        own = self._view.region
        try:
            for content in unpack(snapshot):
                await self._deliver(own, codec.decode_message(content))
        except (codec.CodecError, EnvelopeError) as error:
            self._report("snapshot_refused", reason=error.reason)
        else:
            self._report("snapshot_taken_back", entries=sum(self._view.replica.heads().values()))

    async def _messages(self) -> AsyncIterator[Message]:
        """Page after page, as a peer would ask for them; between two pages requests are answered."""
        replica = self._view.replica
        yield Delta(replica.epoch, (), "page", replica.identities.announcements())
        after: dict[Origin, int] = dict.fromkeys(replica.heads(), 0)
        while True:
            answer = replica.receive("", Fetch(replica.epoch, after), 0.0).send
            found = False
            for _, message in answer:
                yield message
                for batch in message.batches if isinstance(message, Delta) else ():
                    if batch.last > after[batch.origin]:  # a proof of a fork comes with every answer
                        after[batch.origin], found = batch.last, True
            if not found:
                return
            await asyncio.sleep(0)
