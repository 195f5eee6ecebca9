"""One origin's log as a node holds it: a durable prefix without gaps, and batches that came ahead of it.

A batch is *seen* when it arrives and *saved* when the disk has it. `applied` counts what was seen without a gap,
`head` what was also saved: only the head is told to others.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from typing import Literal

from stsd.revocation.messages import Batch, Origin

Taken = Literal["new", "known", "fork"]


class Log:
    """The batches of `origin`."""

    def __init__(self, origin: Origin) -> None:
        self.origin = origin
        self.head = 0
        self.applied = 0
        self.applied_at = 0.0
        """When the origin began to store the last applied batch: all it acknowledged before is applied here."""
        self._firsts: list[int] = []
        self._batches: dict[int, Batch] = {}
        self._unsaved: set[int] = set()

    def take(self, batch: Batch) -> Taken:
        """Note a batch that arrived. A `fork` claims sequences that another batch holds; it is not kept."""
        known = self._batches.get(batch.first)
        if known is not None:
            return "known" if known == batch else "fork"
        if self._overlaps(batch):
            return "fork"
        insort(self._firsts, batch.first)
        self._batches[batch.first] = batch
        self._unsaved.add(batch.first)
        while (following := self._batches.get(self.applied + 1)) is not None:
            self.applied, self.applied_at = following.last, max(self.applied_at, following.made_at)
        return "new"

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

    def _overlaps(self, batch: Batch) -> bool:
        at = bisect_left(self._firsts, batch.first)
        before = at > 0 and self._batches[self._firsts[at - 1]].last >= batch.first
        behind = at < len(self._firsts) and self._firsts[at] <= batch.last
        return before or behind
