"""What others say, and what follows: what is applied and stored, what is told and asked. The rules are in replica."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from math import inf

from stsd.revocation.bounds import Bounds
from stsd.revocation.identity import Identities, Signer, chain_of
from stsd.revocation.knowledge import Knowledge
from stsd.revocation.messages import (
    MAX_BATCH_BYTES,
    Ack,
    Announcement,
    Batch,
    Checkpoint,
    Delta,
    Digest,
    Fetch,
    Fork,
    Heads,
    Heartbeat,
    Message,
    Origin,
    Ready,
    Sequences,
)
from stsd.revocation.pruning import floors
from stsd.revocation.rate import Rates
from stsd.revocation.repair import heads_of, pages


class Hearing(Knowledge):
    """Takes in what peers say.

    `overtaken`: a peer holds more of our own log than we do, or another one, or the journal was damaged: our disk
    forgot what it had synced. Nothing can be appended until a new log is begun.
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
        epoch: int,
        joined: bool,
        is_listed: Callable[[bytes], bool],
        bounds: Bounds,
    ) -> None:
        super().__init__(
            origin, peers, now, identities=identities, epoch=epoch, joined=joined, is_listed=is_listed, bounds=bounds
        )
        self.overtaken = False
        self.refused: Counter[str] = Counter()
        self._signer = signer
        self._rates = Rates(bounds.pushed_per_s, bounds.push_burst)
        self._checkpoint: Checkpoint | None = None
        self._unsaved: list[Batch] = []
        self._unsaved_floors: set[Origin] = set()
        self._orphaned = True
        """Whether a log of our own may hold what others never get."""

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
        """The disk has `ready.save`; the answer holds the receipt and what to ask for next. What is not held any more
        says nothing of another batch in its place."""
        for batch in filter(self.has, ready.save):
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

    def ask_again(self, origin: Origin, now: float) -> Ready:
        """What the shell expected to come by itself, and so may not have asked for, does not come: ask a peer now."""
        asked = self._repair.again(origin, now)
        if asked is None:
            return Ready()
        peer, after = asked
        return Ready(send=((peer, Fetch(self.epoch, after)),))

    # Heads and batches.

    def _compare(self, peer: str, digest: Digest, now: float) -> Ready:
        self._repair.meet(peer, digest.sender)
        self._repair.forget_left(peer)
        admitted, refused = self._admit(digest.identities)
        self._learn(peer, digest.heads)
        for origin in digest.heads:
            self._freshness.advance(self._log(origin))
        for origin, heartbeat in digest.heartbeats.items():
            own = origin == self.origin
            if not (heartbeat.at > self.latest_of_region() if own else self._freshness.is_news(origin, heartbeat)):
                continue
            fault = self._fault_of_heartbeat(origin, heartbeat)
            if fault:
                refused += self._refuse(fault, origin)
            elif own:
                self._echoed_at = heartbeat.at
            else:
                self._freshness.note(origin, heartbeat, self._log(origin))
        self._freshness.settle(peer, digest.heads, self._logs)
        self._repair.aim(peer, digest.heads)
        self._check_joined()
        return Ready(send=self._ask(peer, now), identities=admitted, refused=refused)

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
                self._orphaned = True
            elif taken == "other_history":
                refused += self._refuse(taken, batch.origin)
            elif taken == "stopped":
                self.refused["stopped"] += 1
        adopted = self._adopt((batch.origin for batch in new), now)
        # What is in doubt came as a proof: who sends that holds one of the two, and not which.
        believed = [batch for batch in believed if self._log(batch.origin).certain(batch.last) == batch.last]
        self._learn(peer, heads_of(believed))
        self._repair.answered(peer, delta.part, now)
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

    def _learn(self, peer: str, heads: Heads) -> None:
        self._repair.learn(peer, heads)
        if self._repair.held(peer, self.origin) > self._log(self.origin).head:
            self.overtaken = True

    def _receipt(self, peer: str, batches: Sequence[Batch]) -> tuple[tuple[str, Message], ...]:
        heads = {batch.origin: self._log(batch.origin).told_head() for batch in batches}
        return ((peer, Ack(self.epoch, heads)),) if heads else ()

    def _ask(self, peer: str, now: float) -> tuple[tuple[str, Message], ...]:
        lacking = self._repair.lacking(peer, now)
        return ((peer, Fetch(self.epoch, lacking)),) if lacking else ()

    def _check_joined(self) -> None:
        self.joined = self.joined or self._repair.caught_up()

    # Checkpoints.

    def _believe(self, peer: str, checkpoint: Checkpoint, now: float) -> Ready:
        """A peer cannot send what it has pruned; what that was is over."""
        left = self._has_left(checkpoint.maker)
        fault = "left" if left else fault_of_checkpoint(self.identities, checkpoint)
        if fault:
            return Ready(refused=self._refuse(fault, checkpoint.maker))
        self._claim(checkpoint)
        adopted = self._adopt(checkpoint.floors, now)
        return Ready(adopted=adopted, answer_to=peer if adopted else "")

    def _claim(self, checkpoint: Checkpoint) -> None:
        for origin, floor in checkpoint.floors.items():
            if origin in self.identities and self._limit(origin) != 0:
                self._log(origin).claim(checkpoint.maker, checkpoint.made_at, floor)

    def _adopt(self, origins: Iterable[Origin], now: float) -> dict[Origin, int]:
        """The logs that can go on from a claimed floor now. Our own cannot: who forgot it begins a new one (rule 8)."""
        adopted = {}
        for log in map(self._log, dict.fromkeys(origins)):
            if log.origin != self.origin and log.adopt(self._limit(log.origin)):
                adopted[log.origin] = log.floor.sequence
                self._freshness.advance(log)
        if adopted:
            self._renew_checkpoint(now, self._checkpoint)
        return adopted

    def _renew_checkpoint(self, now: float, before: Checkpoint | None) -> Checkpoint | None:
        """Say anew where our logs begin, later than before whatever the clock says."""
        found = floors(self._logs)
        if found or before is not None:
            made_at = max(float(now), before.made_at + 0.001 if before else 0.0)
            unsigned = Checkpoint(self.epoch, self.origin, made_at, found)
            signature = self._signer.sign(self.identities.checkpoint_content(unsigned))
            self._checkpoint = replace(unsigned, signature=signature)
        return self._checkpoint

    def _answers(self, after: Sequences) -> Iterator[Message]:
        """The answer to a fetch; our checkpoint goes first when it asks for what we have pruned."""
        pruned = any(
            origin in self._logs and sequence < self._logs[origin].floor.sequence for origin, sequence in after.items()
        )
        if pruned and self._checkpoint is not None:
            yield self._checkpoint
        logs = (self._logs[origin] for origin in sorted(after) if origin in self._logs)
        parts = (part for log in logs for part in log.answer(after[log.origin]))
        yield from pages(self.epoch, parts, self._bounds)

    # Why something is not believed.

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
        if self._has_left(origin):
            return "left"
        content = self.identities.heartbeat_content(origin, heartbeat)
        return self.identities.fault(origin, content, heartbeat.signature)

    def _fault_of_batch(self, batch: Batch) -> str:
        """Why a batch is not its origin's, or not whole; empty if it is."""
        if batch.encoded_bytes > MAX_BATCH_BYTES:
            return "oversized"
        if chain_of(batch) != batch.chain:
            return "bad_chain"
        if self._has_left(batch.origin) and batch.last > (self.identities.limit(batch.origin) or 0):
            return "left"
        return self.identities.fault(batch.origin, self.identities.batch_content(batch), batch.signature)

    def _limit(self, origin: Origin) -> float:
        """How far an origin is believed here. Our own logs stay as they are, whoever believes them."""
        limit = None if self._is_ours(origin) else self.identities.limit(origin)
        return inf if limit is None else limit

    def _is_ours(self, origin: Origin) -> bool:
        """Ours is what our key has signed, and what it signs now, even if nobody believes it any more."""
        return origin == self.origin or self.identities.get(origin) == self._signer.public_key

    def _has_left(self, origin: Origin) -> bool:
        """Whether an origin that was believed once is so no more, or up to its limit only."""
        return origin in self.identities and self.identities.has_left(origin)

    def _refuse(self, reason: str, origin: Origin) -> tuple[tuple[str, Origin], ...]:
        self.refused[reason] += 1
        return ((reason, origin),)


def fault_of_checkpoint(identities: Identities, checkpoint: Checkpoint) -> str:
    """Why a checkpoint is not what its maker signed; empty if it is. It needs no checksum of its own."""
    return identities.fault(checkpoint.maker, identities.checkpoint_content(checkpoint), checkpoint.signature)
