"""The shell of one simulated node: what a server does around a replica, with a modelled disk and network.

It keeps the order of every effect: apply, save, tell the replica, send. A crash forgets all that is not on the disk.
"""

from __future__ import annotations

from functools import partial

from cluster.sim import client
from cluster.sim.client import region_of
from cluster.sim.machine import Process
from cluster.sim.membership import Membership
from cluster.sim.writing import Writing
from stsd.revocation.messages import Batch, Checkpoint, ClockReading, Head, Origin, PeerNews, Sent, new_incarnation
from stsd.revocation.pruning import Pruned
from stsd.revocation.replica import DIGEST_INTERVAL_S, Replica, fault_of_checkpoint, whole

PRUNE_INTERVAL_S = 0.7
PRUNE_BATCHES = 20
CLUSTER_KEY = b"simulated cluster".ljust(32, b".")


class SimNode(Writing):
    """What runs on a machine (Machine), carries out what its replica decides (Effects), and has a log (Writing)."""

    def start(self) -> None:
        """Begin a process from what is on the disk; one that knows that it was removed does not begin."""
        membership = self.world.membership(self, lambda: self._regroup(process))
        if membership is None:
            return
        replica = self._replica(membership)
        rules = {kind: rule for kind, rule in client.RULES.items() if kind not in self.unknown_kinds}
        revoked = self.world.kinds.revocations(rules)
        addresses = membership.addresses()
        self.process = process = Process(replica, revoked, membership, self.now, addresses=addresses)
        damaged = self._restore(process)
        process.known.update(self.disk.entries)
        self.world.checks.restored(self)
        if damaged or self.unknown_kinds:
            self.world.checks.starts_anew(self)
        self.flush(process)
        self.disk.identities = replica.identities.announcements()
        chance = self.world.scheduler.random
        self.world.scheduler.after(chance.random() * 0.1, lambda: self._tick(process))
        self.world.scheduler.after(chance.random() * PRUNE_INTERVAL_S, lambda: self.prune(process))

    def _replica(self, membership: Membership) -> Replica:
        disk, kinds = self.disk, self.world.kinds
        disk.incarnation = disk.incarnation or new_incarnation(self.world.scheduler.random.randbytes)
        identities = kinds.identities(CLUSTER_KEY, 0, membership.limit, left=membership.has_left)
        identities.restore(disk.identities)
        origin = Origin(self.region, "n1", disk.incarnation)
        self.origins[origin] = self.signer.public_key
        return kinds.replica(
            origin,
            list(membership.addresses()),
            self.now,
            joined=disk.joined,
            signer=self.signer,
            identities=identities,
            pruning=kinds.pruning(client.entry_over_at, client.TAIL_S),
            bounds=self.world.bounds,
        )

    def _restore(self, process: Process) -> bool:
        """Take in the journal; whether something in it was damaged."""
        disk, replica = self.disk, process.replica
        damaged_rows = self.damaged_rows()
        for batch in damaged_rows:
            disk.drop(batch)
        damaged = bool(damaged_rows)
        if disk.checkpoint is not None and fault_of_checkpoint(replica.identities, disk.checkpoint):
            disk.checkpoint, damaged = None, True
        self.apply(replica.restore(list(disk.rows.values()), disk.forks, disk.checkpoint, damaged=damaged))
        process.beyond += replica.regroup(list(process.addresses), self.now)
        return damaged

    def damaged_rows(self) -> list[Batch]:
        """The rows whose checksum is wrong."""
        return [batch for batch in self.disk.rows.values() if not whole(batch)]

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
        self.answer_waiting(process)

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
        self.answer_waiting(process)

    def tell_what_it_knows(self, process: Process) -> None:
        """Each second, of the peer set."""
        for machine in process.addresses.values():
            self.tell(machine, process.membership.news())

    # Again and again.

    def _tick(self, process: Process) -> None:
        if process is not self.process:
            return
        self.act(process.replica.tick(self.now))
        self.world.checks.caught_up(self)
        self.disk.joined = self.disk.joined or process.replica.joined
        self.tell_what_it_knows(process)
        if self.world.impatient:
            self.ask_again(process)
        process.revoked.forget(self.now)
        self.renew(process)
        self.adopt(process)
        self.flush(process)
        self.world.checks.ticked(self)
        self.world.scheduler.after(DIGEST_INTERVAL_S, lambda: self._tick(process))

    def ask_again(self, process: Process) -> None:
        """Ask for what was told and has not come, as a server on a broker does (stsd.server.backbone.nats.repairs)."""
        told = {origin: Head(sequence, b"") for origin, sequence in process.replica.furthest().items()}
        for origin, sequence in process.replica.obtainable(told).items():
            if sequence > process.replica.applied(origin)[0]:
                self.act(process.replica.ask_again(origin, self.now))

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
