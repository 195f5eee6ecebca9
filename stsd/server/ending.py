"""How a node's process is told to end, and how long it goes on serving then.

SIGTERM asks it to drain: others shall see that it is not ready before it stops to listen. SIGINT comes from who sits in
front of it and does not want to wait; a second signal of either kind ends the drain.
"""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress


class Ending:
    """`told` is set by the first signal."""

    def __init__(self) -> None:
        self.told = asyncio.Event()
        self._at_once = asyncio.Event()

    def listen(self) -> None:
        """Take SIGINT and SIGTERM from now on, in the running event loop."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.signalled, number)

    def signalled(self, number: signal.Signals) -> None:
        """The process got this signal."""
        if number == signal.SIGINT or self.told.is_set():
            self._at_once.set()
        self.told.set()

    async def drained(self, drain_s: float) -> None:
        """Wait for `drain_s` seconds, or until it has to end at once."""
        with suppress(TimeoutError):
            async with asyncio.timeout(drain_s):
                await self._at_once.wait()
