"""What a simulated node writes itself: what clients revoke, and what former incarnations or lost nodes can say no more.

As a server does it (stsd.server.writing): with group commit, an answer that waits a while for a second copy, and a new
incarnation when the old one cannot be continued.
"""

from __future__ import annotations

from collections.abc import Sequence

from cluster.sim.client import Request
from cluster.sim.effects import Effects
from cluster.sim.machine import Process, Waiting
from stsd.revocation.entries import said_anew
from stsd.revocation.messages import Batch, new_incarnation
from stsd.revocation.replica import ReplicaError

WAIT_FOR_COPY_S = 0.3
COPIES = 2


class Writing(Effects):
    """The own log of one node."""

    def revoke(self, asked: Request) -> None:
        """A client asks; the answer comes when it is stored, and has a second copy or has waited for one."""
        if self.process is not None and not self.process.membership.left:
            self.process.queue.append(asked.entry)
            self.flush(self.process)

    def flush(self, process: Process) -> None:
        """Group commit: everything that waits goes into one batch, one batch at a time."""
        self.renew(process)
        if process.saving:
            return
        self.write_anew(process)
        if not process.queue:
            return
        entries, process.queue = process.queue, []
        process.saving = [self.world.requests[entry] for entry in entries]
        batch = process.replica.append(entries, self.now)
        self.save_own(process, batch)

    def save_own(self, process: Process, batch: Batch) -> None:
        """Store our own batch; only then it has happened."""
        self.disk.write([batch], lambda ok: self.stored_own(process, batch, ok))

    def stored_own(self, process: Process, batch: Batch, ok: bool) -> None:
        """The disk answered about our own batch."""
        requests, process.saving = process.saving, []
        adopted, process.adopting = process.adopting, None
        if ok:
            self._committed(process, batch, requests, adopted)
        else:
            process.replica.abandon(batch)
        self.flush(process)

    def _committed(self, process: Process, batch: Batch, requests: list[Request], adopted: Batch | None) -> None:
        try:
            ready = process.replica.committed(batch, self.now)
        except ReplicaError:  # its log was forked while the disk wrote
            process.queue[:0] = [] if adopted is not None else batch.entries
            return
        self.act(ready)
        process.known.update(batch.entries)
        self.world.checks.hears_anew(self, batch)
        self._number(process, requests, batch)
        if adopted is not None:
            self.adopted(process, adopted)
            self.adopt(process)

    # Answers.

    def _number(self, process: Process, requests: list[Request], batch: Batch) -> None:
        for sequence, asked in enumerate(requests, batch.first):
            asked.origin, asked.sequence, asked.stored_at = batch.origin, sequence, self.world.scheduler.now
            asked.token = process.replica.token(sequence)
        waiting = Waiting(batch.last, requests, self.world.scheduler.now + WAIT_FOR_COPY_S)
        process.waiting.append(waiting)
        self.world.scheduler.after(WAIT_FOR_COPY_S, lambda: self.answer_waiting(process))

    def answer_waiting(self, process: Process) -> None:
        """Those whose revocation has a second copy by now, or who have waited for one."""
        if process is not self.process:
            return
        for waiting in list(process.waiting):
            enough = process.replica.copies(waiting.sequence) >= COPIES
            if enough or self.world.scheduler.now >= waiting.until:
                process.waiting.remove(waiting)
                self.acknowledge(waiting.requests, process.replica.holders(waiting.sequence))

    def acknowledge(self, requests: Sequence[Request], holders: tuple[str, ...]) -> None:
        """Answer clients; `holders` are the regions that have it too."""
        machines = self.process.addresses if self.process else {}
        for asked in requests:
            self.world.checks.acknowledges(self, asked, (self.name, *map(machines.__getitem__, holders)))

    # Anew.

    def renew(self, process: Process) -> None:
        """Go on under a new incarnation when the old one cannot be continued; what it alone knew is written anew."""
        if not process.replica.overtaken or process.saving:
            return
        self.disk.incarnation = new_incarnation(self.world.scheduler.random.randbytes)
        process.replica.renew(self.disk.incarnation)
        self.origins[process.replica.origin] = self.signer.public_key
        self.disk.identities = process.replica.identities.announcements()

    def write_anew(self, process: Process) -> None:
        """What former incarnations wrote and others may never get goes first."""
        orphans = [entry for batch in process.replica.orphans(self.now) for entry in batch.entries]
        process.queue[:0] = [entry for entry in orphans if entry not in process.queue]

    def adopt(self, process: Process) -> None:
        """Say ourselves what a node that left had said beyond its limit, or behind a gap, and nobody else may hear any
        more."""
        if not process.membership.left:
            process.beyond += process.replica.stranded(self.now)
        if process.beyond and not process.saving and not process.membership.left:
            batch = process.adopting = process.beyond[0]
            process.saving = [self.world.requests[entry] for entry in batch.entries]
            entries = [self.in_own_words(entry, batch.origin.region) for entry in batch.entries]
            self.world.says_anew(zip(process.saving, entries, strict=True))
            self.save_own(process, process.replica.append(entries, self.now))

    def in_own_words(self, entry: bytes, region: str) -> bytes:
        """How a node of this region says what one of another region has said."""
        return said_anew(entry, region, self.region)

    def adopted(self, process: Process, batch: Batch) -> None:
        """It is ours now."""
        process.beyond.remove(batch)
        if not process.replica.has(batch):  # a higher limit may have made its row count again
            self.disk.write((), lambda ok: None, gone=(batch,))
