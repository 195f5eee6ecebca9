"""The same tree with the real replication core in every node, for sizes that it can be computed for.

The heads of all regions are peers of each other and each one's log; every other node belongs to one head, which is its
only peer. A head's shell passes on at once what it applies, as a tree needs; the core repairs by exchanges of heads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import cast

from cluster.latency import Link, one_way_ms
from cluster.scale.tree import LAN_S_MEAN, LAN_S_MIN
from cluster.sim import client
from cluster.sim.client import Request
from cluster.sim.disk import Disk
from cluster.sim.kinds import Kinds
from cluster.sim.machine import Machine, Process
from cluster.sim.membership import Membership
from cluster.sim.network import Network
from cluster.sim.node import SimNode
from cluster.sim.operator import ROOT
from cluster.sim.world import World
from cluster.virtual.calls import ENVELOPE_S
from cluster.virtual.replication import SYNC_S, session
from stsd.revocation.messages import Delta, Origin, Ready, Sent
from stsd.revocation.peer_set import PeerSet
from stsd.revocation.revocation_set import Revocation

NODES_MAX = 500
SETTLE_S = 4.0
"""Until every node has heard of every head."""


class TreeNode(SimNode):
    """A node of the tree. Members write nothing, so they need no heartbeat: they tell their head what they hold."""

    @property
    def _tree(self) -> TreeWorld:
        return cast("TreeWorld", self.world)

    def act(self, ready: Ready) -> None:
        """Passes on what came; its own the core has pushed to everybody."""
        process = self.process
        assert process is not None
        came = tuple(batch for batch in ready.applied if batch.origin != process.replica.origin)
        super().act(ready)
        for below in self._tree.members.get(self.name, ()) if came else ():
            push = Delta(process.replica.epoch, came, "push", process.replica.digest().identities)
            self.world.network.send(self.name, below, push)

    def tell_what_it_knows(self, process: Process) -> None:
        """Nobody comes or leaves."""

    def _tick(self, process: Process) -> None:
        if self.name in self._tree.members:
            super()._tick(process)
        elif process is self.process:
            digest = process.replica.digest()
            self.send(Ready(send=tuple((peer, digest) for peer in process.replica.peers)))
            self.world.scheduler.after(1.0, partial(self._tick, process))


class _Place(Membership):
    """The peers of a node's place in the tree, where whoever has the cluster key is believed."""

    def believes(self, machine: Machine) -> bool:
        """Everybody."""
        return True

    def limit(self, origin: Origin, public_key: bytes) -> None:
        """None."""

    def addresses(self) -> dict[str, str]:
        """By name."""
        return {name: name for name in cast("TreeWorld", self._node.world).peers(self._node.name)}


class _Wires(Network):
    """Every message by itself, with the delays of its two nodes' regions."""

    def __init__(self, world: TreeWorld, links: Mapping[tuple[str, str], Link]) -> None:
        super().__init__(world.scheduler, world._deliver, lambda *_: None, encoded=False)
        self._links = links

    def send(self, sender: str, receiver: str, message: Sent) -> None:
        """Hand a message to the link."""
        chance, pair = self._scheduler.random, (region_of(sender), region_of(receiver))
        if pair[0] == pair[1]:
            delay_s = LAN_S_MIN + chance.expovariate(1 / LAN_S_MEAN)
        else:
            delay_s = one_way_ms(self._links[pair], chance) / 1000
        self._scheduler.after(ENVELOPE_S + delay_s, lambda: self._deliver(sender, receiver, message))


@dataclass(slots=True)
class Reached:
    """When a revocation was stored and when each node had it, in virtual seconds."""

    stored_at: float | None = None
    at: list[float] = field(default_factory=list)


class TreeWorld(World):
    """`nodes` in each region; the first of a region is its head. Raises ValueError for more than NODES_MAX."""

    def __init__(self, seed: int, regions: Sequence[str], nodes: int, links: Mapping[tuple[str, str], Link]) -> None:
        if len(regions) * nodes > NODES_MAX:
            raise ValueError(f"{len(regions) * nodes} nodes are too many; exact is at most {NODES_MAX}")
        self.members = {f"{region}/0": [f"{region}/{i}" for i in range(1, nodes)] for region in regions}
        names = [name for head, below in self.members.items() for name in (head, *below)]
        replay = f"python -m cluster sim --regions {len(regions)} --nodes {nodes} --seed {seed}"
        super().__init__(seed, kinds=Kinds(node=TreeNode), replay=replay, skew_s_max=0.0, regions=names, lonely=True)
        self.network = _Wires(self, links)
        self.arrived = self._arrived
        self._reached: dict[bytes, Reached] = {}

    def peers(self, name: str) -> tuple[str, ...]:
        """A head's: the other heads and its members; a member's: its head."""
        if name not in self.members:
            return (f"{region_of(name)}/0",)
        return (*(head for head in self.members if head != name), *self.members[name])

    def found(self) -> None:
        """All are there from the start."""
        for node in self.nodes.values():
            node.disk.joined = True

    def membership(self, node: SimNode, changed: Callable[[], None]) -> Membership:
        """The place in the tree."""
        return _Place(node, PeerSet(ROOT.public_key), changed, lambda _: None)

    def new_disk(self, name: str) -> Disk:
        """One that nothing is wrong with."""
        return Disk(
            self.scheduler, partial(self.checks.persisted, name), lambda _: None, flips_at_crash=0.0, sync_s=SYNC_S
        )

    def revoke(self, head: str) -> Reached:
        """A client asks a head to revoke a session of its region."""
        node = self.nodes[head]
        one = session(head, len(self.requests), node.now)
        revocation = Revocation("access_key", one.access_key_id, 0, one.expires_at, f"request {len(self.requests)}")
        asked = client.request(revocation, head, self.scheduler.now, one)
        self.requests[asked.entry] = asked
        self._reached[asked.entry] = reached = Reached()
        node.revoke(asked)
        return reached

    def _arrived(self, node: Machine, asked: Request) -> None:
        self._reached[asked.entry].at.append(self.scheduler.now)
        self._reached[asked.entry].stored_at = asked.stored_at


def region_of(name: str) -> str:
    """The region of a node's name."""
    return name.partition("/")[0]


def delays_s(
    seed: int, regions: Sequence[str], nodes: int, links: Mapping[tuple[str, str], Link], revocations: int
) -> list[float]:
    """Seconds from the commit of a revocation until each other node has it, for revocations of all heads in turn."""
    world = TreeWorld(seed, regions, nodes, links)
    world.run(SETTLE_S)
    reached: list[Reached] = []
    heads = list(world.members)
    for number in range(revocations):
        world.scheduler.after(
            number * 0.02, partial(lambda n: reached.append(world.revoke(heads[n % len(heads)])), number)
        )
    world.run(SETTLE_S + revocations * 0.02 + SETTLE_S)
    expected = len(world.nodes) - 1
    if any(len(one.at) != expected for one in reached):
        raise RuntimeError("a revocation did not reach every node")
    return [at - one.stored_at for one in reached for at in one.at if one.stored_at is not None]
