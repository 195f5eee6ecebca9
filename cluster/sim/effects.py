"""What a simulated node does about what its replica decided, in order: apply, save, tell the replica, send."""

from __future__ import annotations

from collections.abc import Sequence

from cluster.sim.machine import Machine, Process
from stsd.revocation.entries import decode_revocation
from stsd.revocation.messages import Batch, Ready, Sent


class Effects(Machine):
    """Of one node."""

    def act(self, ready: Ready) -> None:
        """Carry out what the replica decided."""
        process = self.process
        assert process is not None
        self.apply(ready.applied)
        self.disk.identities += ready.identities
        self.disk.forks += ready.forks
        self.world.tally.forks += len(ready.forks)
        self.world.found_forked([fork.origin for fork in ready.forks])
        self.world.tally.refused += len(ready.refused)
        self.world.tally.adopted += len(ready.adopted)
        if ready.stores:
            self.save(process, ready)
        self.send(ready)

    def save(self, process: Process, ready: Ready) -> None:
        """Store what came from others, then give the receipt."""
        checkpoint = process.replica.checkpoint() if ready.adopted else None
        self.disk.write(ready.save, lambda ok: self._stored(process, ready, ok), checkpoint=checkpoint)

    def _stored(self, process: Process, ready: Ready, ok: bool) -> None:
        if ok:
            self.act(process.replica.saved(ready, self.now))
        else:
            process.replica.failed(ready)

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
