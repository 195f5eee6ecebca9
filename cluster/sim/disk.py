"""A disk as a journal sees it: what is synced survives, what is not may be lost from any point on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cluster.sim.scheduler import Scheduler
from stsd.revocation.messages import Batch, Origin

SYNC_S = 0.002
SLOW_SYNC_S = 0.8

Persisted = Callable[[Batch], None]


@dataclass(frozen=True, slots=True, eq=False)
class _Write:
    rows: tuple[Batch, ...]
    done: Callable[[bool], None]


class Disk:
    """One node's journal. `persisted` hears of every batch that reaches the platter."""

    def __init__(self, scheduler: Scheduler, persisted: Persisted) -> None:
        self.rows: dict[tuple[Origin, int], Batch] = {}
        self.entries: set[bytes] = set()
        self.incarnation = ""
        self.slow = False
        self.full = False
        self._scheduler = scheduler
        self._persisted = persisted
        self._flying: list[_Write] = []
        self._busy_until = 0.0

    def write(self, rows: Sequence[Batch], done: Callable[[bool], None]) -> None:
        """Write and sync; `done` hears whether it worked, and nothing if the node crashes before."""
        write = _Write(tuple(rows), done)
        self._flying.append(write)
        self._begin(write)

    def recover(self) -> None:
        """Slow or full no more; what waits in the queue is written at the usual speed."""
        self.slow = self.full = False
        self._busy_until = 0.0
        for write in self._flying:
            self._begin(write)

    def crash(self) -> None:
        """Power is gone: of what was not synced, the first part may have got through."""
        unsynced = [batch for write in self._flying for batch in write.rows]
        for batch in unsynced[: self._scheduler.random.randint(0, len(unsynced))]:
            self._store(batch)
        self._flying.clear()
        self._busy_until = 0.0

    def empty(self) -> None:
        """A new disk."""
        self.rows.clear()
        self.entries.clear()
        self.incarnation = ""

    def _begin(self, write: _Write) -> None:
        latency_s = SLOW_SYNC_S if self.slow else SYNC_S
        begins_at = max(self._busy_until, self._scheduler.now)
        self._busy_until = begins_at + latency_s * (0.5 + self._scheduler.random.random())
        self._scheduler.after(self._busy_until - self._scheduler.now, lambda: self._sync(write))

    def _sync(self, write: _Write) -> None:
        if write not in self._flying:
            return
        self._flying.remove(write)
        if not self.full:
            for batch in write.rows:
                self._store(batch)
        write.done(not self.full)

    def _store(self, batch: Batch) -> None:
        self._persisted(batch)
        self.rows.setdefault((batch.origin, batch.first), batch)
        self.entries.update(batch.entries)
