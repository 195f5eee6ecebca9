"""How many disks have a revocation, and the wait for their receipts: who lacks it is told, not hidden (design 0.1)."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass

from stsd.revocation.messages import Origin
from stsd.revocation.replica import Replica
from stsd.view import View

COPY_TIMEOUT_S = 0.3


@dataclass(frozen=True, slots=True)
class Recorded:
    """A revocation that is on disk: the origin and sequence that name it, and which regions have it durably."""

    origin: Origin
    sequence: int
    token: str
    confirmed: tuple[str, ...]
    lagging: tuple[str, ...]

    @property
    def copies(self) -> int:
        """How many disks have it."""
        return len(self.confirmed)


class Receipts:
    """Wakes who waits when a peer has said something."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._news = asyncio.Event()
        self._stopping = False

    def look(self) -> None:
        """A peer has said something or is gone, or a reset took the log away."""
        self._news.set()

    def stop(self) -> None:
        """Answer who waits now: no receipt will come any more."""
        self._stopping = True
        self._news.set()

    async def recorded(self, sequence: int, wait_s: float | None) -> Recorded:
        """Wait for a second disk, or `wait_s` seconds for every peer's. Who leaves meanwhile is not waited for."""
        replica = self._view.replica
        origin, most = replica.origin, 1 if wait_s is None else None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(COPY_TIMEOUT_S if wait_s is None else wait_s):
                while len(replica.holders(sequence, origin)) < len(replica.peers[:most]) and not self._given_up(
                    replica
                ):
                    self._news.clear()
                    await self._news.wait()
        holders = replica.holders(sequence, origin)
        lagging = tuple(peer for peer in replica.peers if peer not in holders)
        return Recorded(origin, sequence, replica.token(sequence), (origin.region, *holders), lagging)

    def _given_up(self, replica: Replica) -> bool:
        """Whether this node stops, or a reset took the log away."""
        return self._stopping or self._view.replica is not replica
