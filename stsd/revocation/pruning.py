"""What a node forgets of its logs, and the checkpoint that says so (design 2.2).

A log keeps all its batches for `tail_s`, so that peers are repaired batch by batch. From its old end the floor moves
up; of what it passed, a batch stays, as its origin signed it, until its last entry is over. The batch at the floor
stays in any case, until the floor moves on: if its origin's key was stolen, and another history of the log comes, only
a signed batch of this one proves that there are two.

Whether an entry is over is told by `over_at`, a function of the entry, so that nothing here depends on what entries
mean. An entry without an end is never dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf

from stsd.revocation.log import Log
from stsd.revocation.messages import MAX_KEPT_RANGES, Batch, Checkpoint, Floor, Origin

PRUNE_BATCHES = 500
"""Looked into in one step: some milliseconds."""


def never(entry: bytes) -> float:
    """No entry is ever over."""
    return inf


@dataclass(frozen=True, slots=True)
class Pruned:
    """A step: `checkpoint` is to be stored and `dropped` to be deleted, in one transaction; None while all logs have
    their beginnings. `more`: call again."""

    checkpoint: Checkpoint | None
    dropped: tuple[Batch, ...]
    more: bool


@dataclass(frozen=True, slots=True)
class Pruning:
    """When what is dropped. `now` is Unix seconds, like everything here."""

    over_at: Callable[[bytes], float] = never
    tail_s: float = inf

    def step(self, log: Log, now: float, limit: int, *, may_move: bool) -> tuple[int, tuple[Batch, ...]]:
        """Move one log's floor by at most `limit` batches; how many, and what was dropped."""
        moved = log.prune(lambda batch: batch.made_at <= now - self.tail_s, limit) if may_move else 0
        return moved, log.forget(self._batch_over_at, now, limit)

    def is_over(self, batch: Batch, now: float) -> bool:
        """Whether a batch says nothing any more."""
        return self._batch_over_at(batch) <= now

    def _batch_over_at(self, batch: Batch) -> float:
        return max(map(self.over_at, batch.entries))


def floors(logs: Mapping[Origin, Log]) -> dict[Origin, Floor]:
    """Where the logs begin that were pruned."""
    return {origin: Floor(log.floor, log.kept()) for origin, log in logs.items() if log.floor.sequence}


def has_room(logs: Mapping[Origin, Log], limit: int) -> bool:
    """Whether a checkpoint can name what `limit` more batches would leave."""
    return sum(len(log.kept()) for log in logs.values()) + limit <= MAX_KEPT_RANGES
