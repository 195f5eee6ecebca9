"""What the journal keeps beside batches in order: keys, proofs of forks, and what it says of its own damage.

None of it stops the node: what cannot be stored is reported, and heard again from peers after the next start.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from stsd.revocation import codec
from stsd.revocation.identity import Identities
from stsd.revocation.messages import Announcement, Batch, Checkpoint, Fork
from stsd.revocation.replica import fault_of_checkpoint
from stsd.server import rows
from stsd.server.journal import Journal, JournalError


class Report(Protocol):
    """Writes an event of the log."""

    def __call__(self, event: str, **members: Any) -> None:
        """Its name, and its members."""


class Keeper:
    """The journal of one node, with somebody to tell."""

    def __init__(self, journal: Journal, report: Report) -> None:
        self._journal, self._report = journal, report

    async def whole_batches(self) -> tuple[list[Batch], bool]:
        """The batches of the journal, and whether some were damaged: those are told and removed."""
        batches, damaged = rows.batches(await self._journal.rows())
        for origin, first in damaged:
            self._report("journal_damaged", origin=origin, sequence=first)
        if damaged:
            await self._journal.drop(damaged)
        return batches, bool(damaged)

    async def genuine_checkpoint(self, identities: Identities) -> tuple[Checkpoint | None, bool]:
        """Where the logs begin, and whether that was damaged: then it is told and removed, and peers know it too."""
        body = await self._journal.checkpoint()
        if body is None:
            return None, False
        try:
            checkpoint = codec.decode_checkpoint(body)
            fault = fault_of_checkpoint(identities, checkpoint)
        except codec.CodecError as error:
            fault = error.reason
        if not fault:
            return checkpoint, False
        self._report("journal_damaged", origin="checkpoint", reason=fault)
        await self._journal.drop_checkpoint()
        return None, True

    async def keep_identities(self, announced: Sequence[Announcement]) -> None:
        """Keys heard of for the first time."""
        if announced:
            try:
                await self._journal.keep_identities(list(map(rows.of_announcement, announced)))
            except JournalError as error:
                self._report("journal_failed", detail=str(error))

    async def keep_forks(self, forks: Sequence[Fork]) -> None:
        """An alarm for each origin that wrote two histories; the proof is kept."""
        for fork in forks:
            self._report("origin_forked", origin=str(fork.origin), sequence=fork.other.first)
            try:
                await self._journal.keep_forks([rows.of_fork(fork)])
            except JournalError as error:
                self._report("journal_failed", detail=str(error))
