"""The shell around the replica: journal, peers and clock. Decides nothing; does what a Ready says, in its order.

A revocation is journaled (with group commit: what waits together is synced together), then enforced, then pushed to
every peer, then answered; an answer waits at most COPY_TIMEOUT_S for a second disk, or as long as it was asked to for
all of them. Each second the staleness of every origin is looked at, and a change is logged. A journal that cannot be
written refuses revocations and keeps enforcing what peers send (contract 10).

A damaged row of the journal is never applied: it is reported, removed, and asked for again. A fork is reported once
and kept with its proof. What is refused changes nothing, is counted, and is named in the log.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stsd.config import ConfigError
from stsd.errors import ServiceUnavailable
from stsd.revocation import codec
from stsd.revocation.identity import Identities, Signer
from stsd.revocation.messages import (
    MAX_BATCH_BYTES,
    Announcement,
    Batch,
    Digest,
    Fork,
    Message,
    Origin,
    Ready,
    new_incarnation,
)
from stsd.revocation.replica import DIGEST_INTERVAL_S, Replica, whole
from stsd.revocation.revocation_set import Revocation, RevocationSet
from stsd.revocation.staleness import Alarms, Level
from stsd.server.clock import Clock, entropy
from stsd.server.journal import Identity, Journal, JournalConflict, JournalError, Row
from stsd.server.log import EventLog
from stsd.server.peers import PeerLinks, PeerUnavailable
from stsd.tokens.cache import VerifiedTokens
from stsd.view import View
from stsd.wire import envelope

COPY_TIMEOUT_S = 0.3
FIRST_EXCHANGE_S = 1.0
ALIVE_INTERVAL_S = 10.0
"""How often the journal notes that this node lives: after a restart, what was not heard counts from the last note."""
MAX_GROUP = 1_000
MAX_GROUP_BYTES = MAX_BATCH_BYTES // 2
"""Entries of one commit, before base64; one more of the largest still fits into a batch."""
MAX_QUEUED_MESSAGES = 1_000
MAX_CALL_BYTES = envelope.MAX_BYTES // 2
"""What waits for a peer goes in one call up to this size; a message more still fits into an envelope."""
STALENESS_EVENTS: Mapping[Level, str] = {
    "soft": "staleness_soft",
    "hard": "staleness_hard",
    "fresh": "staleness_recovered",
}
CALLS_AT_ONCE = 4
"""To one peer: what is new does not wait until what went before is answered, a round trip later."""
NODE_NAME = "1"
"""A region has one node; the name leaves room for more."""


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


@dataclass(slots=True)
class _Waiting:
    """A revocation that waits for its group commit."""

    entry: bytes
    done: asyncio.Future[int]


class Replicator:
    """Runs one node's replica. `view.replica` and `view.revocations` are replaced by a reset."""

    def __init__(
        self,
        journal: Journal,
        links: PeerLinks,
        view: View,
        clock: Clock,
        log: EventLog,
        *,
        signer: Signer,
        cluster_key: bytes,
    ) -> None:
        self._signer, self._cluster_key = signer, cluster_key
        self.on_refused: Callable[[str], None] = lambda reason: None
        self._journal, self._links, self._view, self._clock, self._log = journal, links, view, clock, log
        self._storing = asyncio.Lock()
        self._wanted: asyncio.Queue[_Waiting] = asyncio.Queue()
        self._outgoing: dict[str, asyncio.Queue[Message]] = {
            peer: asyncio.Queue(MAX_QUEUED_MESSAGES) for peer in links.urls
        }
        self._copied = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._alarms = Alarms(view.limits)
        self._told_joined = False
        self._stopping = False
        self._alive_at = 0.0
        self._calling = dict.fromkeys(links.urls, 0)
        self._unreachable: set[str] = set()
        self._unmet = set(links.urls)
        self._met_all = asyncio.Event()
        if not self._unmet:
            self._met_all.set()
        self.follows_resets = False
        self.changed: Callable[[], None] = lambda: None
        """Called when readers of the feed have something new to hear."""

    async def restore(self, *, founding: bool) -> None:
        """Read the journal into the replica. Raises ConfigError when it is not readable."""
        meta = await self._journal.meta()
        if "incarnation" not in meta:
            meta |= {"incarnation": new_incarnation(entropy), "epoch": "0", "joined": str(int(founding))}
            meta["region"] = self._view.region
            await self._journal.set_meta(**meta)
        if self.follows_resets:
            self._clock.offset_s = float(meta.get("clock_offset_s", 0))
        if meta.setdefault("region", self._view.region) != self._view.region:
            raise ConfigError(f"--region: the data directory is of region {meta['region']}, not {self._view.region}")
        self._told_joined = meta["joined"] == "1"
        incarnation, epoch = meta["incarnation"], int(meta["epoch"])
        identities = Identities(self._cluster_key, epoch)
        identities.restore(map(_announcement, await self._journal.identities()))
        own_key = identities.get(Origin(self._view.region, NODE_NAME, incarnation))
        if own_key not in (None, self._signer.public_key):
            incarnation = await self._new_incarnation("identity_replaced")
        heard_at = float(meta.get("alive_at", self._clock.wall()))
        self._begin(incarnation, epoch, identities, joined=self._told_joined, heard_at=heard_at)
        batches, damaged = await self._whole_rows()
        forks = [_fork(held, other) for held, other in await self._journal.forks()]
        replica = self._view.replica
        self._apply(replica.restore(batches, forks, damaged=damaged))
        if damaged:
            await self._renew(replica, "damaged")
        await self._keep_identities(identities.announcements())

    async def _whole_rows(self) -> tuple[list[Batch], bool]:
        """The batches of the journal, and whether some were damaged: those are told and removed."""
        batches, damaged = [], []
        for origin, first, body in await self._journal.rows():
            try:
                batch = codec.decode_batch(body)
            except codec.CodecError:
                batch = None
            if batch is not None and (str(batch.origin), batch.first) == (origin, first) and whole(batch):
                batches.append(batch)
            else:
                damaged.append((origin, first))
                self._event("journal_damaged", origin=origin, sequence=first)
        if damaged:
            await self._journal.drop(damaged)
        return batches, bool(damaged)

    async def _keep_identities(self, announced: Sequence[Announcement]) -> None:
        """What cannot be stored is heard again from peers after the next start."""
        if announced:
            try:
                await self._journal.keep_identities([(str(a.origin), a.public_key, a.proof) for a in announced])
            except JournalError as error:
                self._event("journal_failed", detail=str(error))

    def start(self) -> None:
        """Begin to write, to talk to peers and to tick."""
        jobs = [self._write(), self._tick(), *(self._talk(peer) for peer in self._links.urls)]
        self._tasks = [asyncio.create_task(job) for job in jobs]

    async def first_exchange(self) -> None:
        """Wait until every peer that answers has told what it knows, but not for long: others may be away for ever."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FIRST_EXCHANGE_S):
                await self._met_all.wait()

    async def stop(self) -> None:
        """Stop; what was acknowledged is on disk. Who waits for receipts is answered now."""
        self._stopping = True
        self._copied.set()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # Writing.

    async def revoke(self, revocation: Revocation, wait_s: float | None = None) -> Recorded:
        """Store, enforce and push a revocation; then wait for a second disk, or `wait_s` seconds for every peer's.

        Raises ServiceUnavailable when it cannot be stored.
        """
        waiting = _Waiting(codec.encode_revocation(revocation), asyncio.get_running_loop().create_future())
        self._wanted.put_nowait(waiting)
        sequence = await waiting.done
        replica = self._view.replica
        origin, token = replica.origin, replica.revocation_token(sequence)
        peers = tuple(self._links.urls)
        wanted = min(1, len(peers)) if wait_s is None else len(peers)
        holders = await self._receipts(replica, origin, sequence, wanted, COPY_TIMEOUT_S if wait_s is None else wait_s)
        lagging = tuple(peer for peer in peers if peer not in holders)
        return Recorded(origin, sequence, token, (origin.region, *holders), lagging)

    async def _receipts(
        self, replica: Replica, origin: Origin, sequence: int, wanted: int, timeout_s: float
    ) -> tuple[str, ...]:
        """The peers that have it durably, when there are `wanted` of them or time is over: who lacks it is told, not
        hidden (design 0.1)."""
        try:
            async with asyncio.timeout(timeout_s):
                while len(replica.holders(sequence, origin)) < wanted and not self._given_up(replica):
                    self._copied.clear()
                    await self._copied.wait()
        except TimeoutError:
            pass
        return replica.holders(sequence, origin)

    def _given_up(self, replica: Replica) -> bool:
        """Whether no receipt will come any more: this node stops, or a reset took the log away."""
        return self._stopping or self._view.replica is not replica

    async def _write(self) -> None:
        while True:
            group = await self._next_group()
            try:
                async with self._storing:
                    first = await self._commit([waiting.entry for waiting in group])
            except Exception as error:
                self._event("revocation_not_stored", reason=type(error).__name__, detail=str(error))
                refusal = ServiceUnavailable("The revocation could not be stored: nothing changed", reason="journal")
                _settle(group, refusal)
            else:
                for number, waiting in enumerate(group):
                    if not waiting.done.done():
                        waiting.done.set_result(first + number)

    async def _next_group(self) -> list[_Waiting]:
        """What waits now, as much as one batch holds."""
        group = [await self._wanted.get()]
        size = len(group[0].entry)
        while len(group) < MAX_GROUP and size < MAX_GROUP_BYTES and not self._wanted.empty():
            group.append(self._wanted.get_nowait())
            size += len(group[-1].entry)
        return group

    async def _commit(self, entries: Sequence[bytes]) -> int:
        """One group, synced before it is enforced and told; its first sequence. Raises JournalError."""
        replica = self._view.replica
        if replica.overtaken:
            await self._renew(replica, "overtaken")
        try:
            batch = await self._append(replica, entries)
        except JournalConflict:
            await self._renew(replica, "conflict")
            batch = await self._append(replica, entries)
        ready = replica.committed(batch, self._clock.wall())
        self._apply(ready.applied)
        self.changed()
        self._send(ready.send)
        return batch.first

    async def _append(self, replica: Replica, entries: Sequence[bytes]) -> Batch:
        batch = replica.append(entries, self._clock.wall())
        try:
            await self._journal.append(_row(batch))
        except BaseException:
            replica.abandon(batch)
            raise
        return batch

    async def _renew(self, replica: Replica, reason: str) -> None:
        """Go on under a new incarnation, as after an empty disk: no sequence of the old one can mean two things."""
        orphans = replica.renew(await self._new_incarnation(reason))
        await self._keep_identities([replica.identities.announce(replica.origin, self._signer)])
        for batch in orphans:
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
            identities = Identities(self._cluster_key, epoch)
            self._begin(incarnation, epoch, identities, joined=True, heard_at=self._clock.wall())
            await self._keep_identities(identities.announcements())
            self._copied.set()
            self.changed()
            self._event("reset", epoch=epoch, incarnation=incarnation)

    def _begin(self, incarnation: str, epoch: int, identities: Identities, *, joined: bool, heard_at: float) -> None:
        """`heard_at`: since when a peer that is not heard of counts as unheard (staleness)."""
        view = self._view
        origin = Origin(view.region, NODE_NAME, incarnation)
        view.replica = Replica(
            origin,
            tuple(self._links.urls),
            heard_at,
            signer=self._signer,
            identities=identities,
            epoch=epoch,
            joined=joined,
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

    async def receive(self, sealed: bytes) -> bytes:
        """A peer's call and our answer. Raises EnvelopeError for what is not authentic, current and well-formed."""
        header, messages = self._links.open(sealed)
        decoded = [codec.decode_message(message) for message in messages]
        answers: list[Message] = []
        for message in decoded:
            for peer, reply in await self._take(header.sender, message):
                if peer == header.sender:
                    answers.append(reply)
                else:
                    self._send(((peer, reply),))
            if isinstance(message, Digest):  # so that who has just started need not wait for our next tick
                answers.append(self._view.replica.digest())
        return self._links.reply(header, [codec.encode_message(answer) for answer in answers])

    async def _take(self, peer: str, message: Message) -> list[tuple[str, Message]]:
        """Apply at once, then save, then tell: what was told must survive a crash."""
        replica = self._view.replica
        ready = replica.receive(peer, message, self._clock.wall())
        self._copied.set()
        for reason, origin in ready.refused:
            self.on_refused(reason)
            self._event("peer_message_refused", reason=reason, peer=peer, origin=str(origin))
        if ready.newer_epoch is not None:
            await self._follow(ready.newer_epoch, peer)
            return []
        self._apply(ready.applied)
        await self._keep_identities(ready.identities)
        await self._report(ready.forks)
        send = list(ready.send)
        if ready.save:
            async with self._storing:
                if self._view.replica is not replica:
                    return []
                try:
                    await self._journal.keep([_row(batch) for batch in ready.save])
                except JournalError as error:
                    replica.failed(ready)
                    self._event("journal_failed", detail=str(error))
                    return send
            send += replica.saved(ready, self._clock.wall()).send
            self.changed()
        return send

    async def _report(self, forks: Sequence[Fork]) -> None:
        """An alarm for each origin that wrote two histories; the proof is kept."""
        for fork in forks:
            self._event("origin_forked", origin=str(fork.origin), sequence=fork.other.first)
            held, other = codec.encode_batch(fork.held), codec.encode_batch(fork.other)
            try:
                await self._journal.keep_forks([(str(fork.origin), held, other)])
            except JournalError as error:
                self._event("journal_failed", detail=str(error))

    async def _follow(self, epoch: int, peer: str) -> None:
        """A peer was reset while we were away: follow it, if resets are allowed here at all."""
        if self.follows_resets:
            await self.reset(epoch)
        else:
            self._event("peer_of_another_epoch", peer=peer, epoch=epoch)

    def _send(self, messages: Iterable[tuple[str, Message]]) -> None:
        for peer, message in messages:
            queue = self._outgoing[peer]
            if not queue.full():  # what is not sent now is asked for after the next exchange of heads
                queue.put_nowait(message)

    async def _talk(self, peer: str) -> None:
        """Send what waits for one peer, a few calls at a time."""
        queue, places = self._outgoing[peer], asyncio.Semaphore(CALLS_AT_ONCE)
        async with asyncio.TaskGroup() as calls:
            while True:
                await places.acquire()
                messages = [codec.encode_message(await queue.get())]
                while not queue.empty() and sum(map(len, messages)) < MAX_CALL_BYTES:
                    messages.append(codec.encode_message(queue.get_nowait()))
                self._calling[peer] += 1
                calls.create_task(self._call(peer, messages)).add_done_callback(lambda _: places.release())

    async def _call(self, peer: str, messages: Sequence[bytes]) -> None:
        """One call and what it is answered."""
        reachable, reason = True, ""
        try:
            for answer in await self._links.call(peer, messages):
                self._send(await self._take(peer, codec.decode_message(answer)))
        except (PeerUnavailable, ValueError) as error:
            reachable, reason = False, str(error)
        self._calling[peer] -= 1
        nothing_asked = self._outgoing[peer].empty() and not self._calling[peer]
        if self._unmet and (not reachable or nothing_asked):
            self._meet(peer)
        if reachable == (peer in self._unreachable):
            self._unreachable ^= {peer}
            self._event("peer_reachable" if reachable else "peer_unreachable", peer=peer, reason=reason)

    def _meet(self, peer: str) -> None:
        """A peer has told everything that it was asked for, or does not answer."""
        self._unmet.discard(peer)
        if not self._unmet:
            self._met_all.set()

    async def _tick(self) -> None:
        while True:
            replica = self._view.replica
            ready = replica.tick(self._clock.wall())
            self._send(ready.send)
            self._view.revocations.forget(self._clock.service())
            self._look_at_staleness()
            async with self._storing:
                await self._catch_up_on_storing(replica, ready)
            await asyncio.sleep(DIGEST_INTERVAL_S)

    def _look_at_staleness(self) -> None:
        """An event when an origin becomes stale, staler, or fresh again (design 2.3); none before every peer that
        answers was heard, because a node that has just started knows nothing new."""
        if self._unmet:
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
            await self._journal.keep([_row(batch) for batch in ready.save])
            if replica.joined and not self._told_joined:
                await self._journal.set_meta(joined="1")
                self._told_joined = True
            if self._clock.wall() - self._alive_at >= ALIVE_INTERVAL_S:
                self._alive_at = self._clock.wall()
                await self._journal.set_meta(alive_at=str(self._alive_at))
        except JournalError:
            replica.failed(ready)
        else:
            replica.saved(ready, self._clock.wall())

    def _apply(self, batches: Iterable[Batch]) -> None:
        """Enforce at once. An entry of a kind that this version does not know is kept, relayed and reported."""
        now = self._clock.service()
        for batch in batches:
            for entry in batch.entries:
                revocation = codec.decode_revocation(entry)
                self._view.revocations.add(revocation, batch.origin.region, now)

    # Telling.

    def staleness(self) -> dict[str, float]:
        """Seconds by origin; a peer never heard of is named by its region alone."""
        now, replica = self._clock.wall(), self._view.replica
        return {str(origin): age for origin, age in replica.staleness(now).items()} | replica.unheard(now)

    def counts(self) -> dict[str, int]:
        """Known revocations by origin."""
        replica = self._view.replica
        return {str(replica.origin): 0} | {str(origin): head for origin, head in replica.heads().items()}

    def _event(self, event: str, **members: Any) -> None:
        self._log.emit(self._clock.wall(), {"event": event, **members})


def _announcement(row: Identity) -> Announcement:
    origin, public_key, proof = row
    return Announcement(Origin.parse(origin), public_key, proof)


def _fork(held: bytes, other: bytes) -> Fork:
    batch = codec.decode_batch(held)
    return Fork(batch.origin, batch, codec.decode_batch(other))


def _row(batch: Batch) -> Row:
    return str(batch.origin), batch.first, codec.encode_batch(batch)


def _settle(group: Iterable[_Waiting], error: Exception) -> None:
    for waiting in group:
        if not waiting.done.done():
            waiting.done.set_exception(error)
