"""The replication of an experiment in virtual time: the real cores on modelled disks, with no bad luck but its faults.

The checks of `sim.invariants` hold at every event here too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import cast

from cluster.faults import Links
from cluster.history import Outcome
from cluster.node_metrics import NodeCounts
from cluster.sim import client
from cluster.sim.client import Request
from cluster.sim.disk import Disk
from cluster.sim.kinds import Kinds
from cluster.sim.machine import Process
from cluster.sim.node import SimNode
from cluster.sim.world import World
from cluster.virtual.calls import Calls
from stsd.principal import Principal, Session
from stsd.revocation.messages import Batch, Digest, Sent
from stsd.revocation.revocation_set import Revocation

SYNC_S = 0.001
"""One group commit: a quarter of a millisecond at the disk, the rest on the way to the journal's thread and back."""
SESSION_S = 3600
ACCOUNT = "111122223333"
FROZEN_S = 0.05
"""How often a paused node looks whether it may go on."""
ROLE = Principal(
    "assumed_role",
    ACCOUNT,
    f"arn:aws:sts::{ACCOUNT}:assumed-role/deploy/experiment",
    "AROADEPLOY:experiment",
    f"arn:aws:iam::{ACCOUNT}:role/deploy",
    "AROADEPLOY",
    "deploy",
)


class LabNode(SimNode):
    """A node that can be stopped where it is, and that tells who asked it what came of it."""

    def __init__(self, world: World, name: str, skew_s: float) -> None:
        super().__init__(world, name, skew_s)
        self.paused = False
        self._frozen: list[tuple[str, Sent]] = []

    def receive(self, sender: str, message: Sent) -> None:
        """A paused node reads nothing until it goes on."""
        if self.paused:
            self._frozen.append((sender, message))
            return
        super().receive(sender, message)
        if isinstance(message, Digest) and self.process is not None:
            # As the server: who has just started need not wait for our next tick.
            cast("Replication", self.world).calls.answer(self.name, sender, self.process.replica.digest())

    def resume(self) -> None:
        """Takes in what has come meanwhile."""
        self.paused, frozen, self._frozen = False, self._frozen, []
        for sender, message in frozen:
            super().receive(sender, message)

    def crash(self) -> None:
        """A killed process is not paused any more either."""
        self.paused = False
        self._frozen.clear()
        super().crash()

    def acknowledge(self, requests: Sequence[Request], holders: tuple[str, ...]) -> None:
        """Answers, and says so."""
        super().acknowledge(requests, holders)
        self._tell(requests, "ok")

    def stored_own(self, process: Process, batch: Batch, ok: bool) -> None:
        """What cannot be stored is refused (contract 10)."""
        refused = [] if ok else list(process.saving)
        super().stored_own(process, batch, ok)
        self._tell(refused, "failed")

    def _tell(self, requests: Sequence[Request], outcome: Outcome) -> None:
        for asked in requests:
            cast("Replication", self.world).answered(asked, outcome)

    def _tick(self, process: Process) -> None:
        if self.paused:
            self.world.scheduler.after(FROZEN_S, lambda: self._tick(process))
        else:
            super()._tick(process)


class Replication(World):
    """A node in each region. `answered` hears what came of a revocation."""

    def __init__(self, seed: int, links: Links, replay: str) -> None:
        super().__init__(
            seed, kinds=Kinds(node=LabNode), replay=replay, skew_s_max=0.0, regions=links.regions, lonely=True
        )
        self.answered: Callable[[Request, Outcome], None] = lambda asked, outcome: None
        self.calls = Calls(self.scheduler, self._deliver, links)
        self.network = self.calls

    def new_disk(self, name: str) -> Disk:
        """A crash loses what was not synced, and does no other harm."""
        persisted, dropped = partial(self.checks.persisted, name), partial(self.checks.dropped, name)
        return Disk(self.scheduler, persisted, lambda _: None, dropped=dropped, flips_at_crash=0.0, sync_s=SYNC_S)

    def node(self, region: str) -> LabNode:
        """A region's node."""
        return cast(LabNode, self.nodes[region])

    def session(self, region: str, number: int) -> Session:
        """A session that a region's node issues."""
        return session(region, number, self.nodes[region].now)

    def revoke(self, region: str, session: Session) -> Request:
        """A client asks a region to revoke a session."""
        revocation = Revocation(
            "access_key", session.access_key_id, 0, session.expires_at, f"request {len(self.requests)}"
        )
        asked = client.request(revocation, region, self.scheduler.now, session)
        self.requests[asked.entry] = asked
        self.tally.requests += 1
        self.nodes[region].revoke(asked)
        return asked

    def lose_disk(self, region: str, *, journal_only: bool) -> None:
        """What a killed node had stored is gone; its identity too, unless the journal alone is lost."""
        node = self.nodes[region]
        node.disk.empty()
        node.wiped = True
        if not journal_only:
            self.operator.renew(node)
        self.checks.starts_anew(node)

    def counts(self) -> dict[str, NodeCounts]:
        """What each node that runs knows of every origin."""
        return {
            name: NodeCounts(
                {str(origin): float(head) for origin, head in node.process.replica.heads().items() if head}
            )
            for name, node in self.nodes.items()
            if node.process is not None
        }


def session(region: str, number: int, now: float) -> Session:
    """A session of the role, issued by a node whose clock says `now`."""
    return Session(
        access_key_id=f"ASIA{number:06d}",
        principal=ROLE,
        token_id=f"t{number}",
        key_id="k",
        issuer="sim",
        region=region,
        issued_at_ms=int(now * 1000),
        expires_at=int(now) + SESSION_S,
    )
