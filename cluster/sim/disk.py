"""A disk as a journal sees it: what is synced survives, what is not may be lost from any point on, the last row torn.

A crash may also flip a bit of what was synced long ago: bad memory, a bad cable.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from cluster.sim.scheduler import Scheduler
from stsd.revocation.messages import Announcement, Batch, Fork, Origin

SYNC_S = 0.002
SLOW_SYNC_S = 0.8
FLIPS_AT_CRASH = 0.15
TEARS_AT_CRASH = 0.5

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
        self.damaged: set[bytes] = set()
        """Entries that this disk had and that were damaged on it, once or more."""
        self.seed = b""
        self.incarnation = ""
        self.identities: tuple[Announcement, ...] = ()
        self.forks: tuple[Fork, ...] = ()
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
        chance = self._scheduler.random
        through = chance.randint(0, len(unsynced))
        for batch in unsynced[:through]:
            self._store(batch)
        if through < len(unsynced) and chance.random() < TEARS_AT_CRASH:
            torn = unsynced[through]
            self.rows.setdefault((torn.origin, torn.first), replace(torn, entries=(torn.entries[0][:-1],)))
        if self.rows and chance.random() < FLIPS_AT_CRASH:
            self._flip(chance.choice(list(self.rows)))
        self._flying.clear()
        self._busy_until = 0.0

    def empty(self) -> None:
        """A new disk."""
        self.rows.clear()
        self.entries.clear()
        self.seed, self.incarnation, self.identities, self.forks = b"", "", (), ()

    def drop(self, batch: Batch) -> None:
        """Remove a row that was found damaged."""
        del self.rows[(batch.origin, batch.first)]

    def _flip(self, place: tuple[Origin, int]) -> None:
        batch = self.rows[place]
        self.entries.difference_update(batch.entries)
        self.damaged.update(batch.entries)
        entry = bytes([batch.entries[0][0] ^ 1]) + batch.entries[0][1:]
        self.rows[place] = replace(batch, entries=(entry, *batch.entries[1:]))

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
