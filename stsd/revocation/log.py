"""One origin's log as a node holds it: a durable prefix without gaps, and batches that came ahead of it.

A batch is *seen* when it arrives and *saved* when the disk has it. `applied` counts what was seen without a gap,
`head` what was also saved: only the head is told to others.

Two batches that claim one place, or neighbours of which the second does not follow the first, are a *fork*. From then
on the log takes nothing more; what it holds stays.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from typing import Literal

from stsd.revocation.messages import Batch, Fork, Head, Origin

Taken = Literal["new", "known", "fork", "stopped"]


class Log:
    """The batches of `origin`; `genesis` is the chain hash before the first. Signatures were checked before."""

    def __init__(self, origin: Origin, genesis: bytes) -> None:
        self.origin = origin
        self.head = 0
        self.applied = 0
        self.applied_at = 0.0
        """When the origin began to store the last applied batch: all it acknowledged before is applied here."""
        self.fork: Fork | None = None
        self._chains = {0: genesis}
        self._firsts: list[int] = []
        self._batches: dict[int, Batch] = {}
        self._unsaved: set[int] = set()

    def take(self, batch: Batch) -> Taken:
        """Note a batch that arrived. One that makes a `fork` is kept as evidence only."""
        if self.has(batch):
            return "known"
        if self.fork is not None:
            return "stopped"
        held = self._excludes(batch)
        if held is not None:
            self.fork = Fork(self.origin, held, batch)
            return "fork"
        insort(self._firsts, batch.first)
        self._batches[batch.first] = batch
        self._chains[batch.last] = batch.chain
        self._unsaved.add(batch.first)
        while (following := self._batches.get(self.applied + 1)) is not None:
            self.applied, self.applied_at = following.last, max(self.applied_at, following.made_at)
        return "new"

    def has(self, batch: Batch) -> bool:
        """Whether exactly this batch was seen before."""
        return self._batches.get(batch.first) == batch

    def cut(self, limit: int) -> tuple[Batch, ...]:
        """Take back all batches that end above `limit`, and return them."""
        above = tuple(batch for batch in self.seen() if batch.last > limit)
        for batch in above:
            self._firsts.remove(batch.first)
            del self._batches[batch.first], self._chains[batch.last]
            self._unsaved.discard(batch.first)
        first = above[0].first if above else self.applied + 1
        self.applied, self.head = min(self.applied, first - 1), min(self.head, first - 1)
        return above

    def chained_head(self) -> Head:
        """The head, with its chain hash."""
        return Head(self.head, self._chains[self.head])

    def chain_at(self, sequence: int) -> bytes | None:
        """The chain hash at the end of a batch that was seen."""
        return self._chains.get(sequence)

    def differs(self, head: Head) -> bool:
        """Whether a head says that its teller holds another history than this one. Only batches prove it."""
        return 0 < head.sequence <= self.applied and self._chains.get(head.sequence) != head.chain

    def saved(self, batch: Batch) -> None:
        """The disk has this batch."""
        self._unsaved.discard(batch.first)
        while (following := self._batches.get(self.head + 1)) is not None and following.first not in self._unsaved:
            self.head = following.last

    def after(self, sequence: int) -> Iterator[Batch]:
        """The saved batches that hold sequences above `sequence`, in order, up to the head."""
        at = max(bisect_right(self._firsts, sequence + 1) - 1, 0)
        while at < len(self._firsts) and self._firsts[at] <= self.head:  # a slice would copy a log of any length
            batch = self._batches[self._firsts[at]]
            if batch.last > sequence:
                yield batch
            at += 1

    def seen(self) -> Iterator[Batch]:
        """Every batch, saved or not, in order."""
        return (self._batches[first] for first in self._firsts)

    def orphans(self) -> tuple[Batch, ...]:
        """What others may never get from this log: all from a fork on, and what is behind a gap."""
        place = self.applied + 1
        if self.fork is not None:
            place = min(place, self.fork.held.first, self.fork.other.first)
        return tuple(self._batches[first] for first in self._firsts if self._batches[first].last >= place)

    def _excludes(self, batch: Batch) -> Batch | None:
        """The batch held here that cannot be in one history with this one."""
        at = bisect_left(self._firsts, batch.first)
        if at < len(self._firsts):
            behind = self._batches[self._firsts[at]]
            if behind.first <= batch.last or (behind.first == batch.last + 1 and behind.previous != batch.chain):
                return behind
        before = self._batches[self._firsts[at - 1]] if at > 0 else None
        if before is None:
            return batch if batch.first == 1 and batch.previous != self._chains[0] else None
        if before.last >= batch.first or (before.last + 1 == batch.first and before.chain != batch.previous):
            return before
        return None
