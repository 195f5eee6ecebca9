"""The shell around the replica: journal, peers and clock. Decides nothing; does what a Ready says, in its order.

What it writes is in `writing`, what it hears in `conversation`, what both do in `effects`. Here it starts from its
journal, ticks, and is reset.

Each second the staleness of every origin is looked at, and a change is logged; clocks are compared (`clock_watch`).
Peers come and go with the peer set: who left is not waited for any longer. A damaged row of the journal is never
applied: it is reported, removed, and asked for again. A fork is reported once and kept with its proof.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from functools import partial

from stsd.config import ConfigError
from stsd.mfa import UsedCodes, Verdict
from stsd.revocation import entries
from stsd.revocation.identity import Identities, Signer
from stsd.revocation.instants import Instants
from stsd.revocation.messages import Origin, Ready, Sent, new_incarnation
from stsd.revocation.pruning import Pruning
from stsd.revocation.replica import DIGEST_INTERVAL_S, Replica, ReplicaError
from stsd.revocation.revocation_set import Revocation, RevocationSet
from stsd.revocation.staleness import Alarms, Level
from stsd.server import rows
from stsd.server.backbone import Backbone
from stsd.server.clock import Clock, entropy
from stsd.server.clock_watch import ClockWatch
from stsd.server.conversation import Conversation
from stsd.server.copies import Recorded
from stsd.server.effects import Effects
from stsd.server.journal import Journal, JournalError
from stsd.server.keeper import Keeper
from stsd.server.log import EventLog
from stsd.server.membership import Membership
from stsd.server.pruner import Pruner
from stsd.server.snapshots import SnapshotKeeper
from stsd.server.tasks import end, keep_doing
from stsd.server.writing import Writing
from stsd.tokens.cache import VerifiedTokens
from stsd.view import View

FIRST_EXCHANGE_S = 1.0
ALIVE_INTERVAL_S = 10.0
"""How often the journal notes that this node lives: after a restart, what was not heard counts from the last note, and
a clock that was set back is known by it."""
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
        self._journal, self._backbone, self._view, self._clock = journal, backbone, view, clock
        self._storing = storing = asyncio.Lock()
        self._effects = effects = Effects(backbone, view, clock, log)
        self._keeper = Keeper(journal, effects.report)
        self.clocks = ClockWatch(backbone, view, clock, effects.report)
        self._writing = Writing(
            journal,
            view,
            clock,
            effects,
            signer=signer,
            membership=membership,
            storing=storing,
            changed=lambda: self.changed(),
        )
        self.conversation = Conversation(
            journal,
            view,
            clock,
            effects,
            membership=membership,
            clocks=self.clocks,
            receipts=self._writing.receipts,
            storing=storing,
            changed=lambda: self.changed(),
            refused=lambda reason: self.on_refused(reason),
            follow=self._follow,
        )
        self._pruner = Pruner(journal, view, clock, storing, lambda count: effects.report("pruned", batches=count))
        self.snapshots = SnapshotKeeper(backbone, view, self.conversation.deliver, effects.report)
        self._tasks: list[asyncio.Task[None]] = []
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
        peers = self._membership.peers
        identities = Identities(self._cluster_key, epoch, peers.limit, left=peers.has_left)
        identities.restore(map(rows.announcement, await self._journal.identities()))
        own_key = identities.get(Origin(self._view.region, NODE_NAME, incarnation))
        if own_key not in (None, self._signer.public_key):
            incarnation = await self._writing.new_incarnation("identity_replaced")
        heard_at = float(meta.get("alive_at", self._clock.wall()))
        self._begin(incarnation, epoch, identities, joined=self._told_joined, heard_at=heard_at)
        batches, damaged = await self._keeper.whole_batches()
        forks = list(map(rows.fork, await self._journal.forks()))
        checkpoint, forged = await self._keeper.genuine_checkpoint(identities)
        replica = self._view.replica
        for failed in await self._journal.failed_codes():
            self._view.mfa.restore(failed)
        self._effects.apply(replica.restore(batches, forks, checkpoint, damaged=damaged or forged))
        self._writing.inherited += replica.regroup(self._backbone.peers, heard_at)
        if damaged or forged:
            await self._writing.renew(replica, "damaged")
        await self._keeper.keep_identities(identities.announcements())

    def start(self) -> None:
        """Begin to write, to talk to peers and to tick."""
        self._backbone.tail(self.conversation.deliver, self.conversation.refuse)
        self.snapshots.empty = not self._view.replica.heads()
        jobs = (self._writing.run, self._tick, self._pruner.run, self.snapshots.run)
        self._tasks = [asyncio.create_task(keep_doing(job, partial(self._failed, job.__qualname__))) for job in jobs]

    def _failed(self, job: str, error: Exception) -> None:
        self._effects.report("job_failed", job=job, reason=type(error).__name__)

    async def first_exchange(self) -> None:
        """Wait until every peer that answers has told what it knows, but not for long: others may be away for ever."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FIRST_EXCHANGE_S):
                await self._backbone.meet()

    async def stop(self) -> None:
        """Stop; what was acknowledged is on disk. Who waits for receipts is answered now."""
        self._writing.receipts.stop()
        await self._backbone.stop()
        await end(self._tasks)
        await self._effects.stop()
        with contextlib.suppress(JournalError):
            await self._journal.set_meta(alive_at=str(self._clock.wall()))

    async def revoke(self, revocation: Revocation, wait_s: float | None = None) -> Recorded:
        """Store, enforce and push a revocation; see Writing."""
        return await self._writing.revoke(revocation, wait_s)

    async def keep_code(self, verdict: Verdict) -> None:
        """Store and push what became of an MFA code; see Writing."""
        await self._writing.keep_code(verdict)

    async def answer(self, peer: str, message: Sent) -> list[Sent]:
        """Take in a peer's message; what it is answered at once."""
        return await self.conversation.answer(peer, message)

    async def reset(self, epoch: int) -> None:
        """Back to the world (contract 8). An epoch that is not above the present one was already followed."""
        async with self._storing:
            if epoch <= self._view.replica.epoch:
                return
            incarnation = new_incarnation(entropy)
            await self._journal.reset(incarnation=incarnation, epoch=str(epoch), joined="1", clock_offset_s="0")
            self._clock.offset_s = 0.0
            self.clocks.moved()
            self._writing.inherited.clear()
            peers = self._membership.peers
            identities = Identities(self._cluster_key, epoch, peers.limit, left=peers.has_left)
            self._begin(incarnation, epoch, identities, joined=True, heard_at=self._clock.wall())
            await self._keeper.keep_identities(identities.announcements())
            self._writing.receipts.look()
            self.changed()
            self._effects.report("reset", epoch=epoch, incarnation=incarnation)

    async def move_clock(self, offset_s: float) -> None:
        """Let service time jump, for restarts too: what was forgotten as over may apply again, so the set is made
        anew (contract 8). Raises JournalError."""
        await self._journal.set_meta(clock_offset_s=str(offset_s))
        self._clock.offset_s = offset_s
        self.clocks.moved()
        self._view.revocations = RevocationSet()
        self._effects.apply(self._view.replica.seen())

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
            is_listed=entries.is_listed,
        )
        view.revocations = RevocationSet()
        view.instants = Instants()
        view.mfa = UsedCodes()
        view.tokens = VerifiedTokens(view.keys)

    async def _follow(self, epoch: int, peer: str) -> None:
        """A peer was reset while we were away: follow it, if resets are allowed here at all."""
        if self.follows_resets:
            await self.reset(epoch)
        else:
            self._effects.report("peer_of_another_epoch", peer=peer, epoch=epoch)

    def _regroup(self) -> None:
        """The peer set grew: all are told at once, even who left, or whom we left."""
        news = self._membership.news(self._view.replica.epoch, whole=True)
        self._backbone.regroup(news)
        self._backbone.tell(self._backbone.peers, news)
        self._writing.inherited += self._view.replica.regroup(self._backbone.peers, self._clock.wall())
        self._writing.receipts.look()
        if self._membership.left:
            self._effects.report("removed_from_cluster")

    # Each second.

    async def _tick(self) -> None:
        while True:
            replica = self._view.replica
            now, wall_now = self._clock.read()
            self._view.instants.look(now, replica.latest_of_region() - wall_now)
            ready = replica.tick(wall_now)
            self.clocks.ask()
            self._effects.send(ready.send)
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
            self._effects.report(STALENESS_EVENTS[level], origin=origin, staleness_s=round(age_s, 1))

    async def _catch_up_on_storing(self, replica: Replica, ready: Ready) -> None:
        """Store once more what could not be stored, and that this node has caught up once."""
        if self._view.replica is not replica:
            return
        try:
            if replica.overtaken:
                await self._writing.renew(replica, "overtaken")
            await self._writing.adopt()
            await self._writing.write_anew(replica)
            await self.conversation.keep(replica, ready)
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

    # Telling.

    def staleness(self) -> dict[str, float]:
        """Seconds by origin; a peer never heard of is named by its region alone."""
        now, replica = self._clock.wall(), self._view.replica
        return {str(origin): age for origin, age in replica.staleness(now).items()} | replica.unheard(now)

    def counts(self) -> dict[str, int]:
        """Known revocations by origin."""
        replica = self._view.replica
        return {str(replica.origin): 0} | {str(origin): found.entries for origin, found in replica.listed().items()}

    def behind(self) -> dict[str, int]:
        """How many entries of each origin others have told of, and can be had, that are not applied here."""
        replica = self._view.replica
        told = replica.obtainable(self._backbone.heads()).items()
        return {str(origin): max(0, place - replica.applied(origin)[0]) for origin, place in told}
