"""The shell of one simulated node: what a server does around a replica, with a modelled disk and network.

It keeps the order of every effect: apply, save, tell the replica, send. A crash forgets all that is not on the disk.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from cluster.sim import client
from cluster.sim.client import Request
from stsd.principal import Session
from stsd.revocation.entries import decode_revocation
from stsd.revocation.identity import SEED_BYTES, Signer
from stsd.revocation.messages import Batch, Checkpoint, Message, Origin, Ready, new_incarnation
from stsd.revocation.pruning import Pruned
from stsd.revocation.replica import DIGEST_INTERVAL_S, Replica, fault_of_checkpoint, whole
from stsd.revocation.revocation_set import Denial, RevocationSet

if TYPE_CHECKING:
    from cluster.sim.world import World

WAIT_FOR_COPY_S = 0.3
COPIES = 2
PRUNE_INTERVAL_S = 0.7
PRUNE_BATCHES = 20
CLUSTER_KEY = b"simulated cluster".ljust(32, b".")


@dataclass(slots=True)
class _Waiting:
    sequence: int
    requests: list[Request]
    until: float


@dataclass(slots=True)
class Process:
    """What a crash destroys."""

    replica: Replica
    revoked: RevocationSet
    started_at: float
    known: set[bytes] = field(default_factory=set)
    queue: list[Request] = field(default_factory=list)
    saving: list[Request] = field(default_factory=list)
    waiting: list[_Waiting] = field(default_factory=list)


class SimNode:
    """One node. `known` (in its process) is the world's own record of which entries arrived here."""

    def __init__(self, world: World, name: str, skew_s: float) -> None:
        self.world, self.name, self.skew_s = world, name, skew_s
        self.disk = world.new_disk(name)
        self.process: Process | None = None
        self.wiped = False
        self.unknown_kinds: frozenset[str] = frozenset()
        """Kinds of revocations that a node of an earlier version does not know; nor does it know checkpoints."""

    @property
    def now(self) -> float:
        """This node's clock, Unix seconds."""
        return self.world.unix_now + self.skew_s

    @property
    def serving(self) -> Process | None:
        """The process, if it answers clients."""
        return self.process if self.process and self.process.replica.joined else None

    def start(self) -> None:
        """Begin a process from what is on the disk."""
        joined = bool(self.disk.incarnation) or not self.wiped
        disk, entropy = self.disk, self.world.scheduler.random.randbytes
        disk.seed = disk.seed or entropy(SEED_BYTES)
        disk.incarnation = disk.incarnation or new_incarnation(entropy)
        identities = self.world.kinds.identities(CLUSTER_KEY)
        identities.restore(disk.identities)
        origin = Origin(self.name, "n1", disk.incarnation)
        peers = [name for name in self.world.names if name != self.name]
        replica = self.world.kinds.replica(
            origin,
            peers,
            self.now,
            joined=joined,
            signer=Signer(disk.seed),
            identities=identities,
            pruning=self.world.kinds.pruning(client.entry_over_at, client.TAIL_S),
        )
        rules = {kind: rule for kind, rule in client.RULES.items() if kind not in self.unknown_kinds}
        self.process = process = Process(replica, self.world.kinds.revocations(rules), self.now)
        damaged_rows = self.damaged_rows()
        for batch in damaged_rows:
            disk.drop(batch)
        damaged = bool(damaged_rows)
        if disk.checkpoint is not None and fault_of_checkpoint(identities, disk.checkpoint):
            disk.checkpoint, damaged = None, True
        self.apply(replica.restore(list(disk.rows.values()), disk.forks, disk.checkpoint, damaged=damaged))
        process.known.update(disk.entries)
        self.world.checks.restored(self)
        if damaged or self.unknown_kinds:
            self.world.checks.starts_anew(self)
        self.flush(process)
        disk.identities = identities.announcements()
        chance = self.world.scheduler.random
        self.world.scheduler.after(chance.random() * 0.1, lambda: self._tick(process))
        self.world.scheduler.after(chance.random() * PRUNE_INTERVAL_S, lambda: self.prune(process))

    def damaged_rows(self) -> list[Batch]:
        """The rows whose checksum is wrong."""
        return [batch for batch in self.disk.rows.values() if not whole(batch)]

    def renew(self, process: Process) -> None:
        """Go on under a new incarnation when the old one cannot be continued; what it alone knew is written anew."""
        if not process.replica.overtaken or process.saving:
            return
        self.disk.incarnation = new_incarnation(self.world.scheduler.random.randbytes)
        process.replica.renew(self.disk.incarnation)

    def write_anew(self, process: Process) -> None:
        """What former incarnations wrote and others may never get goes first."""
        queued = {asked.entry for asked in process.queue}
        orphans = [entry for batch in process.replica.orphans(self.now) for entry in batch.entries]
        process.queue[:0] = [self.world.requests[entry] for entry in orphans if entry not in queued]

    def crash(self) -> None:
        """Stop at once."""
        self.process = None
        self.disk.crash()

    def receive(self, sender: str, message: Message) -> None:
        """A message has arrived."""
        process = self.process
        if process is None or (self.unknown_kinds and isinstance(message, Checkpoint)):
            return  # a node of an earlier version refuses what it cannot read
        self.act(process.replica.receive(sender, message, self.now))
        self.world.checks.received(self, message)
        self._answer_waiting(process)

    def revoke(self, asked: Request) -> None:
        """A client asks; the answer comes when it is stored, and has a second copy or has waited for one."""
        if self.process is not None:
            self.process.queue.append(asked)
            self.flush(self.process)

    def verify(self, session: Session) -> Denial | None:
        """Why this node refuses a session, or None."""
        assert self.process is not None
        return self.process.revoked.check(session, self.now)

    def flush(self, process: Process) -> None:
        """Group commit: everything that waits goes into one batch, one batch at a time."""
        self.renew(process)
        if process.saving:
            return
        self.write_anew(process)
        if not process.queue:
            return
        process.saving, process.queue = process.queue, []
        batch = process.replica.append([asked.entry for asked in process.saving], self.now)
        self.save_own(process, batch)

    def save_own(self, process: Process, batch: Batch) -> None:
        """Store our own batch; only then it has happened."""
        self.disk.write([batch], lambda ok: self.stored_own(process, batch, ok))

    def stored_own(self, process: Process, batch: Batch, ok: bool) -> None:
        """The disk answered about our own batch."""
        requests, process.saving = process.saving, []
        if ok:
            self.act(process.replica.committed(batch, self.now))
            process.known.update(batch.entries)
            self._number(process, requests, batch)
        else:
            process.replica.abandon(batch)
        self.flush(process)

    def act(self, ready: Ready) -> None:
        """Carry out what the replica decided, in order."""
        process = self.process
        assert process is not None
        self.apply(ready.applied)
        self.disk.identities += ready.identities
        self.disk.forks += ready.forks
        self.world.tally.forks += len(ready.forks)
        self.world.tally.refused += len(ready.refused)
        self.world.tally.adopted += len(ready.adopted)
        if ready.stores:
            self.save(process, ready)
        self.send(ready)

    def save(self, process: Process, ready: Ready) -> None:
        """Store what came from others, then give the receipt."""
        checkpoint = process.replica.checkpoint() if ready.adopted else None
        self.disk.write(ready.save, lambda ok: self._stored(process, ready, ok), checkpoint=checkpoint)

    def prune(self, process: Process) -> None:
        """A step, as the server takes them."""
        if process is not self.process:
            return
        pruned = process.replica.prune(self.now, PRUNE_BATCHES)
        if pruned is not None:
            self.world.tally.pruned += len(pruned.dropped)
            self.store_pruned(process, pruned)
        self.world.scheduler.after(PRUNE_INTERVAL_S, lambda: self.prune(process))

    def store_pruned(self, process: Process, pruned: Pruned) -> None:
        """Rows go and the checkpoint comes, in one transaction."""
        done = partial(self._pruned, process, pruned)
        self.disk.write((), done, gone=pruned.dropped, checkpoint=pruned.checkpoint)

    def _pruned(self, process: Process, pruned: Pruned, ok: bool) -> None:
        if not ok:
            process.replica.not_pruned(pruned)

    def apply(self, batches: Sequence[Batch]) -> None:
        """Enforce."""
        assert self.process is not None
        for batch in batches:
            for entry in batch.entries:
                self.process.revoked.add(decode_revocation(entry), batch.origin.region, self.now)

    def send(self, ready: Ready) -> None:
        """Hand messages to the network."""
        for peer, message in ready.send:
            self.world.checks.sends(self, message)
            self.world.network.send(self.name, peer, message)

    def _stored(self, process: Process, ready: Ready, ok: bool) -> None:
        if ok:
            self.act(process.replica.saved(ready, self.now))
        else:
            process.replica.failed(ready)

    def _tick(self, process: Process) -> None:
        if process is not self.process:
            return
        self.act(process.replica.tick(self.now))
        process.revoked.forget(self.now)
        self.flush(process)
        self.world.checks.ticked(self)
        self.world.scheduler.after(DIGEST_INTERVAL_S, lambda: self._tick(process))

    def _number(self, process: Process, requests: list[Request], batch: Batch) -> None:
        for sequence, asked in enumerate(requests, batch.first):
            asked.origin, asked.sequence, asked.stored_at = batch.origin, sequence, self.world.scheduler.now
            asked.token = process.replica.token(sequence)
        waiting = _Waiting(batch.last, requests, self.world.scheduler.now + WAIT_FOR_COPY_S)
        process.waiting.append(waiting)
        self.world.scheduler.after(WAIT_FOR_COPY_S, lambda: self._answer_waiting(process))

    def _answer_waiting(self, process: Process) -> None:
        if process is not self.process:
            return
        for waiting in list(process.waiting):
            enough = process.replica.copies(waiting.sequence) >= COPIES
            if enough or self.world.scheduler.now >= waiting.until:
                process.waiting.remove(waiting)
                self.acknowledge(waiting.requests, process.replica.holders(waiting.sequence))

    def acknowledge(self, requests: Sequence[Request], holders: tuple[str, ...]) -> None:
        """Answer clients."""
        for asked in requests:
            self.world.checks.acknowledges(self, asked, (self.name, *holders))
