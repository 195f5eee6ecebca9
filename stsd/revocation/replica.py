"""Replication as a state machine: who knows which entries, who lacks what. No clock, disk or socket inside.

Every node writes its own log and holds everybody's. The rules:

1. Save before send: what was told to others survives a crash, so a sequence never names two things.
2. Apply on arrival, even across a gap; keep the log in order, and repair it in order.
3. Whoever lacks something asks for it. A push may be lost; the exchange of heads each second finds out.
4. A head counts only what is on disk: a receipt (`Ack`) is a promise.
5. Duplicates, reordering and repeated answers change nothing.
6. Messages of another epoch (contract 8: a reset) change nothing; a higher one is reported.

The replica does not know what its entries mean: the shell applies them. `now` is Unix seconds of this node's wall
clock. A peer's name is its region, or `region/node`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from stsd.revocation import revocation_token
from stsd.revocation.freshness import Freshness
from stsd.revocation.log import Log
from stsd.revocation.messages import (
    MAX_BATCH_BYTES,
    MAX_FETCH_BYTES,
    MAX_FETCH_ENTRIES,
    Ack,
    Batch,
    Delta,
    Digest,
    Fetch,
    Heads,
    Heartbeat,
    Message,
    Origin,
    Ready,
)
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
    `overtaken`: a peer holds more of our own log than we do, so our disk forgot what it had synced. Nothing can be
    appended until `renew` begins a new log.
    `refused` counts by reason what arrived and changed nothing.
    """

    def __init__(
        self, origin: Origin, peers: Sequence[str], now: float, *, epoch: int = 0, joined: bool = False
    ) -> None:
        self.origin = origin
        self.epoch = epoch
        self.peers = tuple(peers)
        self.joined = joined or not peers
        self.overtaken = False
        self.refused: Counter[str] = Counter()
        self._logs: dict[Origin, Log] = {}
        self._freshness = Freshness(peers, now)
        self._senders: dict[str, Origin] = {}
        self._peer_heads: dict[str, dict[Origin, int]] = {}
        self._goals: dict[str, Heads] = {}
        self._asked: dict[Origin, tuple[str, float]] = {}
        self._unsaved: list[Batch] = []
        self._pending: Batch | None = None

    # What this node writes.

    def append(self, entries: Sequence[bytes], now: float) -> Batch:
        """Number new entries; the shell saves the batch, then calls `committed` or `abandon`.

        One batch at a time. Raises ReplicaError, and ValueError for no entries or more than MAX_BATCH_BYTES.
        """
        if self._pending is not None or self.overtaken:
            raise ReplicaError("overtaken" if self.overtaken else "an append is pending")
        batch = Batch(self.origin, self._log(self.origin).head + 1, tuple(entries), now)
        if not entries or batch.encoded_bytes > MAX_BATCH_BYTES:
            raise ValueError(f"a batch holds 1 entry or more, in at most {MAX_BATCH_BYTES} bytes")
        self._pending = batch
        return batch

    def committed(self, batch: Batch, now: float) -> Ready:
        """The pending batch is on disk: apply it and push it to every peer.

        Raises ReplicaError when a peer showed meanwhile that the numbers were given before (see `overtaken`).
        """
        self._end_pending(batch)
        log = self._log(self.origin)
        if log.take(batch) == "fork":
            raise ReplicaError("overtaken")
        log.saved(batch)
        self._freshness.advance(log)
        delta = Delta(self.epoch, (batch,))
        return Ready(applied=(batch,), send=tuple((peer, delta) for peer in self.peers))

    def abandon(self, batch: Batch) -> None:
        """The pending batch could not be stored: nothing has happened."""
        self._end_pending(batch)

    def renew(self, incarnation: str) -> None:
        """Begin a new log of our own; the old one stays, as that of a former incarnation. Raises ReplicaError."""
        if self._pending is not None:
            raise ReplicaError("an append is pending")
        self.origin = replace(self.origin, incarnation=incarnation)
        self.overtaken = False

    # What others say.

    def receive(self, peer: str, message: Message, now: float) -> Ready:
        """Take in a peer's message."""
        if message.epoch != self.epoch:
            self.refused["other_epoch"] += 1
            return Ready(newer_epoch=message.epoch if message.epoch > self.epoch else None)
        match message:
            case Digest():
                return self._compare(peer, message, now)
            case Fetch():
                return Ready(send=tuple((peer, delta) for delta in self._pages(message.after)))
            case Delta():
                return self._take(peer, message, now)
            case Ack():
                self._learn(peer, message.heads)
                return Ready()

    def saved(self, ready: Ready, now: float) -> Ready:
        """The disk has `ready.save`; the answer holds the receipt and what to ask for next."""
        for batch in ready.save:
            self._log(batch.origin).saved(batch)
        self._check_joined()
        if not ready.answer_to:
            return Ready()
        peer = ready.answer_to
        return Ready(send=(*self._receipt(peer, ready.save), *self._ask(peer, now)))

    def failed(self, ready: Ready) -> None:
        """The disk refused `ready.save`. It stays applied and untold; the next tick hands it out again."""
        self._unsaved.extend(ready.save)

    def tick(self, now: float) -> Ready:
        """Each second: our heartbeat and our heads to every peer, and once more what could not be stored."""
        log = self._log(self.origin)
        self._freshness.note(self.origin, Heartbeat(now, log.head), log)
        digest = self.digest()
        save, self._unsaved = tuple(self._unsaved), []
        return Ready(save=save, send=tuple((peer, digest) for peer in self.peers))

    def digest(self) -> Digest:
        """How far this node is, as of the last tick; the shell also answers a peer's digest with it."""
        return Digest(self.epoch, self.origin, self.heads(), self._freshness.heartbeats())

    # What the shell stores and asks.

    def restore(self, rows: Iterable[Batch]) -> tuple[Batch, ...]:
        """Take in the journal at start, in any order; returns what to apply."""
        applied = []
        for batch in rows:
            log = self._log(batch.origin)
            if log.take(batch) == "new":
                log.saved(batch)
                applied.append(batch)
        for log in self._logs.values():
            self._freshness.advance(log)
        return tuple(applied)

    def seen(self) -> Iterator[Batch]:
        """Every batch that is applied here, to build what is applied anew."""
        for log in self._logs.values():
            yield from log.seen()

    def heads(self) -> dict[Origin, int]:
        """How far each log is held durably and without a gap."""
        return {origin: log.head for origin, log in self._logs.items() if log.head}

    @property
    def all_told(self) -> bool:
        """Whether everything that is applied here without a gap is on disk too, so that `after` tells it."""
        return all(log.head == log.applied for log in self._logs.values())

    def after(self, heads: Heads, max_entries: int = MAX_FETCH_ENTRIES) -> Iterator[Batch]:
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

    def revocation_token(self, sequence: int) -> str:
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
            self._logs[origin] = Log(origin)
        return self._logs[origin]

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
        self._learn(peer, digest.heads)
        for origin in digest.heads:
            self._freshness.advance(self._log(origin))
        for origin, heartbeat in digest.heartbeats.items():
            if origin != self.origin:
                self._freshness.note(origin, heartbeat, self._log(origin))
        self._freshness.settle(peer, digest.heads, self._logs)
        self._goals.setdefault(peer, digest.heads)
        self._check_joined()
        return Ready(send=self._ask(peer, now))

    def _learn(self, peer: str, heads: Heads) -> None:
        """A peer's heads only grow while its incarnation lasts, so a late message takes nothing back."""
        known = self._peer_heads.setdefault(peer, {})
        for origin, head in heads.items():
            known[origin] = max(known.get(origin, 0), head)
        if heads.get(self.origin, 0) > self._log(self.origin).head:
            self.overtaken = True

    def _take(self, peer: str, delta: Delta, now: float) -> Ready:
        new = tuple(batch for batch in delta.batches if self._is_new(batch))
        # A peer sends what it holds durably and without a gap.
        self._learn(peer, _heads_of(delta.batches))
        self._note_answer(peer, delta, now)
        if new:
            return Ready(save=new, applied=new, answer_to=peer)
        receipt = self._receipt(peer, delta.batches)
        # An answer that brings nothing new is not asked for again before the next digest.
        return Ready(send=receipt if delta.part == "last" else (*receipt, *self._ask(peer, now)))

    def _is_new(self, batch: Batch) -> bool:
        log = self._log(batch.origin)
        taken = log.take(batch)
        if taken == "fork":
            self.refused["fork"] += 1
        self._freshness.advance(log)
        return taken == "new"

    def _receipt(self, peer: str, batches: Sequence[Batch]) -> tuple[tuple[str, Message], ...]:
        heads = {batch.origin: self._log(batch.origin).head for batch in batches}
        return ((peer, Ack(self.epoch, heads)),) if heads else ()

    def _ask(self, peer: str, now: float) -> tuple[tuple[str, Message], ...]:
        """Ask a peer for what it is known to have and we lack, unless somebody has just been asked."""
        lacking = {}
        for origin, head in self._peer_heads.get(peer, {}).items():
            applied = self._log(origin).applied
            if head > applied and now >= self._asked.get(origin, ("", 0.0))[1]:
                lacking[origin] = applied
                self._asked[origin] = (peer, now + FETCH_TIMEOUT_S)
        return ((peer, Fetch(self.epoch, lacking)),) if lacking else ()

    def _note_answer(self, peer: str, delta: Delta, now: float) -> None:
        """From a peer that we asked: while pages come nobody else is asked, after the last one anybody may be."""
        if delta.part == "push":
            return
        until = now + FETCH_TIMEOUT_S if delta.part == "page" else 0.0
        for origin, (asked, _) in self._asked.items():
            if asked == peer:
                self._asked[origin] = (peer, until)

    def _pages(self, after: Heads) -> Iterator[Delta]:
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
        return all(self._log(origin).head >= head for origin, head in goal.items())


def _heads_of(batches: Iterable[Batch]) -> dict[Origin, int]:
    heads: dict[Origin, int] = {}
    for batch in batches:
        heads[batch.origin] = max(heads.get(batch.origin, 0), batch.last)
    return heads
