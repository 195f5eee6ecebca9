"""What the checks of `invariants` share: how far a node believes an origin, what it may lack, and how a broken one ends
a world."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING

from cluster.sim.client import Request, entry_over_at
from stsd.revocation.messages import Batch, Origin

if TYPE_CHECKING:
    from cluster.sim.machine import Machine
    from cluster.sim.world import World


class InvariantBroken(AssertionError):
    """Check `number` failed; the text says where, when, and how to see it again."""

    def __init__(self, number: int, text: str) -> None:
        super().__init__(f"invariant {number} {text}")
        self.number = number


class Judging:
    """Judges one world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.contents: dict[tuple[Origin, int], bytes] = {}
        self.acknowledged: dict[Origin, list[tuple[float, int, Request]]] = {}
        """When, sequence and request, in the order of the answers."""
        self._told: dict[tuple[str, float], list[dict[Origin, int]]] = {}
        """The heads that members told a node that has not caught up yet, by name and start."""
        self.forked_at: dict[Origin, int] = {}
        """From where on a thief has said another history of an origin, whoever knows that."""
        self._chains: dict[tuple[Origin, int], bytes] = {}
        self._checked_heads: dict[tuple[str, float, Origin], int] = {}
        self._checked_acks: dict[tuple[str, float, Origin], int] = {}

    def _believed(self, node: Machine, batch: Batch) -> None:
        assert node.process is not None
        limit = inf if batch.origin in node.origins else self._limit(node, batch.origin)
        self._require(batch.last <= limit, 11, node.name, lambda: f"{batch.origin} is believed up to {batch.last}")

    def _limit(self, node: Machine, origin: Origin) -> float:
        """How far a node should believe an origin, by the peer set that it knows."""
        assert node.process is not None
        key = next(each.origins[origin] for each in self._world.nodes.values() if origin in each.origins)
        limit = node.process.membership.limit(origin, key)
        return inf if limit is None else limit

    def forks(self, forged: Batch) -> None:
        """A thief signs this batch with its origin's key."""
        place = self.forked_at.get(forged.origin, forged.first)
        self.forked_at[forged.origin] = min(place, forged.first)

    def _certain(self, origin: Origin, sequence: int) -> int:
        """As much of a log as all must agree on: what comes before the first fork of it."""
        place = self.forked_at.get(origin)
        return sequence if place is None else min(sequence, place - 1)

    @staticmethod
    def _lost(node: Machine, asked: Request) -> bool:
        """Whether a disk lost an entry that it had, or the way to it, by no fault of its node. What stands behind a
        gap is written anew by its author only, so with the author's disk gone too, two disks were hurt."""
        behind_damage = asked.node != node.name and asked.origin in node.disk.damaged_logs
        return node.wiped or node.removed or behind_damage or asked.on(node.disk.damaged)

    def _over(self, node: Machine, entry: bytes) -> bool:
        """Whether an entry may have been dropped at a node: over, by the latest that its clock may have said."""
        return entry_over_at(entry) <= node.now + 2 * self._world.skew_s_max

    def _enforced(self, node: Machine, asked: Request) -> None:
        """The session that a revocation was meant for is refused, if it is still alive."""
        if asked.revocation.kind in node.unknown_kinds:
            return
        if asked.target.expires_at > node.now and node.process is not None:
            denied = node.verify(asked.target) is not None
            self._require(denied, 4, node.name, lambda: f"not enforced: {asked.revocation}")

    def _require(self, holds: bool, number: int, where: str, what: Callable[[], str]) -> None:
        if not holds:
            world = self._world
            raise InvariantBroken(
                number,
                f"at {where}, {world.scheduler.now:.3f} s: {what()}\n"
                f"seed {world.seed}; to see it again: {world.replay}",
            )
