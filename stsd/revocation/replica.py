"""Replication as a state machine: who knows which entries, who lacks what. No clock, disk or socket inside.

Every node writes its own log and holds everybody's. The rules:

1. Save before send: what was told to others survives a crash, so a sequence never names two things.
2. Apply on arrival, even across a gap; keep the log in order, and repair it in order.
3. Whoever lacks something asks for it. A push may be lost; the exchange of heads each second finds out.
4. A head counts only what is on disk: a receipt (`Ack`) is a promise.
5. Duplicates, reordering and repeated answers change nothing.
6. Messages of another epoch (contract 8: a reset) change nothing; a higher one is reported.
7. What an origin says counts only with its signature. Two signed histories of one origin are a fork: nothing more of
   it is applied, but what is lacking from before the fork. A peer whose chain hash differs is asked for its batches.
   Who has stopped a log tells that instead of its chain hash, and answers with the proof, never with half of it, so it
   reaches every node.
8. A node that finds its own log forked, damaged or shorter than others know it goes on under a new incarnation, and
   says anew what others may lack: of a forked log everything that is not over, wherever each of them has stopped.
   What others hold of a forked log from the fork on, and its author does not say, because it lost its disk too or left,
   they say anew themselves. It may be the thief's: a denial too many, and none too few.
9. Who left the cluster is believed up to its limit. What a node had taken in beyond it, before it heard, or behind a
   gap that nobody else can fill, it says itself from then on: an acknowledged entry that it has is not lost, and every
   node's log of that origin ends at one place.
10. What is old and over is pruned. Who asks for it gets the checkpoint that says so, then what is left; see pruning.

The replica does not know what its entries mean: the shell applies them, and tells when one is over and whether it is
listed where revocations are told. Any grow-only log
can run on this machinery; each kind of log has Identities of its own name. `now` is Unix seconds of this node's wall
clock. A peer's name is its region, or `region/node`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from stsd.revocation.bounds import SERVED, Bounds
from stsd.revocation.hearing import Hearing
from stsd.revocation.hearing import fault_of_checkpoint as fault_of_checkpoint
from stsd.revocation.identity import Identities, Signer, chain_of
from stsd.revocation.listing import always
from stsd.revocation.messages import MAX_BATCH_BYTES, Batch, Checkpoint, Delta, Fork, Heartbeat, Origin, Ready
from stsd.revocation.pruning import PRUNE_BATCHES, Pruned, Pruning, has_room
from stsd.revocation.revocation_token import TokenShapeError as TokenShapeError

DIGEST_INTERVAL_S = 1.0
"""How often the shell calls `tick`."""


class ReplicaError(Exception):
    """The shell called out of order: an append while one is pending, or on a log that others know better."""


class Replica(Hearing):
    """The logs of all origins at one node, of which it writes one: what it knows (Knowledge), what it hears from its
    peers (Hearing), and here what it writes, restores and forgets."""

    def __init__(
        self,
        origin: Origin,
        peers: Sequence[str],
        now: float,
        *,
        signer: Signer,
        identities: Identities,
        epoch: int = 0,
        joined: bool = False,
        pruning: Pruning | None = None,
        is_listed: Callable[[bytes], bool] = always,
        bounds: Bounds = SERVED,
    ) -> None:
        super().__init__(
            origin,
            peers,
            now,
            signer=signer,
            identities=identities,
            epoch=epoch,
            joined=joined,
            is_listed=is_listed,
            bounds=bounds,
        )
        self._pruning = pruning or Pruning()
        self._undeleted: tuple[Batch, ...] = ()
        self._pending: Batch | None = None
        self._judged: dict[Origin, tuple[Origin, int]] = {}
        """Of which forked logs it was found out what is unsaid: after whom had said what, and from which place on."""
        self._announce()

    def append(self, entries: Sequence[bytes], now: float) -> Batch:
        """Number new entries; the shell saves the batch, then calls `committed` or `abandon`.

        One batch at a time. Raises ReplicaError, and ValueError for no entries or more than MAX_BATCH_BYTES.
        """
        if self._pending is not None or self.overtaken:
            raise ReplicaError("overtaken" if self.overtaken else "an append is pending")
        head = self._log(self.origin).chained_head()
        batch = Batch(self.origin, head.sequence + 1, tuple(entries), float(now), head.chain)
        if not entries or batch.encoded_bytes > MAX_BATCH_BYTES:
            raise ValueError(f"a batch holds 1 entry or more, in at most {MAX_BATCH_BYTES} bytes")
        batch = replace(batch, chain=chain_of(batch))
        batch = replace(batch, signature=self._signer.sign(self.identities.batch_content(batch)))
        self._pending = batch
        return batch

    def committed(self, batch: Batch, now: float) -> Ready:
        """The pending batch is on disk: apply it and push it to every peer.

        Raises ReplicaError when a peer showed meanwhile that the numbers were given before (see `overtaken`).
        """
        self._end_pending(batch)
        log = self._log(self.origin)
        if log.take(batch) != "new":
            self.overtaken = True
            raise ReplicaError("overtaken")
        log.saved(batch)
        self._freshness.advance(log)
        announced = self.identities.announce(self.origin, self._signer)
        delta = Delta(self.epoch, (batch,), identities=(announced,))
        return Ready(applied=(batch,), send=tuple((peer, delta) for peer in self.peers))

    def abandon(self, batch: Batch) -> None:
        """The pending batch could not be stored: nothing has happened."""
        self._end_pending(batch)

    def tick(self, now: float) -> Ready:
        """Each second: our heartbeat and our heads to every peer, and once more what could not be stored, unless it was
        forgotten meanwhile: a row of it would contradict what came in its place."""
        log = self._log(self.origin)
        heartbeat = Heartbeat(float(now), *log.chained_head())
        signature = self._signer.sign(self.identities.heartbeat_content(self.origin, heartbeat))
        self._freshness.note(self.origin, heartbeat._replace(signature=signature), log)
        digest = self.digest()
        save, self._unsaved = tuple(filter(self.has, self._unsaved)), []
        adopted = {origin: self._logs[origin].floor.sequence for origin in self._unsaved_floors}
        self._unsaved_floors.clear()
        return Ready(save=save, adopted=adopted, send=tuple((peer, digest) for peer in self.peers))

    # Logs that end: our own former ones, and those of nodes that left.

    def renew(self, incarnation: str) -> tuple[Batch, ...]:
        """Begin a new log of our own; the old one stays, as that of a former incarnation. Raises ReplicaError.

        Returns the `orphans`, which are to be appended anew; what cannot be stored now is an orphan later too.
        """
        if self._pending is not None:
            raise ReplicaError("an append is pending")
        self.origin = replace(self.origin, incarnation=incarnation)
        self.overtaken = False
        self._orphaned = True
        self._announce()
        return self.orphans(0.0)

    def orphans(self, now: float) -> tuple[Batch, ...]:
        """What others may never get of our former logs, behind a gap or a fork of them, and what is neither over nor
        written anew in a later one. An entry may be written twice, if the gap is repaired after all."""
        if not self._orphaned or self.overtaken:
            return ()
        ours = [log for log in self._logs.values() if self._is_ours(log.origin)]
        lost = {
            (log.origin, batch.first): batch for log in ours if log.origin != self.origin for batch in log.orphans()
        }
        reachable = (batch for log in ours if lost for batch in log.seen() if (log.origin, batch.first) not in lost)
        told = {entry for batch in reachable for entry in batch.entries}
        lacking = (batch for batch in lost.values() if not told.issuperset(batch.entries))
        found = tuple(batch for batch in lacking if not self._pruning.is_over(batch, now))
        self._orphaned = bool(found)
        return found

    def regroup(self, peers: Sequence[str], now: float) -> tuple[Batch, ...]:
        """Nodes came or left: from now on these are the peers.

        Returns the batches that origins who left said beyond their limit; they are gone from their logs, and their
        entries are to be appended anew (rule 9). Who left itself keeps its own logs as they are.
        """
        self.peers = tuple(peers)
        self.joined = self.joined or not peers
        self._freshness.regroup(peers, now)
        self._repair.regroup(peers)
        self._check_joined()
        beyond: tuple[Batch, ...] = ()
        for origin, log in self._logs.items():
            limit, floor = self.identities.limit(origin), log.floor
            if limit is None or self._is_ours(origin):
                continue
            beyond += log.cut(limit)
            if log.floor != floor:
                self._unsaved_floors.add(origin)
        if self._unsaved_floors or beyond:
            self._renew_checkpoint(now, self._checkpoint)
        return beyond

    def stranded(self, now: float) -> tuple[Batch, ...]:
        """What is held of logs whose authors left behind a gap that no peer can fill, and of forked logs whose authors
        have it no more; called each second.

        Like what is beyond a limit, it is gone from those logs, to be appended anew (rules 8 and 9): their authors
        cannot say it again, and others may lack it. If somebody can fill a gap all the same, it comes back as a part of
        the log.
        """
        gaps = (log for log in self._logs.values() if log.has_gap and not self._is_ours(log.origin))
        left = (log for log in gaps if self.identities.has_left(log.origin))
        behind = tuple(
            batch for log in left if self._repair.nobody_has_more(log.origin, self.peers) for batch in log.strand()
        )
        return (*behind, *self._unsaid(now))

    def _unsaid(self, now: float) -> tuple[Batch, ...]:
        """What is held of forked logs from the fork on, and in no other log, although their authors have heard of the
        fork, or left. It takes all entries to know, so each incarnation of an author is judged once for each fork."""
        news = {
            fork.origin: (by, fork.place) for fork in self.forks() if (by := self._said_by(fork.origin)) is not None
        }
        news = {origin: judged for origin, judged in news.items() if self._judged.get(origin) != judged}
        if not news:
            return ()
        self._judged.update(news)
        certain = (batch for batch in self.seen() if self._log(batch.origin).certain(batch.last) == batch.last)
        told = {entry for batch in certain for entry in batch.entries}
        unsaid: tuple[Batch, ...] = ()
        for log in map(self._log, news):
            lacking = (batch for batch in log.in_doubt() if not told.issuperset(batch.entries))
            unsaid += log.take_back(tuple(batch for batch in lacking if not self._pruning.is_over(batch, now)))
        if unsaid:
            self._renew_checkpoint(now, self._checkpoint)
        return unsaid

    def _said_by(self, origin: Origin) -> Origin | None:
        """Who has said anew by now what it can of another node's forked log: its author's present incarnation; the log
        itself, if its author left. None if nobody has, or it is ours."""
        if self._is_ours(origin):
            return None
        return origin if self.identities.has_left(origin) else self._repair.heir(origin)

    # The journal.

    def restore(
        self,
        rows: Iterable[Batch],
        forks: Iterable[Fork] = (),
        checkpoint: Checkpoint | None = None,
        *,
        damaged: bool = False,
    ) -> tuple[Batch, ...]:
        """Take in the journal at start, in any order, with the forks known and our checkpoint; returns what to apply.

        The shell has checked that each row is `whole`, and the checkpoint without fault. If one was not, the journal is
        `damaged`: what we told peers that we hold is not all true any more, so we are as good as another disk (rule 8).
        """
        self.overtaken = damaged
        if checkpoint is not None:
            self._claim(checkpoint)
        applied = []
        for batch in rows:
            log = self._log(batch.origin)
            if log.take(batch) == "new":
                log.saved(batch)
                applied.append(batch)
        for fork in forks:
            if fork.last <= self._limit(fork.origin):
                self._log(fork.origin).fork = fork
                self.overtaken = self.overtaken or fork.origin == self.origin
        for log in self._logs.values():
            if log.adopt(self._limit(log.origin)):
                log.saved_floor(log.floor.sequence)
            self._freshness.advance(log)
        self._renew_checkpoint(self._started_at, checkpoint)
        return tuple(applied)

    def checkpoint(self) -> Checkpoint | None:
        """Where our logs begin now, to be stored with what was adopted; None while nothing was pruned."""
        return self._checkpoint

    def prune(self, now: float, limit: int = PRUNE_BATCHES) -> Pruned | None:
        """Forget some of what is old and over; None when there is nothing to do. The shell stores the step, or calls
        `not_pruned`. A crash before that brings back what is over, which changes nothing. What was not deleted goes
        before anything else is forgotten, unless it has come again since: its row is that of the log then."""
        undeleted = tuple(batch for batch in self._undeleted if not self.has(batch))
        self._undeleted = ()
        if undeleted:
            return Pruned(self._checkpoint, undeleted, more=True)
        moved = 0
        dropped: list[Batch] = []
        room = has_room(self._logs, limit)
        for log in self._logs.values():
            passed, over = self._pruning.step(log, now, limit - moved, may_move=room and moved < limit)
            moved += passed
            dropped += over
        if not moved and not dropped:
            return None
        checkpoint = self._renew_checkpoint(now, self._checkpoint)
        return Pruned(checkpoint, tuple(dropped), more=moved >= limit)

    def not_pruned(self, pruned: Pruned) -> None:
        """The disk refused a step; its rows are handed out again with the next one."""
        self._undeleted += pruned.dropped

    def _announce(self) -> None:
        """Our own key, under our present incarnation. Raises ReplicaError when it has had another key."""
        if self.identities.admit(self.identities.announce(self.origin, self._signer)) == "other_identity":
            raise ReplicaError("this incarnation signed with another key")

    def _end_pending(self, batch: Batch) -> None:
        if batch is not self._pending:
            raise ReplicaError("not the pending batch")
        self._pending = None


def whole(batch: Batch) -> bool:
    """Whether a batch from the journal is what was stored: its chain hash is its checksum."""
    return chain_of(batch) == batch.chain
