"""What a node writes itself: revocations, used MFA codes, and what former incarnations or lost nodes can say no more.

A revocation is journaled (with group commit: what waits together is synced together), then enforced, then pushed to
every peer, then answered; an answer waits at most COPY_TIMEOUT_S for a second disk, or as long as it was asked to for
all of them. A node that was removed from its cluster takes none, because nobody would hear of them. A used MFA code
goes the same way and waits for no other disk; a refused one is of interest here alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from itertools import chain

from stsd.errors import ServiceUnavailable
from stsd.mfa import Failed, Verdict
from stsd.revocation import entries
from stsd.revocation.identity import Signer
from stsd.revocation.messages import Batch, new_incarnation
from stsd.revocation.replica import Replica
from stsd.revocation.revocation_set import Revocation
from stsd.server import rows
from stsd.server.clock import Clock, entropy
from stsd.server.copies import Receipts, Recorded
from stsd.server.effects import Effects
from stsd.server.group_commit import GroupCommit, groups
from stsd.server.journal import Journal, JournalConflict, JournalError
from stsd.server.keeper import Keeper
from stsd.server.membership import Membership
from stsd.view import View


class Writing:
    """The own log of one node. `storing` orders what is stored; `changed` is called when something was written."""

    def __init__(
        self,
        journal: Journal,
        view: View,
        clock: Clock,
        effects: Effects,
        *,
        signer: Signer,
        membership: Membership,
        storing: asyncio.Lock,
        changed: Callable[[], None],
    ) -> None:
        self._journal, self._view, self._clock, self._effects = journal, view, clock, effects
        self._signer, self._membership, self._storing, self._changed = signer, membership, storing, changed
        self._keeper = Keeper(journal, effects.report)
        self._commits = GroupCommit(self._commit, self._not_stored)
        self.receipts = Receipts(view)
        self.inherited: list[Batch] = []
        """What nodes that left had said beyond their limits or behind a gap, to be said by this one."""

    async def run(self) -> None:
        """Store what is asked for, for ever."""
        await self._commits.run()

    async def revoke(self, revocation: Revocation, wait_s: float | None = None) -> Recorded:
        """Store, enforce and push a revocation; then wait for a second disk, or `wait_s` seconds for every peer's.

        Raises ServiceUnavailable when it cannot be stored, or nobody would hear of it.
        """
        sequence = await self._store(entries.encode_revocation(revocation))
        return await self.receipts.recorded(sequence, wait_s)

    async def keep_code(self, verdict: Verdict) -> None:
        """Store what became of an MFA code, and push that one was used. Raises ServiceUnavailable when it cannot be
        stored: then the code is as good as before."""
        if isinstance(verdict, Failed):
            try:
                await self._journal.keep_failed_code(verdict)
            except JournalError as error:
                self._not_stored(error)
                raise ServiceUnavailable("The attempt could not be stored", reason="journal") from None
            return
        codes = self._view.mfa
        try:
            await self._store(entries.encode_step(verdict))
        except ServiceUnavailable:
            codes.release(verdict)
            raise

    async def _store(self, entry: bytes) -> int:
        """An entry's sequence, once it is on disk. Raises ServiceUnavailable."""
        if self._membership.left:
            raise ServiceUnavailable("This node was removed from its cluster", reason="left")
        return await self._commits.store(entry)

    def _not_stored(self, error: Exception) -> None:
        self._effects.report("change_not_stored", reason=type(error).__name__, detail=str(error))

    async def _commit(self, group: Sequence[bytes]) -> int:
        """One group, synced before it is enforced and told; its first sequence. Raises JournalError."""
        async with self._storing:
            return await self._commit_alone(group)

    async def _commit_alone(self, group: Sequence[bytes]) -> int:
        replica = self._view.replica
        if replica.overtaken:
            await self.renew(replica, "overtaken")
        try:
            batch = await self._append(replica, group)
        except JournalConflict:
            await self.renew(replica, "conflict")
            batch = await self._append(replica, group)
        ready = replica.committed(batch, self._clock.wall())
        self._effects.apply(ready.applied)
        self._changed()
        self._effects.send(ready.send)
        return batch.first

    async def _append(self, replica: Replica, group: Sequence[bytes]) -> Batch:
        batch = replica.append(group, self._clock.wall())
        try:
            await self._journal.append(rows.of_batch(batch))
        except BaseException:
            replica.abandon(batch)
            raise
        return batch

    # Anew.

    async def renew(self, replica: Replica, reason: str) -> None:
        """Go on under a new incarnation, as after an empty disk: no sequence of the old one can mean two things."""
        replica.renew(await self.new_incarnation(reason))
        await self._keeper.keep_identities([replica.identities.announce(replica.origin, self._signer)])
        await self.write_anew(replica)

    async def write_anew(self, replica: Replica) -> None:
        """What our former incarnations wrote and others may never get. Raises JournalError: the rest waits."""
        orphans = replica.orphans(self._earlier())
        for group in groups(chain.from_iterable(batch.entries for batch in orphans)):  # a sync for many, not for each
            ready = replica.committed(await self._append(replica, group), self._clock.wall())
            self._effects.send(ready.send)

    def _earlier(self) -> float:
        """What the earlier of the two clocks calls over is over."""
        return min(self._clock.wall(), self._clock.service())

    async def new_incarnation(self, reason: str) -> str:
        """A fresh one, kept."""
        incarnation = new_incarnation(entropy)
        await self._journal.set_meta(incarnation=incarnation)
        self._effects.report("incarnation_renewed", reason=reason, incarnation=incarnation)
        return incarnation

    async def adopt(self) -> None:
        """Say ourselves what a node that left had said beyond its limit, or behind a gap, and nobody else may hear any
        more. Raises JournalError."""
        if not self._membership.left:
            self.inherited += self._view.replica.stranded(self._earlier())
        while self.inherited and not self._membership.left:
            batch = self.inherited[0]
            region = self._view.region
            said = [entries.said_anew(entry, batch.origin.region, region) for entry in batch.entries]
            for group in groups(said):  # they may be longer now than one batch holds
                await self._commit_alone(group)
            if not self._view.replica.has(batch):  # a higher limit may have made its row count again
                await self._journal.prune([rows.of_batch(batch)])
            self.inherited.pop(0)
            self._effects.report("revocations_adopted", origin=str(batch.origin), sequence=batch.first)
