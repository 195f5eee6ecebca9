"""The shell of one simulated node: what a server does around a replica, with a modelled disk and network.

It keeps the order of every effect: apply, save, tell the replica, send. A crash forgets all that is not on the disk.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from cluster.sim import client
from cluster.sim.client import Request, region_of
from cluster.sim.membership import Membership
from stsd.principal import Session
from stsd.revocation.entries import decode_revocation, said_anew
from stsd.revocation.identity import SEED_BYTES, Signer
from stsd.revocation.messages import Batch, Checkpoint, ClockReading, Origin, PeerNews, Ready, Sent, new_incarnation
from stsd.revocation.pruning import Pruned
from stsd.revocation.replica import DIGEST_INTERVAL_S, Replica, ReplicaError, fault_of_checkpoint, whole
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
    membership: Membership
    started_at: float
    known: set[bytes] = field(default_factory=set)
    queue: list[bytes] = field(default_factory=list)
    saving: list[Request] = field(default_factory=list)
    waiting: list[_Waiting] = field(default_factory=list)
    addresses: dict[str, str] = field(default_factory=dict)
    """The machine of each other region, as the peer set says."""
    beyond: list[Batch] = field(default_factory=list)
    """What nodes that left had said beyond their limit, to be said anew."""
    adopting: Batch | None = None
    """The one of them that is being stored."""


class SimNode:
    """One machine and what runs on it; its name is its address. `known` (in its process) is the world's own record of
    which entries arrived here."""

    def __init__(self, world: World, name: str, skew_s: float) -> None:
        self.world, self.name, self.skew_s = world, name, skew_s
        self.region = region_of(name)
        self.disk = world.new_disk(name)
        self.disk.seed = world.scheduler.random.randbytes(SEED_BYTES)
        self.process: Process | None = None
        self.wiped = False
        self.removed = False
        """The operator has removed it, whoever knows that already."""
        self.retired = False
        """It was switched off for good."""
        self.origins: dict[Origin, bytes] = {}
        """Under which it has written, and with which key."""
        self._signer: tuple[bytes, Signer] | None = None
        self.unknown_kinds: frozenset[str] = frozenset()
        """Kinds of revocations that a node of an earlier version does not know; nor does it know checkpoints."""

    @property
    def now(self) -> float:
        """This node's clock, Unix seconds."""
        return self.world.unix_now + self.skew_s

    @property
    def serving(self) -> Process | None:
        """The process, if it answers clients."""
        process = self.process
        return process if process and process.replica.joined and not process.membership.left else None

    @property
    def signer(self) -> Signer:
        """This machine's identity key."""
        if self._signer is None or self._signer[0] != self.disk.seed:
            self._signer = self.disk.seed, Signer(self.disk.seed)
        return self._signer[1]

    @property
    def writes_as(self) -> Origin | None:
        """Under which origin it writes, if it runs."""
        return self.process.replica.origin if self.process else None

    def start(self) -> None:
        """Begin a process from what is on the disk; one that knows that it was removed does not begin."""
        disk, entropy = self.disk, self.world.scheduler.random.randbytes
        membership = self.world.membership(self, lambda: self._regroup(process))
        if membership is None:
            return
        disk.incarnation = disk.incarnation or new_incarnation(entropy)
        identities = self.world.kinds.identities(CLUSTER_KEY, 0, membership.limit, left=membership.has_left)
        identities.restore(disk.identities)
        origin = Origin(self.region, "n1", disk.incarnation)
        self.origins[origin] = self.signer.public_key
        addresses = membership.addresses()
        replica = self.world.kinds.replica(
            origin,
            list(addresses),
            self.now,
            joined=disk.joined,
            signer=self.signer,
            identities=identities,
            pruning=self.world.kinds.pruning(client.entry_over_at, client.TAIL_S),
        )
        rules = {kind: rule for kind, rule in client.RULES.items() if kind not in self.unknown_kinds}
        revoked = self.world.kinds.revocations(rules)
        self.process = process = Process(replica, revoked, membership, self.now, addresses=addresses)
        damaged_rows = self.damaged_rows()
        for batch in damaged_rows:
            disk.drop(batch)
        damaged = bool(damaged_rows)
        if disk.checkpoint is not None and fault_of_checkpoint(identities, disk.checkpoint):
            disk.checkpoint, damaged = None, True
        self.apply(replica.restore(list(disk.rows.values()), disk.forks, disk.checkpoint, damaged=damaged))
        process.beyond += replica.regroup(list(addresses), self.now)
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
        self.origins[process.replica.origin] = self.signer.public_key

    def write_anew(self, process: Process) -> None:
        """What former incarnations wrote and others may never get goes first."""
        orphans = [entry for batch in process.replica.orphans(self.now) for entry in batch.entries]
        process.queue[:0] = [entry for entry in orphans if entry not in process.queue]

    def crash(self) -> None:
        """Stop at once."""
        self.process = None
        self.disk.crash()

    def receive(self, sender: str, message: Sent) -> None:
        """A message has arrived from a machine."""
        process = self.process
        if process is None or (self.unknown_kinds and isinstance(message, Checkpoint)):
            return  # a node of an earlier version refuses what it cannot read
        if isinstance(message, PeerNews):
            self._hear(process, sender, message)
            return
        if isinstance(message, ClockReading):
            return  # nobody asks for one here
        self.act(process.replica.receive(region_of(sender), message, self.now))
        self.world.checks.received(self, message)
        self._answer_waiting(process)

    def revoke(self, asked: Request) -> None:
        """A client asks; the answer comes when it is stored, and has a second copy or has waited for one."""
        if self.process is not None and not self.process.membership.left:
            self.process.queue.append(asked.entry)
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
        self._number(process, requests, batch)
        if adopted is not None:
            self.adopted(process, adopted)
            self.adopt(process)

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
        assert self.process is not None
        for peer, message in ready.send:
            self.tell(self.process.addresses.get(peer), message)

    def tell(self, machine: str | None, message: Sent) -> None:
        """Hand a message for a machine to the network; what is for nobody is dropped."""
        if machine is not None:
            self.world.checks.sends(self, message)
            self.world.network.send(self.name, machine, message)

    # The peer set.

    def _hear(self, process: Process, sender: str, news: PeerNews) -> None:
        def answer() -> None:
            if process is self.process:
                self.tell(sender, process.membership.news(whole=True))

        process.membership.hear(news, answer)

    def _regroup(self, process: Process) -> None:
        """The peer set grew: all are told at once, even who left, or whom we left."""
        if process is not self.process:
            return
        before, process.addresses = process.addresses, process.membership.addresses()
        news = process.membership.news(whole=True)
        for machine in dict.fromkeys((*before.values(), *process.addresses.values())):
            self.tell(machine, news)
        process.beyond += process.replica.regroup(list(process.addresses), self.now)
        self.world.regrouped(self)
        self._answer_waiting(process)

    def tell_what_it_knows(self, process: Process) -> None:
        """Each second, of the peer set."""
        for machine in process.addresses.values():
            self.tell(machine, process.membership.news())

    def adopt(self, process: Process) -> None:
        """Say ourselves what a node that left had said beyond its limit, and nobody else may believe any more."""
        if process.beyond and not process.saving and not process.membership.left:
            batch = process.adopting = process.beyond[0]
            process.saving = [self.world.requests[entry] for entry in batch.entries]
            entries = [said_anew(entry, batch.origin.region, self.region) for entry in batch.entries]
            self.world.says_anew(zip(process.saving, entries, strict=True))
            self.save_own(process, process.replica.append(entries, self.now))

    def adopted(self, process: Process, batch: Batch) -> None:
        """It is ours now."""
        process.beyond.remove(batch)
        if not process.replica.has(batch):  # a higher limit may have made its row count again
            self.disk.write((), lambda ok: None, gone=(batch,))

    def _stored(self, process: Process, ready: Ready, ok: bool) -> None:
        if ok:
            self.act(process.replica.saved(ready, self.now))
        else:
            process.replica.failed(ready)

    def _tick(self, process: Process) -> None:
        if process is not self.process:
            return
        self.act(process.replica.tick(self.now))
        self.world.checks.caught_up(self)
        self.disk.joined = self.disk.joined or process.replica.joined
        self.tell_what_it_knows(process)
        process.revoked.forget(self.now)
        self.renew(process)
        self.adopt(process)
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
        """Answer clients; `holders` are the regions that have it too."""
        machines = self.process.addresses if self.process else {}
        for asked in requests:
            self.world.checks.acknowledges(self, asked, (self.name, *map(machines.__getitem__, holders)))
