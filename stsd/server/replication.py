"""The shell around the replica: journal, peers and clock. Decides nothing; does what a Ready says, in its order.

A revocation is journaled (with group commit: what waits together is synced together), then enforced, then pushed to
every peer, then answered; an answer waits at most COPY_TIMEOUT_S for a second disk, or as long as it was asked to for
all of them. Each second the staleness of every origin is looked at, and a change is logged. A journal that cannot be
written refuses revocations and keeps enforcing what peers send (contract 10).

Peers come and go with the peer set: who left is not waited for any longer. A node that was removed itself takes no
revocations, because nobody would hear of them.

A damaged row of the journal is never applied: it is reported, removed, and asked for again. A fork is reported once
and kept with its proof. What is refused changes nothing, is counted, and is named in the log.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from stsd.config import ConfigError
from stsd.errors import ServiceUnavailable
from stsd.revocation import codec, entries
from stsd.revocation.identity import Identities, Signer
from stsd.revocation.messages import (
    Batch,
    Delta,
    Digest,
    Fetch,
    Message,
    Origin,
    PeerNews,
    Ready,
    Sent,
    new_incarnation,
)
from stsd.revocation.pruning import Pruning
from stsd.revocation.replica import DIGEST_INTERVAL_S, Replica, ReplicaError
from stsd.revocation.revocation_set import Revocation, RevocationSet
from stsd.revocation.staleness import Alarms, Level
from stsd.server import rows
from stsd.server.backbone import Backbone, BackboneUnavailable, by_message
from stsd.server.clock import Clock, entropy
from stsd.server.copies import Receipts, Recorded
from stsd.server.group_commit import GroupCommit
from stsd.server.journal import Journal, JournalConflict, JournalError
from stsd.server.keeper import Keeper
from stsd.server.log import EventLog
from stsd.server.membership import Membership
from stsd.server.pruner import Pruner
from stsd.server.snapshots import SnapshotKeeper
from stsd.tokens.cache import VerifiedTokens
from stsd.view import View

FIRST_EXCHANGE_S = 1.0
ALIVE_INTERVAL_S = 10.0
"""How often the journal notes that this node lives: after a restart, what was not heard counts from the last note."""
STALENESS_EVENTS: Mapping[Level, str] = {
    "soft": "staleness_soft",
    "hard": "staleness_hard",
    "fresh": "staleness_recovered",
}
PRUNING = Pruning(entries.entry_over_at, entries.TAIL_S)
NODE_NAME = "1"
"""A region has one node; the name leaves room for more."""


class Replicator:
    """Runs one node's replica. `view.replica` and `view.revocations` are replaced by a reset."""

    def __init__(
        self,
        journal: Journal,
        backbone: Backbone,
        view: View,
        clock: Clock,
        log: EventLog,
        *,
        signer: Signer,
        cluster_key: bytes,
        membership: Membership,
    ) -> None:
        self._signer, self._cluster_key, self._membership = signer, cluster_key, membership
        membership.changed = self._regroup
        self.on_refused: Callable[[str], None] = lambda reason: None
        self._journal, self._backbone, self._view, self._clock, self._log = journal, backbone, view, clock, log
        self._storing = asyncio.Lock()
        self._commits = GroupCommit(self._commit, self._not_stored)
        self._keeper = Keeper(journal, self._event)
        self._receipts = Receipts(view)
        self._pruner = Pruner(journal, view, clock, self._storing, lambda count: self._event("pruned", batches=count))
        self.snapshots = SnapshotKeeper(backbone, view, self._deliver, self._event)
        self._tasks: list[asyncio.Task[None]] = []
        self._offers: set[asyncio.Task[None]] = set()
        self._orphans: list[Batch] = []
        self._alarms = Alarms(view.limits)
        self._told_joined = False
        self._alive_at = 0.0
        self.follows_resets = False
        self.changed: Callable[[], None] = lambda: None
        """Called when readers of the feed have something new to hear."""

    async def restore(self, *, founding: bool, epoch: int = 0) -> None:
        """Read the journal into the replica; a new one is of a node that founds its cluster, or came to it in this
        epoch. Raises ConfigError when it is not readable."""
        meta = await self._journal.meta()
        if "incarnation" not in meta:
            meta |= {"incarnation": new_incarnation(entropy), "epoch": str(epoch), "joined": str(int(founding))}
            meta["region"] = self._view.region
            await self._journal.set_meta(**meta)
        if self.follows_resets:
            self._clock.offset_s = float(meta.get("clock_offset_s", 0))
        if meta.setdefault("region", self._view.region) != self._view.region:
            raise ConfigError(f"--region: the data directory is of region {meta['region']}, not {self._view.region}")
        self._told_joined = meta["joined"] == "1"
        incarnation, epoch = meta["incarnation"], int(meta["epoch"])
        identities = Identities(self._cluster_key, epoch, self._membership.peers.limit)
        identities.restore(map(rows.announcement, await self._journal.identities()))
        own_key = identities.get(Origin(self._view.region, NODE_NAME, incarnation))
        if own_key not in (None, self._signer.public_key):
            incarnation = await self._new_incarnation("identity_replaced")
        heard_at = float(meta.get("alive_at", self._clock.wall()))
        self._begin(incarnation, epoch, identities, joined=self._told_joined, heard_at=heard_at)
        batches, damaged = await self._keeper.whole_batches()
        forks = list(map(rows.fork, await self._journal.forks()))
        checkpoint, forged = await self._keeper.genuine_checkpoint(identities)
        replica = self._view.replica
        self._apply(replica.restore(batches, forks, checkpoint, damaged=damaged or forged))
        self._orphans += replica.regroup(self._backbone.peers, heard_at)
        if damaged or forged:
            await self._renew(replica, "damaged")
        await self._keeper.keep_identities(identities.announcements())

    def start(self) -> None:
        """Begin to write, to talk to peers and to tick."""
        self._backbone.tail(self._deliver, self.on_refused)
        snapshots = self.snapshots.run(empty=not self._view.replica.heads())
        jobs = (self._commits.run(), self._tick(), self._pruner.run(), snapshots)
        self._tasks = [asyncio.create_task(job) for job in jobs]

    async def first_exchange(self) -> None:
        """Wait until every peer that answers has told what it knows, but not for long: others may be away for ever."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FIRST_EXCHANGE_S):
                await self._backbone.meet()

    async def stop(self) -> None:
        """Stop; what was acknowledged is on disk. Who waits for receipts is answered now."""
        self._receipts.stop()
        await self._backbone.stop()
        tasks = [*self._tasks, *self._offers]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # Writing.

    async def revoke(self, revocation: Revocation, wait_s: float | None = None) -> Recorded:
        """Store, enforce and push a revocation; then wait for a second disk, or `wait_s` seconds for every peer's.

        Raises ServiceUnavailable when it cannot be stored, or nobody would hear of it.
        """
        if self._membership.left:
            raise ServiceUnavailable("This node was removed from its cluster", reason="left")
        sequence = await self._commits.store(entries.encode_revocation(revocation))
        return await self._receipts.recorded(sequence, wait_s)

    def _not_stored(self, error: Exception) -> None:
        self._event("revocation_not_stored", reason=type(error).__name__, detail=str(error))

    async def _commit(self, group: Sequence[bytes]) -> int:
        """One group, synced before it is enforced and told; its first sequence. Raises JournalError."""
        async with self._storing:
            return await self._commit_alone(group)

    async def _commit_alone(self, group: Sequence[bytes]) -> int:
        replica = self._view.replica
        if replica.overtaken:
            await self._renew(replica, "overtaken")
        try:
            batch = await self._append(replica, group)
        except JournalConflict:
            await self._renew(replica, "conflict")
            batch = await self._append(replica, group)
        ready = replica.committed(batch, self._clock.wall())
        self._apply(ready.applied)
        self.changed()
        self._send(ready.send)
        return batch.first

    async def _append(self, replica: Replica, group: Sequence[bytes]) -> Batch:
        batch = replica.append(group, self._clock.wall())
        try:
            await self._journal.append(rows.of_batch(batch))
        except BaseException:
            replica.abandon(batch)
            raise
        return batch

    async def _renew(self, replica: Replica, reason: str) -> None:
        """Go on under a new incarnation, as after an empty disk: no sequence of the old one can mean two things."""
        replica.renew(await self._new_incarnation(reason))
        await self._keeper.keep_identities([replica.identities.announce(replica.origin, self._signer)])
        await self._write_anew(replica)

    async def _write_anew(self, replica: Replica) -> None:
        """What our former incarnations wrote and others may never get. Raises JournalError: the rest waits."""
        for batch in replica.orphans(min(self._clock.wall(), self._clock.service())):
            ready = replica.committed(await self._append(replica, batch.entries), self._clock.wall())
            self._send(ready.send)

    async def _new_incarnation(self, reason: str) -> str:
        incarnation = new_incarnation(entropy)
        await self._journal.set_meta(incarnation=incarnation)
        self._event("incarnation_renewed", reason=reason, incarnation=incarnation)
        return incarnation

    async def reset(self, epoch: int) -> None:
        """Back to the world (contract 8). An epoch that is not above the present one was already followed."""
        async with self._storing:
            if epoch <= self._view.replica.epoch:
                return
            incarnation = new_incarnation(entropy)
            await self._journal.reset(incarnation=incarnation, epoch=str(epoch), joined="1", clock_offset_s="0")
            self._clock.offset_s = 0.0
            self._orphans.clear()
            identities = Identities(self._cluster_key, epoch, self._membership.peers.limit)
            self._begin(incarnation, epoch, identities, joined=True, heard_at=self._clock.wall())
            await self._keeper.keep_identities(identities.announcements())
            self._receipts.look()
            self.changed()
            self._event("reset", epoch=epoch, incarnation=incarnation)

    def _begin(self, incarnation: str, epoch: int, identities: Identities, *, joined: bool, heard_at: float) -> None:
        """`heard_at`: since when a peer that is not heard of counts as unheard (staleness)."""
        view = self._view
        origin = Origin(view.region, NODE_NAME, incarnation)
        view.replica = Replica(
            origin,
            self._backbone.peers,
            heard_at,
            signer=self._signer,
            identities=identities,
            epoch=epoch,
            joined=joined,
            pruning=PRUNING,
        )
        view.revocations = RevocationSet()
        view.tokens = VerifiedTokens(view.keys)

    async def move_clock(self, offset_s: float) -> None:
        """Let service time jump, for restarts too: what was forgotten as over may apply again, so the set is made
        anew (contract 8). Raises JournalError."""
        await self._journal.set_meta(clock_offset_s=str(offset_s))
        self._clock.offset_s = offset_s
        self._view.revocations = RevocationSet()
        self._apply(self._view.replica.seen())

    # Talking.

    async def answer(self, peer: str, message: Sent) -> list[Sent]:
        """Take in a peer's message; what it is answered at once."""
        if isinstance(message, PeerNews):
            return await self._hear(peer, message)
        answers: list[Sent] = []
        others: list[tuple[str, Message]] = []
        for to, reply in await self._take(peer, message):
            if to == peer:
                answers.append(reply)
            else:
                others.append((to, reply))
        self._send(others)
        if isinstance(message, Digest):  # so that who has just started need not wait for our next tick
            answers.append(self._view.replica.digest())
        return answers

    async def _deliver(self, peer: str, message: Sent) -> None:
        if isinstance(message, PeerNews):
            self._send([(peer, news) for news in await self._hear(peer, message)])
        else:
            self._send(await self._take(peer, message))

    async def _hear(self, peer: str, news: PeerNews) -> list[Sent]:
        """A peer told what it knows of the peer set; the answer is what it lacks."""
        try:
            lacks = await self._membership.hear(news, lambda reason: self._note_refusal(reason, peer))
        except OSError as error:
            self._event("peer_set_not_stored", detail=str(error))
            return []
        return [self._membership.news(self._view.replica.epoch, whole=True)] if lacks else []

    def _note_refusal(self, reason: str, peer: str) -> None:
        self.on_refused(reason)
        self._event("peer_record_refused", reason=reason, peer=peer)

    def _regroup(self) -> None:
        """The peer set grew: all are told at once, even who left, or whom we left."""
        news = self._membership.news(self._view.replica.epoch, whole=True)
        self._backbone.regroup(news)
        self._backbone.tell(self._backbone.peers, news)
        self._orphans += self._view.replica.regroup(self._backbone.peers, self._clock.wall())
        self._receipts.look()
        if self._membership.left:
            self._event("removed_from_cluster")

    async def _take(self, peer: str, message: Message) -> list[tuple[str, Message]]:
        """Apply at once, then save, then tell: what was told must survive a crash."""
        replica = self._view.replica
        ready = replica.receive(peer, message, self._clock.wall())
        self._receipts.look()
        for reason, origin in ready.refused:
            self.on_refused(reason)
            self._event("peer_message_refused", reason=reason, peer=peer, origin=str(origin))
        if ready.newer_epoch is not None:
            await self._follow(ready.newer_epoch, peer)
            return []
        self._apply(ready.applied)
        await self._keeper.keep_identities(ready.identities)
        await self._keeper.keep_forks(ready.forks)
        send = list(ready.send)
        if ready.stores:
            async with self._storing:
                if self._view.replica is not replica:
                    return []
                try:
                    await self._keep(replica, ready)
                except JournalError as error:
                    replica.failed(ready)
                    self._event("journal_failed", detail=str(error))
                    return send
            send += replica.saved(ready, self._clock.wall()).send
            self.changed()
        return send

    async def _keep(self, replica: Replica, ready: Ready) -> None:
        """Store what came from others. Raises JournalError."""
        checkpoint = replica.checkpoint() if ready.adopted else None
        body = None if checkpoint is None else codec.encode_checkpoint(checkpoint)
        await self._journal.keep([rows.of_batch(batch) for batch in ready.save], body)

    async def _follow(self, epoch: int, peer: str) -> None:
        """A peer was reset while we were away: follow it, if resets are allowed here at all."""
        if self.follows_resets:
            await self.reset(epoch)
        else:
            self._event("peer_of_another_epoch", peer=peer, epoch=epoch)

    def _send(self, messages: Iterable[tuple[str, Sent]]) -> None:
        for message, peers in by_message(messages):
            match message:
                case Delta(part="push"):
                    offer = asyncio.create_task(self._offer(message))
                    self._offers.add(offer)
                    offer.add_done_callback(self._offers.discard)
                case Fetch():
                    for peer in peers:
                        self._backbone.fetch(peer, message)
                case _:
                    self._backbone.tell(peers, message)

    async def _offer(self, push: Delta) -> None:
        """What nobody takes now is asked for after a later exchange of heads."""
        with contextlib.suppress(BackboneUnavailable):
            await self._backbone.append(push)

    async def _tick(self) -> None:
        while True:
            replica = self._view.replica
            ready = replica.tick(self._clock.wall())
            self._send(ready.send)
            self._backbone.tell(self._backbone.peers, self._membership.news(replica.epoch))
            self._view.revocations.forget(self._clock.service())
            self._look_at_staleness()
            async with self._storing:
                await self._catch_up_on_storing(replica, ready)
            await asyncio.sleep(DIGEST_INTERVAL_S)

    def _look_at_staleness(self) -> None:
        """An event when an origin becomes stale, staler, or fresh again (design 2.3); none before every peer that
        answers was heard, because a node that has just started knows nothing new."""
        if not self._backbone.met:
            return
        for origin, level, age_s in self._alarms.changes(self.staleness()):
            self._event(STALENESS_EVENTS[level], origin=origin, staleness_s=round(age_s, 1))

    async def _catch_up_on_storing(self, replica: Replica, ready: Ready) -> None:
        """Store once more what could not be stored, and that this node has caught up once."""
        if self._view.replica is not replica:
            return
        try:
            if replica.overtaken:
                await self._renew(replica, "overtaken")
            await self._adopt()
            await self._write_anew(replica)
            await self._keep(replica, ready)
            if replica.joined and not self._told_joined:
                await self._journal.set_meta(joined="1")
                self._told_joined = True
            if self._clock.wall() - self._alive_at >= ALIVE_INTERVAL_S:
                self._alive_at = self._clock.wall()
                await self._journal.set_meta(alive_at=str(self._alive_at))
        except (JournalError, ReplicaError):
            replica.failed(ready)
        else:
            replica.saved(ready, self._clock.wall())

    async def _adopt(self) -> None:
        """Say ourselves what a node that left had said beyond its limit, and nobody else may believe any more. Raises
        JournalError."""
        while self._orphans and not self._membership.left:
            batch = self._orphans[0]
            await self._commit_alone(batch.entries)
            await self._journal.drop([(str(batch.origin), batch.first)])
            self._orphans.pop(0)
            self._event("revocations_adopted", origin=str(batch.origin), sequence=batch.first)

    def _apply(self, batches: Iterable[Batch]) -> None:
        """Enforce at once. An entry of a kind that this version does not know is kept, relayed and reported."""
        now, revocations = self._clock.service(), self._view.revocations
        for batch in batches:
            unknown = revocations.unknown
            for entry in batch.entries:
                revocations.add(entries.decode_revocation(entry), batch.origin.region, now)
            if revocations.unknown > unknown:
                count = revocations.unknown - unknown
                self._event("revocations_of_unknown_kind", origin=str(batch.origin), sequence=batch.first, count=count)

    # Telling.

    def staleness(self) -> dict[str, float]:
        """Seconds by origin; a peer never heard of is named by its region alone."""
        now, replica = self._clock.wall(), self._view.replica
        return {str(origin): age for origin, age in replica.staleness(now).items()} | replica.unheard(now)

    def counts(self) -> dict[str, int]:
        """Known revocations by origin."""
        replica = self._view.replica
        return {str(replica.origin): 0} | {str(origin): head for origin, head in replica.heads().items()}

    def behind(self) -> dict[str, int]:
        """How many entries of each origin others have told of that are not applied here."""
        applied = self._view.replica.applied
        told = self._backbone.heads().items()
        return {str(origin): max(0, head.sequence - applied(origin)[0]) for origin, head in told}

    def _event(self, event: str, **members: Any) -> None:
        self._log.emit(self._clock.wall(), {"event": event, **members})
