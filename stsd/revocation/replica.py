"""Replication as a state machine: who knows which entries, who lacks what. No clock, disk or socket inside.

Every node writes its own log and holds everybody's. The rules:

1. Save before send: what was told to others survives a crash, so a sequence never names two things.
2. Apply on arrival, even across a gap; keep the log in order, and repair it in order.
3. Whoever lacks something asks for it. A push may be lost; the exchange of heads each second finds out.
4. A head counts only what is on disk: a receipt (`Ack`) is a promise.
5. Duplicates, reordering and repeated answers change nothing.
6. Messages of another epoch (contract 8: a reset) change nothing; a higher one is reported.
7. What an origin says counts only with its signature. Two signed histories of one origin are a fork: nothing more of
   it is applied. A peer whose chain hash differs is asked for its batches, so the proof reaches every node.
8. A node that finds its own log forked, damaged or shorter than others know it goes on under a new incarnation.
9. Who left the cluster is believed up to its limit. What a node had taken in beyond it, before it heard, it says itself
   from then on: an acknowledged entry is not lost, and every node's log of that origin ends at one place.
10. What is old and over is pruned. Who asks for it gets the checkpoint that says so, then what is left; see pruning.

The replica does not know what its entries mean: the shell applies them, and tells when one is over. Any grow-only log
can run on this machinery; each kind of log has Identities of its own name. `now` is Unix seconds of this node's wall
clock. A peer's name is its region, or `region/node`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from stsd.revocation import revocation_token
from stsd.revocation.freshness import Freshness
from stsd.revocation.identity import Identities, Signer, chain_of
from stsd.revocation.log import Log
from stsd.revocation.messages import (
    MAX_BATCH_BYTES,
    MAX_FETCH_BYTES,
    MAX_FETCH_ENTRIES,
    Ack,
    Announcement,
    Batch,
    Checkpoint,
    Delta,
    Digest,
    Fetch,
    Fork,
    Head,
    Heads,
    Heartbeat,
    Message,
    Origin,
    Ready,
    Sequences,
)
from stsd.revocation.pruning import PRUNE_BATCHES, Pruned, Pruning, floors, has_room
from stsd.revocation.rate import Rates
from stsd.revocation.revocation_token import RevocationToken
from stsd.revocation.revocation_token import TokenShapeError as TokenShapeError

DIGEST_INTERVAL_S = 1.0
"""How often the shell calls `tick`."""
FETCH_TIMEOUT_S = 1.0
"""After this long without a delta, the same entries may be asked for again."""


class ReplicaError(Exception):
    """The shell called out of order: an append while one is pending, or on a log that others know better."""


class Replica:
    """The logs of all origins at one node.

    `joined`: whether this node has caught up once. A node that starts with its journal has; one that lost it has
    when it holds everything that a peer reported in one digest (contract 4).
    `overtaken`: a peer holds more of our own log than we do, or another one, or the journal was damaged: our disk
    forgot what it had synced. Nothing can be appended until `renew` begins a new log.
    `refused` counts by reason what arrived and changed nothing.
    """

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
    ) -> None:
        self.origin = origin
        self.identities = identities
        self._signer = signer
        self.epoch = epoch
        self.peers = tuple(peers)
        self.joined = joined or not peers
        self.overtaken = False
        self.refused: Counter[str] = Counter()
        self._pruning = pruning or Pruning()
        self._checkpoint: Checkpoint | None = None
        self._undeleted: tuple[Batch, ...] = ()
        self._unsaved_floors: dict[Origin, int] = {}
        self._started_at = now
        self._logs: dict[Origin, Log] = {}
        self._freshness = Freshness(peers, now, identities.has_left)
        self._senders: dict[str, Origin] = {}
        self._peer_heads: dict[str, dict[Origin, int]] = {}
        self._goals: dict[str, Sequences] = {}
        self._doubted: dict[str, dict[Origin, int]] = {}
        self._asked: dict[Origin, tuple[str, float]] = {}
        self._rates = Rates()
        self._unsaved: list[Batch] = []
        self._pending: Batch | None = None
        self._orphaned = True
        self._announce()

    # What this node writes.

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
        written anew in a later one. Ours is what our key has signed. An entry may be written twice, if the gap is
        repaired after all."""
        if not self._orphaned or self.overtaken:
            return ()
        key = self._signer.public_key
        ours = [log for log in self._logs.values() if self.identities.get(log.origin) == key]
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
        entries are to be appended anew (rule 9).
        """
        self.peers = tuple(peers)
        self.joined = self.joined or not peers
        self._freshness.regroup(peers, now)
        of_peers: tuple[dict[str, Any], ...] = (self._senders, self._peer_heads, self._goals, self._doubted)
        for by_peer in of_peers:
            for gone in by_peer.keys() - set(peers):
                del by_peer[gone]
        self._check_joined()
        beyond = tuple(
            batch
            for origin, log in self._logs.items()
            if (limit := self.identities.limit(origin)) is not None
            for batch in log.cut(limit)
        )
        if beyond:
            self._renew_checkpoint(now, self._checkpoint)
        return beyond

    # What others say.

    def receive(self, peer: str, message: Message, now: float) -> Ready:
        """Take in a peer's message."""
        if message.epoch != self.epoch:
            newer = message.epoch if message.epoch > self.epoch else None
            return Ready(newer_epoch=newer, refused=self._refuse("other_epoch", self.origin))
        match message:
            case Digest():
                return self._compare(peer, message, now)
            case Fetch():
                return Ready(send=tuple((peer, answer) for answer in self._answers(message.after)))
            case Delta():
                return self._take(peer, message, now)
            case Ack():
                self._learn(peer, message.heads)
                return Ready()
            case Checkpoint():
                return self._believe(peer, message, now)

    def saved(self, ready: Ready, now: float) -> Ready:
        """The disk has `ready.save`; the answer holds the receipt and what to ask for next."""
        for batch in ready.save:
            self._log(batch.origin).saved(batch)
        for origin, sequence in ready.adopted.items():
            self._log(origin).saved_floor(sequence)
        self._check_joined()
        if not ready.answer_to:
            return Ready()
        peer = ready.answer_to
        return Ready(send=(*self._receipt(peer, ready.save), *self._ask(peer, now)))

    def failed(self, ready: Ready) -> None:
        """The disk refused `ready.save`. It stays applied and untold; the next tick hands it out again."""
        self._unsaved.extend(ready.save)
        self._unsaved_floors.update(ready.adopted)

    def tick(self, now: float) -> Ready:
        """Each second: our heartbeat and our heads to every peer, and once more what could not be stored."""
        log = self._log(self.origin)
        heartbeat = Heartbeat(float(now), *log.chained_head())
        signature = self._signer.sign(self.identities.heartbeat_content(self.origin, heartbeat))
        self._freshness.note(self.origin, heartbeat._replace(signature=signature), log)
        digest = self.digest()
        save, self._unsaved = tuple(self._unsaved), []
        adopted, self._unsaved_floors = self._unsaved_floors, {}
        return Ready(save=save, adopted=adopted, send=tuple((peer, digest) for peer in self.peers))

    def digest(self) -> Digest:
        """How far this node is, as of the last tick; the shell also answers a peer's digest with it."""
        announced = self.identities.told()
        return Digest(self.epoch, self.origin, self.chained_heads(), self._freshness.heartbeats(), announced)

    # What the shell stores and asks.

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
            self._log(fork.origin).fork = fork
            self.overtaken = self.overtaken or fork.origin == self.origin
        for log in self._logs.values():
            if log.adopt():
                log.saved_floor(log.floor.sequence)
            self._freshness.advance(log)
        self._renew_checkpoint(self._started_at, checkpoint)
        return tuple(applied)

    def checkpoint(self) -> Checkpoint | None:
        """Where our logs begin now, to be stored with what was adopted; None while nothing was pruned."""
        return self._checkpoint

    def prune(self, now: float, limit: int = PRUNE_BATCHES) -> Pruned | None:
        """Forget some of what is old and over; None when there is nothing to do. The shell stores the step, or calls
        `not_pruned`. A crash before that brings back what is over, which changes nothing."""
        moved, dropped = 0, list(self._undeleted)
        room = has_room(self._logs, limit)
        for log in self._logs.values():
            passed, over = self._pruning.step(log, now, limit - moved, may_move=room and moved < limit)
            moved += passed
            dropped += over
        if not moved and not dropped:
            return None
        self._undeleted = ()
        checkpoint = self._renew_checkpoint(now, self._checkpoint)
        return Pruned(checkpoint, tuple(dropped), more=moved >= limit) if checkpoint else None

    def not_pruned(self, pruned: Pruned) -> None:
        """The disk refused a step; its rows are handed out again with the next one."""
        self._undeleted += pruned.dropped

    def has(self, batch: Batch) -> bool:
        """Whether exactly this batch is applied here."""
        log = self._logs.get(batch.origin)
        return log is not None and log.has(batch)

    def seen(self) -> Iterator[Batch]:
        """Every batch that is applied here, to build what is applied anew."""
        for log in self._logs.values():
            yield from log.seen()

    def forks(self) -> tuple[Fork, ...]:
        """The origins of which nothing more is applied, each with its proof."""
        return tuple(log.fork for log in self._logs.values() if log.fork is not None)

    def heads(self) -> dict[Origin, int]:
        """How far each log is held durably and without a gap."""
        return {origin: log.head for origin, log in self._logs.items() if log.head}

    def chained_heads(self) -> dict[Origin, Head]:
        """The same, each with its chain hash."""
        return {origin: log.chained_head() for origin, log in self._logs.items() if log.head}

    def applied(self, origin: Origin) -> tuple[int, float]:
        """How far a log is applied here without a gap, and when its origin made the last batch of that."""
        log = self._logs.get(origin)
        return (0, 0.0) if log is None else (log.applied, log.applied_at)

    @property
    def all_told(self) -> bool:
        """Whether everything that is applied here without a gap is on disk too, so that `after` tells it."""
        return all(log.head == log.applied for log in self._logs.values())

    def after(self, heads: Sequences, max_entries: int = MAX_FETCH_ENTRIES) -> Iterator[Batch]:
        """Whole batches that follow `heads` in the logs it names, up to the first that reaches `max_entries`."""
        left = max_entries
        for origin in sorted(heads):
            log = self._logs.get(origin)
            for batch in log.after(heads[origin]) if log else ():
                if left <= 0:
                    return
                left -= len(batch.entries)
                yield batch

    def holders(self, sequence: int, origin: Origin | None = None) -> tuple[str, ...]:
        """The peers that hold a log, by default our own, durably up to `sequence`."""
        log = origin or self.origin
        return tuple(peer for peer in self.peers if self._peer_heads.get(peer, {}).get(log, 0) >= sequence)

    def furthest(self) -> dict[Origin, int]:
        """How far each log is known to be held durably by anybody."""
        furthest = self.heads()
        for heads in self._peer_heads.values():
            for origin, head in heads.items():
                furthest[origin] = max(furthest.get(origin, 0), head)
        return furthest

    def copies(self, sequence: int) -> int:
        """How many disks hold our own log up to `sequence`, ours included (contract 6)."""
        return 1 + len(self.holders(sequence))

    def staleness(self, now: float) -> dict[Origin, float]:
        """Seconds since what this node knows of each origin was all there was; see freshness."""
        return {**self._freshness.staleness(now), self.origin: 0.0}

    def oldest_staleness(self, now: float) -> float:
        """The worst of `staleness`; a peer never heard of counts from this node's start."""
        return self._freshness.oldest(now, self.origin)

    def unheard(self, now: float) -> dict[str, float]:
        """Peers never heard of, with the seconds since this node's start."""
        return self._freshness.unheard(now)

    def token(self, sequence: int) -> str:
        """The token that names an entry of our own log."""
        return revocation_token.encode(RevocationToken(self.origin, sequence, self.epoch))

    def fresh_enough(self, text: str) -> bool:
        """Whether all up to the named entry is applied here. What an earlier epoch held is gone, and so is the wait.

        Raises TokenShapeError.
        """
        token = revocation_token.decode(text)
        if token.epoch != self.epoch:
            return token.epoch < self.epoch
        log = self._logs.get(token.origin)
        return log is not None and log.applied >= token.sequence

    # How it works inside.

    def _log(self, origin: Origin) -> Log:
        if origin not in self._logs:
            self._logs[origin] = Log(origin, self.identities.genesis(origin))
        return self._logs[origin]

    def _announce(self) -> None:
        """Our own key, under our present incarnation. Raises ReplicaError when it has had another key."""
        if self.identities.admit(self.identities.announce(self.origin, self._signer)) == "other_identity":
            raise ReplicaError("this incarnation signed with another key")

    def _refuse(self, reason: str, origin: Origin) -> tuple[tuple[str, Origin], ...]:
        self.refused[reason] += 1
        return ((reason, origin),)

    def _end_pending(self, batch: Batch) -> None:
        if batch is not self._pending:
            raise ReplicaError("not the pending batch")
        self._pending = None

    def _compare(self, peer: str, digest: Digest, now: float) -> Ready:
        if self._senders.get(peer) != digest.sender:
            # Another incarnation is another disk: what its predecessor held is no copy any more.
            self._senders[peer] = digest.sender
            self._peer_heads.pop(peer, None)
            self._goals.pop(peer, None)
        admitted, refused = self._admit(digest.identities)
        self._learn(peer, digest.heads)
        for origin in digest.heads:
            self._freshness.advance(self._log(origin))
        for origin, heartbeat in digest.heartbeats.items():
            if origin != self.origin and self._freshness.is_news(origin, heartbeat):
                fault = self._fault_of_heartbeat(origin, heartbeat)
                if fault:
                    refused += self._refuse(fault, origin)
                else:
                    self._freshness.note(origin, heartbeat, self._log(origin))
        self._freshness.settle(peer, digest.heads, self._logs)
        self._goals.setdefault(peer, {origin: head.sequence for origin, head in digest.heads.items()})
        self._check_joined()
        return Ready(send=self._ask(peer, now), identities=admitted, refused=refused)

    def _admit(
        self, announced: Iterable[Announcement]
    ) -> tuple[tuple[Announcement, ...], tuple[tuple[str, Origin], ...]]:
        """The announcements that were news, and those that were refused."""
        admitted: tuple[Announcement, ...] = ()
        refused: tuple[tuple[str, Origin], ...] = ()
        for announcement in announced:
            result = self.identities.admit(announcement)
            if result == "new":
                admitted += (announcement,)
            elif result != "known":
                refused += self._refuse(result, announcement.origin)
        return admitted, refused

    def _fault_of_heartbeat(self, origin: Origin, heartbeat: Heartbeat) -> str:
        if self.identities.has_left(origin):
            return "left"
        content = self.identities.heartbeat_content(origin, heartbeat)
        return self.identities.fault(origin, content, heartbeat.signature)

    def _fault_of_batch(self, batch: Batch) -> str:
        """Why a batch is not its origin's, or not whole; empty if it is."""
        if batch.encoded_bytes > MAX_BATCH_BYTES:
            return "oversized"
        if chain_of(batch) != batch.chain:
            return "bad_chain"
        limit = self.identities.limit(batch.origin)
        if limit is not None and batch.last > limit:
            return "left"
        return self.identities.fault(batch.origin, self.identities.batch_content(batch), batch.signature)

    def _renew_checkpoint(self, now: float, before: Checkpoint | None) -> Checkpoint | None:
        """Say anew where our logs begin, later than before whatever the clock says."""
        found = floors(self._logs)
        if found:
            made_at = max(float(now), before.made_at + 0.001 if before else 0.0)
            unsigned = Checkpoint(self.epoch, self.origin, made_at, found)
            signature = self._signer.sign(self.identities.checkpoint_content(unsigned))
            self._checkpoint = replace(unsigned, signature=signature)
        return self._checkpoint

    def _believe(self, peer: str, checkpoint: Checkpoint, now: float) -> Ready:
        """A peer cannot send what it has pruned; what that was is over."""
        left = self.identities.has_left(checkpoint.maker)
        fault = "left" if left else fault_of_checkpoint(self.identities, checkpoint)
        if fault:
            return Ready(refused=self._refuse(fault, checkpoint.maker))
        self._claim(checkpoint)
        adopted = self._adopt(checkpoint.floors, now)
        return Ready(adopted=adopted, answer_to=peer if adopted else "")

    def _claim(self, checkpoint: Checkpoint) -> None:
        for origin, floor in checkpoint.floors.items():
            self._log(origin).claim(checkpoint.maker, checkpoint.made_at, floor)

    def _adopt(self, origins: Iterable[Origin], now: float) -> dict[Origin, int]:
        """The logs that can go on from a claimed floor now. Our own cannot: who forgot it begins a new one (rule 8)."""
        adopted = {}
        for log in map(self._log, dict.fromkeys(origins)):
            if log.origin != self.origin and log.adopt():
                adopted[log.origin] = log.floor.sequence
                self._freshness.advance(log)
        if adopted:
            self._renew_checkpoint(now, self._checkpoint)
        return adopted

    def _learn(self, peer: str, heads: Heads) -> None:
        """A peer's heads only grow while its incarnation lasts, so a late message takes nothing back."""
        known = self._peer_heads.setdefault(peer, {})
        doubted = self._doubted.setdefault(peer, {})
        for origin, head in heads.items():
            if self._log(origin).differs(head):
                doubted[origin] = head.sequence - 1
            else:
                known[origin] = max(known.get(origin, 0), head.sequence)
        if known.get(self.origin, 0) > self._log(self.origin).head:
            self.overtaken = True

    def _take(self, peer: str, delta: Delta, now: float) -> Ready:
        new: list[Batch] = []
        forks: tuple[Fork, ...] = ()
        admitted, refused = self._admit(delta.identities)
        believed: list[Batch] = []
        for batch in delta.batches:
            fault = "" if self.has(batch) else self._fault_of_batch(batch)
            if not fault and delta.part == "push" and not self._rates.take(batch.origin, len(batch.entries), now):
                fault = "rate_limited"
            if fault:
                refused += self._refuse(fault, batch.origin)
                continue
            log = self._log(batch.origin)
            taken = log.take(batch)
            self._freshness.advance(log)
            if taken in ("new", "known", "pruned"):
                believed.append(batch)
            if taken == "new":
                new.append(batch)
            elif taken == "fork" and log.fork is not None:
                forks += (log.fork,)
                refused += self._refuse("fork", batch.origin)
                self.overtaken = self.overtaken or batch.origin == self.origin
            elif taken == "other_history":
                refused += self._refuse(taken, batch.origin)
            elif taken == "stopped":
                self.refused["stopped"] += 1
        adopted = self._adopt((batch.origin for batch in new), now)
        # A peer sends what it holds durably and without a gap.
        self._learn(peer, _heads_of(believed))
        self._note_answer(peer, delta, now)
        if new:
            saved = tuple(new)
            return Ready(
                save=saved,
                applied=saved,
                answer_to=peer,
                identities=admitted,
                forks=forks,
                refused=refused,
                adopted=adopted,
            )
        receipt = self._receipt(peer, believed)
        # An answer that brings nothing new is not asked for again before the next digest.
        send = receipt if delta.part == "last" else (*receipt, *self._ask(peer, now))
        return Ready(send=send, identities=admitted, forks=forks, refused=refused)

    def _receipt(self, peer: str, batches: Sequence[Batch]) -> tuple[tuple[str, Message], ...]:
        heads = {batch.origin: self._log(batch.origin).chained_head() for batch in batches}
        return ((peer, Ack(self.epoch, heads)),) if heads else ()

    def _ask(self, peer: str, now: float) -> tuple[tuple[str, Message], ...]:
        """Ask a peer for what it is known to have and we lack, unless somebody has just been asked."""
        lacking = {}
        doubted = self._doubted.pop(peer, {})
        for origin, head in self._peer_heads.get(peer, {}).items():
            log = self._log(origin)
            if log.fork is not None:
                continue
            if self._believed(origin, head) > log.applied and now >= self._asked.get(origin, ("", 0.0))[1]:
                lacking[origin] = log.lacks_after()
                self._asked[origin] = (peer, now + FETCH_TIMEOUT_S)
        for origin, sequence in doubted.items():
            if self._log(origin).fork is None:
                lacking[origin] = sequence
        return ((peer, Fetch(self.epoch, lacking)),) if lacking else ()

    def _note_answer(self, peer: str, delta: Delta, now: float) -> None:
        """From a peer that we asked: while pages come nobody else is asked, after the last one anybody may be."""
        if delta.part == "push":
            return
        until = now + FETCH_TIMEOUT_S if delta.part == "page" else 0.0
        for origin, (asked, _) in self._asked.items():
            if asked == peer:
                self._asked[origin] = (peer, until)

    def _answers(self, after: Sequences) -> Iterator[Message]:
        """The answer to a fetch; our checkpoint goes first when it asks for what we have pruned."""
        pruned = any(
            origin in self._logs and sequence < self._logs[origin].floor.sequence for origin, sequence in after.items()
        )
        if pruned and self._checkpoint is not None:
            yield self._checkpoint
        yield from self._pages(after)

    def _pages(self, after: Sequences) -> Iterator[Delta]:
        """The answer to a fetch, in deltas of at most a batch's size; what exceeds the limits is asked for again."""
        page: list[Batch] = []
        page_bytes = total_bytes = 0
        for batch in self.after(after):
            size = batch.encoded_bytes
            if total_bytes + size > MAX_FETCH_BYTES:
                break
            if page and page_bytes + size > MAX_BATCH_BYTES:
                yield Delta(self.epoch, tuple(page), "page")
                page, page_bytes = [], 0
            page.append(batch)
            page_bytes, total_bytes = page_bytes + size, total_bytes + size
        yield Delta(self.epoch, tuple(page), "last")

    def _check_joined(self) -> None:
        if not self.joined:
            self.joined = any(map(self._reached, self._goals.values()))

    def _reached(self, goal: Mapping[Origin, int]) -> bool:
        return all(self._log(origin).head >= self._believed(origin, head) for origin, head in goal.items())

    def _believed(self, origin: Origin, head: int) -> int:
        """As much of a told head as its origin is believed."""
        limit = self.identities.limit(origin)
        return head if limit is None else min(head, limit)


def _heads_of(batches: Iterable[Batch]) -> dict[Origin, Head]:
    heads: dict[Origin, Head] = {}
    for batch in batches:
        heads[batch.origin] = max(heads.get(batch.origin, Head(0, b"")), Head(batch.last, batch.chain))
    return heads


def fault_of_checkpoint(identities: Identities, checkpoint: Checkpoint) -> str:
    """Why a checkpoint is not what its maker signed; empty if it is. It needs no checksum of its own."""
    return identities.fault(checkpoint.maker, identities.checkpoint_content(checkpoint), checkpoint.signature)


def whole(batch: Batch) -> bool:
    """Whether a batch from the journal is what was stored: its chain hash is its checksum."""
    return chain_of(batch) == batch.chain
