"""What a node does when its replica has decided: enforce, send, report. The order of it is the callers'."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from typing import Any

from stsd.revocation import entries
from stsd.revocation.messages import Batch, Delta, Fetch, Sent
from stsd.server.backbone import Backbone, BackboneUnavailable, by_message
from stsd.server.clock import Clock
from stsd.server.log import EventLog
from stsd.server.tasks import end
from stsd.view import View


class Effects:
    """Of one node."""

    def __init__(self, backbone: Backbone, view: View, clock: Clock, log: EventLog) -> None:
        self._backbone, self._view, self._clock, self._log = backbone, view, clock, log
        self._offers: set[asyncio.Task[None]] = set()

    def apply(self, batches: Iterable[Batch]) -> None:
        """Enforce at once. An entry of a kind that this version does not know is kept, relayed and reported."""
        now, revocations, codes = self._clock.service(), self._view.revocations, self._view.mfa
        for batch in batches:
            unknown = revocations.unknown
            for entry in batch.entries:
                used = entries.decode_step(entry)
                if used is None:
                    revocations.add(entries.decode_revocation(entry), batch.origin.region, now)
                else:
                    codes.add(used, now, here=batch.origin.region == self._view.region)
            if revocations.unknown > unknown:
                count = revocations.unknown - unknown
                self.report("revocations_of_unknown_kind", origin=str(batch.origin), sequence=batch.first, count=count)

    def send(self, messages: Iterable[tuple[str, Sent]]) -> None:
        """Hand messages to the backbone."""
        for message, peers in by_message(messages):
            match message:
                case Delta(part="push"):
                    offer = asyncio.create_task(self._offer(message))
                    self._offers.add(offer)
                    offer.add_done_callback(self._offers.discard)
                case Fetch():
                    for peer in peers:
                        self._backbone.fetch(peer, message)
                case _:
                    self._backbone.tell(peers, message)

    async def _offer(self, push: Delta) -> None:
        """What nobody takes now is asked for after a later exchange of heads."""
        with contextlib.suppress(BackboneUnavailable):
            await self._backbone.append(push)

    def report(self, event: str, **members: Any) -> None:
        """An event of the log."""
        self._log.emit(self._clock.wall(), {"event": event, **members})

    async def stop(self) -> None:
        """Offer nothing any more."""
        await end(self._offers)
