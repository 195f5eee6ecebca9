"""A disk as a journal sees it: what is synced survives, what is not may be lost from any point on, the last row torn.

A write is a transaction of rows that come, rows that go and the checkpoint; only rows that come may get through alone,
as a weaker journal's would. A crash may also flip a bit of what was synced long ago: bad memory, a bad cable.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from cluster.sim.scheduler import Scheduler
from stsd.revocation.messages import Announcement, Batch, Checkpoint, Fork, Origin

SYNC_S = 0.002
SLOW_SYNC_S = 0.8
FLIPS_AT_CRASH = 0.15
TEARS_AT_CRASH = 0.5
CHECKPOINT_FLIPS = 0.2
"""The share of flipped bits that are in the checkpoint."""

Persisted = Callable[[Batch], None]
Done = Callable[[bool], None]
Note = Callable[[str], None]


@dataclass(frozen=True, slots=True, eq=False)
class _Write:
    rows: tuple[Batch, ...]
    done: Done
    gone: tuple[Batch, ...]
    checkpoint: Checkpoint | None
    records: tuple[bytes, ...]


class Disk:
    """One node's journal. `persisted` hears of every batch that reaches the platter, `dropped` of every one that a
    write has taken from it, `damage` of what a crash did."""

    def __init__(
        self,
        scheduler: Scheduler,
        persisted: Persisted,
        damage: Note,
        *,
        dropped: Persisted = lambda batch: None,
        flips_at_crash: float = FLIPS_AT_CRASH,
        sync_s: float = SYNC_S,
    ) -> None:
        """`flips_at_crash`: with what probability a crash flips a bit; `sync_s`: how long a sync takes at the mean."""
        self._flips_at_crash, self._sync_s = flips_at_crash, sync_s
        self.rows: dict[tuple[Origin, int], Batch] = {}
        self.entries: Counter[bytes] = Counter()
        """How many rows have each entry: one that was written anew is in two."""
        self.damaged: set[bytes] = set()
        """Entries that this disk had and that were damaged on it, once or more."""
        self.damaged_logs: set[Origin] = set()
        """The logs in which something was."""
        self.checkpoint: Checkpoint | None = None
        self.seed = b""
        self.records: tuple[bytes, ...] = ()
        """The peer set; with the seed it is in the node's directory, beside the journal."""
        self.incarnation = ""
        self.joined = False
        """Whether the node has noted that it caught up once."""
        self.identities: tuple[Announcement, ...] = ()
        self.forks: tuple[Fork, ...] = ()
        self.slow = False
        self.full = False
        self._scheduler = scheduler
        self._persisted, self._dropped, self._damage = persisted, dropped, damage
        self._flying: list[_Write] = []
        self._busy_until = 0.0

    def write(
        self,
        rows: Sequence[Batch],
        done: Done,
        *,
        gone: Sequence[Batch] = (),
        checkpoint: Checkpoint | None = None,
        records: tuple[bytes, ...] = (),
    ) -> None:
        """Write and sync; `done` hears whether it worked, and nothing if the node crashes before."""
        write = _Write(tuple(rows), done, tuple(gone), checkpoint, records)
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
        chance = self._scheduler.random
        through = chance.randint(0, sum(len(write.rows) + 1 for write in self._flying))
        for write in self._flying:
            if through <= len(write.rows):
                self._tear(write, through)
                break
            if self._has_room(write):
                self._store(write)
            through -= len(write.rows) + 1
        if self.rows and chance.random() < self._flips_at_crash:
            self._flip()
        self._flying.clear()
        self._busy_until = 0.0

    def empty(self) -> None:
        """A new disk for the journal; the directory is on another one."""
        self.rows.clear()
        self.entries.clear()
        self.checkpoint = None
        self.incarnation, self.joined, self.identities, self.forks = "", False, (), ()

    def drop(self, batch: Batch) -> None:
        """Remove a row that was found damaged."""
        del self.rows[(batch.origin, batch.first)]

    def _tear(self, write: _Write, through: int) -> None:
        for batch in write.rows[:through]:
            self._keep(batch)
        if through < len(write.rows) and self._scheduler.random.random() < TEARS_AT_CRASH:
            torn = write.rows[through]
            self.rows.setdefault((torn.origin, torn.first), replace(torn, entries=(torn.entries[0][:-1],)))
            self._damage("torn_record")

    def _flip(self) -> None:
        self._damage("bit_flip")
        chance = self._scheduler.random
        if self.checkpoint is not None and chance.random() < CHECKPOINT_FLIPS:
            self.damaged_logs.update(self.checkpoint.floors)
            self.checkpoint = replace(self.checkpoint, made_at=self.checkpoint.made_at + 1.0)
            return
        place = chance.choice(list(self.rows))
        batch = self.rows[place]
        self._count(batch, -1)
        self.damaged.update(batch.entries)
        self.damaged_logs.add(batch.origin)
        entry = bytes([batch.entries[0][0] ^ 1]) + batch.entries[0][1:]
        self.rows[place] = replace(batch, entries=(entry, *batch.entries[1:]))

    def _begin(self, write: _Write) -> None:
        latency_s = SLOW_SYNC_S if self.slow else self._sync_s
        begins_at = max(self._busy_until, self._scheduler.now)
        self._busy_until = begins_at + latency_s * (0.5 + self._scheduler.random.random())
        self._scheduler.after(self._busy_until - self._scheduler.now, lambda: self._sync(write))

    def _sync(self, write: _Write) -> None:
        if write not in self._flying:
            return
        self._flying.remove(write)
        stored = not self.full and self._has_room(write)
        if stored:
            self._store(write)
        write.done(stored)

    def _has_room(self, write: _Write) -> bool:
        """Whether no row of another history is in the place of one that comes."""
        return all(self.rows.get((batch.origin, batch.first), batch) == batch for batch in write.rows)

    def _store(self, write: _Write) -> None:
        for batch in write.rows:
            self._keep(batch)
        for batch in write.gone:
            if self.rows.get((batch.origin, batch.first)) == batch:
                del self.rows[(batch.origin, batch.first)]
                self._count(batch, -1)
                self._dropped(batch)
        self.checkpoint = write.checkpoint or self.checkpoint
        self.records = write.records or self.records

    def _keep(self, batch: Batch) -> None:
        if self.rows.setdefault((batch.origin, batch.first), batch) is batch:
            self._persisted(batch)
            self._count(batch, 1)

    def _count(self, batch: Batch, step: int) -> None:
        for entry in batch.entries:
            self.entries[entry] += step
            if self.entries[entry] <= 0:
                del self.entries[entry]
