"""What peers say to a node, and what it answers: applied at once, then saved, then told.

A journal that cannot be written keeps nothing from being enforced (contract 10). What is refused changes nothing, is
counted, and is named in the log.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from stsd.revocation import codec
from stsd.revocation.messages import ClockReading, Digest, Message, PeerNews, Ready, Sent
from stsd.revocation.replica import Replica
from stsd.server import rows
from stsd.server.clock import Clock
from stsd.server.clock_watch import ClockWatch
from stsd.server.copies import Receipts
from stsd.server.effects import Effects
from stsd.server.journal import Journal, JournalError
from stsd.server.keeper import Keeper
from stsd.server.membership import Membership
from stsd.view import View


class Conversation:
    """Of one node. `storing` orders what is stored; `changed` is called when something was stored, `refused` with why
    something changed nothing, and `follow` with an epoch that a peer already lives in."""

    def __init__(
        self,
        journal: Journal,
        view: View,
        clock: Clock,
        effects: Effects,
        *,
        membership: Membership,
        clocks: ClockWatch,
        receipts: Receipts,
        storing: asyncio.Lock,
        changed: Callable[[], None],
        refused: Callable[[str], None],
        follow: Callable[[int, str], Awaitable[None]],
    ) -> None:
        self._journal, self._view, self._clock, self._effects = journal, view, clock, effects
        self._membership, self._clocks, self._receipts, self._storing = membership, clocks, receipts, storing
        self._changed, self._refused, self._follow = changed, refused, follow
        self._keeper = Keeper(journal, effects.report)

    async def answer(self, peer: str, message: Sent) -> list[Sent]:
        """Take in a peer's message; what it is answered at once."""
        if isinstance(message, PeerNews | ClockReading):
            return await self._hear(peer, message)
        answers: list[Sent] = []
        others: list[tuple[str, Message]] = []
        for to, reply in await self.take(peer, message):
            if to == peer:
                answers.append(reply)
            else:
                others.append((to, reply))
        self._effects.send(others)
        if isinstance(message, Digest):  # so that who has just started need not wait for our next tick
            answers.append(self._view.replica.digest())
        return answers

    async def deliver(self, peer: str, message: Sent) -> None:
        """Take in a peer's message; what it is answered goes to it as any other message."""
        if isinstance(message, PeerNews | ClockReading):
            self._effects.send([(peer, answer) for answer in await self._hear(peer, message)])
        else:
            self._effects.send(await self.take(peer, message))

    def refuse(self, reason: str, sender: str) -> None:
        """A message changed nothing. `sender` is a region, or an address where no region can be believed."""
        self._refused(reason)
        self._effects.report("peer_message_refused", reason=reason, peer=sender)

    async def take(self, peer: str, message: Message) -> list[tuple[str, Message]]:
        """Apply at once, then save, then tell: what was told must survive a crash."""
        replica = self._view.replica
        ready = replica.receive(peer, message, self._clock.wall())
        self._receipts.look()
        for reason, origin in ready.refused:
            self._refused(reason)
            self._effects.report("peer_message_refused", reason=reason, peer=peer, origin=str(origin))
        if ready.newer_epoch is not None:
            await self._follow(ready.newer_epoch, peer)
            return []
        self._effects.apply(ready.applied)
        try:
            return [*ready.send, *await self._store(replica, ready)]
        except BaseException:  # a carrier that ends ends what it was delivering, too
            replica.failed(ready)
            raise

    async def _store(self, replica: Replica, ready: Ready) -> tuple[tuple[str, Message], ...]:
        """Store what is new; what is to be told when it is on disk. What is not stored now the next tick stores."""
        await self._keeper.keep_identities(ready.identities)
        await self._keeper.keep_forks(ready.forks)
        if not ready.stores:
            return ()
        async with self._storing:
            if self._view.replica is not replica:
                return ()
            try:
                await self.keep(replica, ready)
            except JournalError as error:
                replica.failed(ready)
                self._effects.report("journal_failed", detail=str(error))
                return ()
        send = replica.saved(ready, self._clock.wall()).send
        self._changed()
        return send

    async def keep(self, replica: Replica, ready: Ready) -> None:
        """Store what came from others and was not forgotten while it waited. Raises JournalError."""
        checkpoint = replica.checkpoint() if ready.adopted else None
        body = None if checkpoint is None else codec.encode_checkpoint(checkpoint)
        await self._journal.keep([rows.of_batch(batch) for batch in ready.save if replica.has(batch)], body)

    async def _hear(self, peer: str, news: PeerNews | ClockReading) -> list[Sent]:
        """A peer told what its clock says, or what it knows of the peer set; the answer to that is what it lacks."""
        if isinstance(news, ClockReading):
            return self._clocks.hear(peer, news)
        try:
            lacks = await self._membership.hear(news, lambda reason: self._note_refusal(reason, peer))
        except OSError as error:
            self._effects.report("peer_set_not_stored", detail=str(error))
            return []
        return [self._membership.news(self._view.replica.epoch, whole=True)] if lacks else []

    def _note_refusal(self, reason: str, peer: str) -> None:
        self._refused(reason)
        self._effects.report("peer_record_refused", reason=reason, peer=peer)
