"""Answers that are ready in one turn of the event loop, written together.

Writing an answer wakes its client, and an interrupt to another core costs more than the writing: what comes after it
starts with cold caches. So while requests are waiting their answers are held, at most MAX_HELD of them and never
beyond the turn: who sends one request at a time waits for nothing.
"""

from __future__ import annotations

import asyncio

MAX_HELD = 16
"""The first of so many answers waits for the others to be worked out, a millisecond or two; more gain no more."""


class Outbox:
    """What was answered and not written yet, of all connections of one server."""

    __slots__ = ("_held", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._held: list[tuple[asyncio.Transport, bytes]] = []

    def put(self, transport: asyncio.Transport, answer: bytes) -> None:
        """Write `answer` with the others of this turn, after what was put before."""
        self._held.append((transport, answer))
        if len(self._held) == 1:
            self._loop.call_soon(self.flush)
        elif len(self._held) >= MAX_HELD:
            self.flush()

    def flush(self) -> None:
        """Write now."""
        held, self._held = self._held, []
        for transport, answer in held:
            if not transport.is_closing():
                transport.write(answer)
