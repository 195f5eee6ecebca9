"""Who has the root key of a simulated cluster (stsd.server.peers_command): removes nodes, and lets machines join.

The operator gives a record to one node, and what that node knows decides how far the leaver is believed. Nodes tell
each other; the operator looks whether they do, and gives the record to another one if whoever had it is gone. A machine
with a ticket asks one node after the other, over the same links as everything else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from cluster.sim.membership import url
from stsd.revocation import joining
from stsd.revocation.identity import SEED_BYTES, Signer
from stsd.revocation.joining import CHALLENGE_BYTES, HeldTicket
from stsd.revocation.peer_records import Left, Peer, sign_left, sign_peer

if TYPE_CHECKING:
    from cluster.sim.node import SimNode
    from cluster.sim.world import World

TRIES_EVERY_S = 0.4
ROOT = Signer(b"the operator's root key".ljust(32, b"."))


class Operator:
    """`members` is the operator's notebook: the machine of each region that was let in and not removed."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.members: dict[str, str] = {}
        self.pending = 0
        """Orders that no node has stored yet, and machines that are not let in yet."""

    def found(self, nodes: Mapping[str, SimNode]) -> None:
        """The peer set that the cluster starts with."""
        now = int(self._world.unix_now)
        peers = [Peer(node.region, node.signer.public_key, url(node.name), now) for node in nodes.values()]
        records = tuple(sign_peer(ROOT, ROOT.public_key, peer) for peer in peers)
        for node in nodes.values():
            node.disk.records, node.disk.joined = records, True
            self.members[node.region] = node.name

    def remove(self, machine: SimNode, ask: SimNode | None = None) -> bool:
        """Remove a node, also one that was removed already, where nobody has heard of that yet: then the larger heads
        count. `ask` is asked for them if it can be. Whether there was somebody to ask."""
        world, key = self._world, machine.signer.public_key
        others = [node for node in self._serving() if node is not machine]
        believers = [node for node in others if node.process and node.process.membership.believes(machine)]
        if not believers:
            return False
        asked = ask if ask in believers else world.scheduler.random.choice(believers)
        assert asked.process is not None
        furthest, identities = asked.process.replica.furthest(), asked.process.replica.identities
        heads = {origin: head for origin, head in furthest.items() if identities.get(origin) == key}
        if self.members.get(machine.region) == machine.name:
            del self.members[machine.region]
        self.pending += 1
        self._hand([sign_left(ROOT, key, Left(heads, int(world.unix_now)))], asked)
        return True

    def invite(self, region: str) -> SimNode:
        """A new machine with a ticket for a region; it asks until it is let in."""
        world = self._world
        node = world.new_machine(region)
        self.members[region] = node.name
        held = joining.read_ticket(joining.mint(ROOT, region, world.unix_now, world.scheduler.random.randbytes))
        self.pending += 1
        self._ask(node, held)
        return node

    def renew(self, node: SimNode) -> None:
        """The machine of a region has a new identity key: its old one is removed, and it is let in again at once."""
        self.remove(node)
        node.disk.seed = self._world.scheduler.random.randbytes(SEED_BYTES)
        peer = Peer(node.region, node.signer.public_key, url(node.name), int(self._world.unix_now))
        record = sign_peer(ROOT, ROOT.public_key, peer)
        node.disk.records = (*node.disk.records, record)
        self.members[node.region] = node.name
        self.pending += 1
        self._hand([record], self._somebody())

    def _serving(self) -> list[SimNode]:
        """The nodes that serve and, for all they and the operator know, belong to the cluster."""
        return [node for node in self._world.in_cluster if node.serving]

    def _somebody(self) -> SimNode | None:
        serving = self._serving()
        return self._world.scheduler.random.choice(serving) if serving else None

    def _hand(self, records: Sequence[bytes], to: SimNode | None) -> None:
        if to is not None and to.process is not None:
            to.process.membership.keep(lambda: records, lambda fault: None)
        self._world.scheduler.after(TRIES_EVERY_S, partial(self._look, records))

    def _look(self, records: Sequence[bytes]) -> None:
        processes = [self._world.nodes[machine].process for machine in self.members.values()]
        known = [process is not None and process.membership.knows(records) for process in processes]
        if all(known):
            self.pending -= 1
        else:
            self._hand(records, None if any(known) else self._somebody())

    # A machine that joins.

    def _ask(self, node: SimNode, held: HeldTicket) -> None:
        if node.disk.records or node.retired or node.removed:
            self.pending -= 1
            return
        world = self._world
        world.scheduler.after(TRIES_EVERY_S, partial(self._ask, node, held))
        sponsor = self._somebody()
        if sponsor is None:
            return
        challenge = world.scheduler.random.randbytes(CHALLENGE_BYTES)
        request = joining.ask(held, node.signer, url(node.name), node.now, challenge)

        def arrived() -> None:
            if sponsor.serving:
                sponsor.serving.membership.admit(request, answer)

        def answer(sealed: bytes) -> None:
            world.network.carry(sponsor.name, node.name, partial(self._admitted, node, held, challenge, sealed))

        world.network.carry(node.name, sponsor.name, arrived)

    def _admitted(self, node: SimNode, held: HeldTicket, challenge: bytes, sealed: bytes) -> None:
        if node.disk.records or node.retired:
            return
        content = joining.open_answer(held, node.disk.seed, challenge, sealed)
        node.disk.records = tuple(map(bytes.fromhex, content["peers"]))
        self._world.start(node)
