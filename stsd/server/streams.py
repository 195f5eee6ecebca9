"""GET /v1/revocations as server-sent events (WHATWG HTML, 9.2): what follows the cursor, then every revocation as it
comes, and a heartbeat each second.

| event | data |
|---|---|
| `revocations` | `{"revocations": […]}`, as in a page |
| `heartbeat` | `{"staleness_ms", "elapsed_ms"}`: how old this node's knowledge is, and the age of this stream |

The id of every event is the cursor that follows it, so that a reader goes on with `Last-Event-ID` or `?after=`. A
heartbeat comes only when everything before it was told, so its staleness is the reader's too. A cursor of another
epoch means that what was read before is gone (contract 8).

No reader costs the others anything: at most MAX_STREAMS, and a page for who comes then and accepts one; pages of
PAGE_ENTRIES with a pause after each; readers that have come equally far share one encoding; what comes within GATHER_S
goes in one event; a slow one is disconnected (stsd.server.http). A stream ends after MAX_STREAM_S, so that clocks of
both ends cannot drift apart on it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from time import monotonic

import orjson

from stsd.revocation import feed
from stsd.revocation.replica import Replica
from stsd.server.clock import Clock
from stsd.view import View

MAX_STREAMS = 256
PAGE_ENTRIES = 250
HEARTBEAT_S = 1.0
GATHER_S = 0.02
MAX_STREAM_S = 600.0
MAX_SHARED_PAGES = 64


class Streams:
    """The open streams of one node."""

    def __init__(self, view: View, clock: Clock) -> None:
        self._view, self._clock = view, clock
        self._open = 0
        self._closed = False
        self._news = asyncio.Event()
        self._replica = view.replica
        self._pages: dict[str, tuple[bytes, str]] = {}
        self._fresh = (monotonic(), view.replica.oldest_staleness(clock.wall()))

    @property
    def full(self) -> bool:
        """Whether one more would be too many."""
        return self._open >= MAX_STREAMS

    def changed(self) -> None:
        """There is something new to tell."""
        self._news.set()
        self._news = asyncio.Event()

    def close(self) -> None:
        """End every stream after its present event."""
        self._closed = True
        self.changed()

    async def events(self, cursor: str) -> AsyncGenerator[bytes, None]:
        """The events after `cursor`, which is one (`feed.check`) or empty."""
        self._open += 1
        try:
            started = beat_at = monotonic()
            while not self._closed and beat_at - started < MAX_STREAM_S:
                news = self._news  # before looking, so that nothing which comes meanwhile is missed
                told, cursor = self._page(cursor)
                if told:
                    yield told
                    await asyncio.sleep(0)
                    continue
                now = monotonic()
                if now >= beat_at:
                    yield self._heartbeat(cursor, now - started)
                    beat_at = now + HEARTBEAT_S
                with suppress(TimeoutError):
                    async with asyncio.timeout(beat_at - now):
                        await news.wait()
                        await asyncio.sleep(GATHER_S)
        finally:
            self._open -= 1

    def _page(self, cursor: str) -> tuple[bytes, str]:
        """The next event, empty when there is nothing to tell, and the cursor that follows."""
        replica = self._view.replica
        if replica is not self._replica:
            self._replica, self._pages = replica, {}
        known = self._pages.get(cursor)
        if known is not None:
            return known
        page = feed.after(replica, cursor, PAGE_ENTRIES)
        if not page.revocations:
            return b"", page.cursor
        encoded = _event("revocations", page.cursor, {"revocations": page.revocations})
        if len(self._pages) >= MAX_SHARED_PAGES:
            del self._pages[next(iter(self._pages))]
        self._pages[cursor] = (encoded, page.cursor)
        return self._pages[cursor]

    def _heartbeat(self, cursor: str, elapsed_s: float) -> bytes:
        told = {"staleness_ms": self.staleness_ms(), "elapsed_ms": int(elapsed_s * 1000)}
        return _event("heartbeat", cursor, told)

    def staleness_ms(self) -> int:
        """How old is what a reader knows that has read everything."""
        return int(self._staleness_s(self._view.replica) * 1000)

    def _staleness_s(self, replica: Replica) -> float:
        """The node's staleness; it goes on growing while something is enforced here that the feed cannot tell yet,
        because the journal has not stored it."""
        now = monotonic()
        if replica.all_told:
            self._fresh = (now, replica.oldest_staleness(self._clock.wall()))
        at, staleness_s = self._fresh
        return staleness_s + now - at


def _event(name: str, cursor: str, data: object) -> bytes:
    return f"id: {cursor}\nevent: {name}\ndata: ".encode() + orjson.dumps(data) + b"\n\n"
