"""What must hold when the last fault is over since a while: the final checks of `invariants`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cluster.sim.client import Request
from cluster.sim.judging import Judging
from stsd.revocation.messages import UNKNOWN, Head, Origin
from stsd.revocation.replica import DIGEST_INTERVAL_S

if TYPE_CHECKING:
    from cluster.sim.machine import Machine

STALE_S_MAX = 2 * DIGEST_INTERVAL_S


class Agreement(Judging):
    """The nodes of one world agree in the end."""

    def converged(self) -> None:
        """The last fault is over since a while (1, 3, 4)."""
        nodes = self._world.in_cluster
        self._require(not self._world.operator.pending, 3, "all", lambda: "somebody was not let in, or not removed")
        known = {node.process.membership.peers.digest() if node.process else b"" for node in nodes}
        self._require(len(known) == 1, 3, "all", lambda: "peer sets differ")
        members = {node.name for node in nodes}
        for node in self._world.nodes.values():
            if node.removed and node.process is not None and members.intersection(node.process.addresses.values()):
                self._require(False, 3, node.name, lambda: "does not know that it was removed")
        heads = [self._believed_heads(node) for node in nodes]
        forked = [{fork.origin for fork in node.process.replica.forks()} if node.process else set() for node in nodes]
        for origin in {origin for each in forked for origin in each}:
            unaware = [node.name for node, known_here in zip(nodes, forked, strict=True) if origin not in known_here]
            self._require(not unaware, 3, "all", f"{unaware} have not heard that {origin} is forked".__str__)
        for origin in {origin for each in heads for origin in each}:
            self._agree(origin, [each.get(origin, Head(0, b"")) for each in heads])
        for node in nodes:
            assert node.process is not None
            self._require(node.process.replica.joined, 3, node.name, lambda: "never joined")
            self._require(node.process.replica.all_told, 3, node.name, lambda: "applies what it has never stored")
            for batch in node.process.replica.seen():
                self._believed(node, batch)
            for asked in self._world.requests.values():
                self._kept(node, asked)

    def fresh(self) -> None:
        """And a little later nobody is stale (5); a log whose author has a new disk needs one more digest for it."""
        for node in self._world.in_cluster:
            assert node.process is not None
            stale_s = node.process.replica.oldest_staleness(node.now)
            fresh = stale_s <= STALE_S_MAX + 2 * self._world.skew_s_max
            self._require(fresh, 5, node.name, lambda: "still stale")
            silent = node.process.replica.unheard(node.now)
            self._require(not silent, 5, node.name, f"has never heard of {[*silent]}".__str__)

    def _kept(self, node: Machine, asked: Request) -> None:
        if asked.acked_at is None or all(self._lost(self._world.nodes[holder], asked) for holder in asked.holders):
            return
        kept = asked.on(node.disk.entries) or self._over(node, asked.entry)
        self._require(kept, 1, node.name, lambda: f"lost: {asked.revocation}")
        self._enforced(node, asked)

    def _agree(self, origin: Origin, places: Sequence[Head]) -> None:
        """These are one place in one history, as far as the chain hash is known."""
        one = (
            len({place.sequence for place in places}) == 1
            and len({place.chain for place in places} - {b"", UNKNOWN}) <= 1
        )
        self._require(one, 3, "all", lambda: f"heads of {origin} differ: {places}")

    def _believed_heads(self, node: Machine) -> dict[Origin, Head]:
        """Of a forked log, what all must agree on; what else of it they hold is theirs."""
        assert node.process is not None
        believed = {}
        forked = {fork.origin for fork in node.process.replica.forks()}
        for origin, head in node.process.replica.chained_heads().items():
            certain = self._certain(origin, head.sequence) if origin in forked else head.sequence
            believed[origin] = head if head.sequence <= certain else Head(certain, b"")
        return believed
