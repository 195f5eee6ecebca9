"""Prunes a node's journal while it runs: every ten minutes, or when a hundred thousand entries have come (design 2.2).

A round is many small steps, each one transaction: what is over is deleted, and the checkpoint that says where the logs
begin takes the place of the one before. Between two steps requests are answered and revocations are stored. A round
that the journal did not end, because it cannot be written, is tried again soon: until its rows are gone, nothing of
another history can be stored in their places.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from stsd.revocation import codec
from stsd.server import rows
from stsd.server.clock import Clock
from stsd.server.journal import Journal, JournalError
from stsd.view import View

LOOK_INTERVAL_S = 10.0
ROUND_INTERVAL_S = 600.0
ROUND_ENTRIES = 100_000
PAUSE_S = 0.01
"""After each step, so that a round takes a small part of the time."""

Told = Callable[[int], None]


class Pruner:
    """`storing` orders what is stored; `pruned` hears how many batches a round deleted."""

    def __init__(self, journal: Journal, view: View, clock: Clock, storing: asyncio.Lock, pruned: Told) -> None:
        self._journal, self._view, self._clock, self._storing, self._pruned = journal, view, clock, storing, pruned
        self._round_at = 0.0
        self._entries = 0
        self._ended = True
        """Whether the last round came to its end."""

    async def run(self) -> None:
        """Look for the time of the next round, for ever."""
        while True:
            await asyncio.sleep(LOOK_INTERVAL_S)
            entries = sum(self._view.replica.heads().values())
            now = asyncio.get_running_loop().time()
            due = now - self._round_at >= ROUND_INTERVAL_S or entries - self._entries >= ROUND_ENTRIES
            if due or not self._ended:
                self._round_at, self._entries = now, entries
                await self.round()

    async def round(self) -> None:
        """Delete all that can be deleted now."""
        deleted, more, self._ended = 0, True, False
        try:
            while more:
                dropped, more = await self._step()
                deleted += dropped
                await asyncio.sleep(PAUSE_S)
            self._ended = True
        except JournalError:
            pass  # it is told by whatever else has to be stored; nothing is lost
        if deleted:
            self._pruned(deleted)

    async def _step(self) -> tuple[int, bool]:
        """How many batches one step deleted, and whether there may be more."""
        async with self._storing:
            replica = self._view.replica
            # An entry's end is told by the clock of the service, the age of a batch by the wall's: what the earlier
            # of the two calls over is over.
            pruned = replica.prune(min(self._clock.wall(), self._clock.service()))
            if pruned is None:
                return 0, False
            checkpoint, dropped = pruned.checkpoint, [rows.of_batch(batch) for batch in pruned.dropped]
            try:
                await self._journal.prune(dropped, None if checkpoint is None else codec.encode_checkpoint(checkpoint))
            except BaseException:
                replica.not_pruned(pruned)
                raise
            return len(dropped), pruned.more
