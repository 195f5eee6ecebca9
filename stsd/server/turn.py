"""What happens in one turn of the event loop: all that arrived is read, then it is answered, then answers are written.

Working on one kind of thing at a time keeps code and data in the processor's caches. Writing is the worst neighbour: it
wakes a client, and an interrupt to another core costs more than the writing. No request is kept beyond the turn, and no
more than MAX_HELD answers are held: who sends one request at a time waits for nothing.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

MAX_HELD = 16
"""The first of so many answers waits for the others to be worked out, a millisecond or two; more gain no more."""


class Waiting(Protocol):
    """A connection with requests that were read."""

    def answer(self) -> None:
        """Answer them, as far as that is possible at once."""

    def abort(self) -> None:
        """End it: it cannot be answered."""


class Turn:
    """Of one server: which connections have read what is not answered yet, and which answers are not written yet.

    While `draining`, each answer ends its connection: none goes the straight path, which keeps them open.
    """

    __slots__ = ("_held", "_loop", "_waiting", "draining")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: list[Waiting] = []
        self._held: list[tuple[asyncio.Transport, bytes]] = []
        self.draining = False

    def wait(self, connection: Waiting) -> None:
        """Have `connection` answer when everything that has arrived is read."""
        self._waiting.append(connection)
        if len(self._waiting) == 1:
            self._loop.call_soon(self._answer)

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

    def finish(self) -> None:
        """Answer and write now."""
        self._answer()
        self.flush()

    def _answer(self) -> None:
        waiting, self._waiting = self._waiting, []
        for connection in waiting:
            try:
                connection.answer()
            except Exception as error:
                # A fault of ours with one request is no reason to leave the others without an answer.
                connection.abort()
                self._loop.call_exception_handler({"message": "a request was not answered", "exception": error})
