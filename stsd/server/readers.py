"""GET /v1/revocations: a page from the node, a stream of events, or the compact form, made when it is asked for."""

from __future__ import annotations

import asyncio
from time import monotonic, process_time

from stsd.errors import ServiceUnavailable
from stsd.node import Node
from stsd.operations.v1 import revocations
from stsd.revocation import feed, snapshot
from stsd.revocation.replica import Replica
from stsd.server.clock import Clock
from stsd.server.streams import Streams
from stsd.view import View
from stsd.wire import json_api
from stsd.wire.messages import Request, Response

MAX_SNAPSHOT_AGE_S = 600.0
"""A snapshot is made anew at least this often, so that it forgets what has ended (design 2.2)."""
MAKING_SHARE = 20
"""While revocations come, making snapshots takes at most one part in this many of the time."""


class Snapshots:
    """The compact form of what one node knows; one copy, kept until it is too old."""

    def __init__(self, view: View, clock: Clock) -> None:
        self._view, self._clock = view, clock
        self._making = asyncio.Lock()
        self._made: tuple[bytes, str] = (b"", "")
        self._of: tuple[Replica, str] | None = None
        self._cursor = ""
        self._made_at = self._cost_s = 0.0

    async def get(self) -> tuple[bytes, str]:
        """Bytes and ETag. Whoever asks while it is made waits for it."""
        async with self._making:
            if not self._still_good():
                await self._make()
            return self._made

    def _still_good(self) -> bool:
        age_s = monotonic() - self._made_at
        if self._of != (self._view.replica, self._view.keys.active.kid) or age_s > MAX_SNAPSHOT_AGE_S:
            return False
        return age_s < MAKING_SHARE * self._cost_s or self._cursor == feed.cursor(self._view.replica)

    async def _make(self) -> None:
        view, started = self._view, process_time()
        of, cursor, key = (view.replica, view.keys.active.kid), feed.cursor(view.replica), view.keys.active
        view.revocations.forget(self._clock.service())
        steps = snapshot.encoding(view.revocations, cursor, self._clock.service(), key.kid, key.sign)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                self._made = end.value
                break
            await asyncio.sleep(0)  # requests come between the steps
        self._of, self._cursor, self._made_at = of, cursor, monotonic()
        self._cost_s = process_time() - started


class Readers:
    """The route of the feed."""

    def __init__(self, node: Node, snapshots: Snapshots, streams: Streams, clock: Clock) -> None:
        self._node, self._snapshots, self._streams, self._clock = node, snapshots, streams, clock

    async def get(self, request: Request) -> Response:
        """The feed in the form that is asked for."""
        asked = self._node.ask_feed(request, self._clock.wall())
        if isinstance(asked, Response):
            return asked
        if asked.form == "page":
            return revocations.run(asked, request, self._node.view.replica)
        if asked.form == "compact":
            return revocations.compact(request, *await self._snapshots.get())
        if self._streams.full and asked.or_page:
            staleness = (revocations.STALENESS, str(self._streams.staleness_ms()))
            page = revocations.run(asked, request, self._node.view.replica)
            page.headers = (*page.headers, staleness)
            return page
        if self._streams.full:
            refusal = ServiceUnavailable("Too many streams are open here", reason="streams")
            return json_api.error(refusal, request.id, revocations.OPERATION)
        headers = (("Cache-Control", "no-store"), revocations.VARY)
        return Response(
            200, b"", revocations.EVENTS, headers, "revocations_stream", parts=self._streams.events(asked.cursor)
        )
