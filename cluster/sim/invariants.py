"""What must hold in every world (design 5). Checked as things happen; `converged` after the last fault.

1. Durability: what was acknowledged is on every disk in the end, unless every disk that had it was lost.
2. Prefix: a head is never ahead of what its node has on disk without a gap.
3. Convergence: soon after the last fault all nodes hold the same.
4. Safety: what was acknowledged is refused at its node at once; at any node that is fresh enough for its token.
   Enforcement does not wait for a gap to close.
5. Honesty: a node that reports staleness s has applied all that was acknowledged more than s and the skew ago.
6. No resurrection: what a node refused because of something on its disk, it refuses until it expires, whatever it
   prunes meanwhile. What is over may be gone from a disk, and only that (1, 2).
7. No false denial: every refusal is explained by a revocation that arrived there.
8. Monotone sequence: origin and sequence never name two contents or two histories, and are never told before they
   are stored.
11. Forgery: what is unsigned, wrongly signed or of another cluster changes nothing, and neither does a damaged row.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from cluster.sim.client import Issued, Request, entry_over_at, refuses
from stsd.revocation.messages import Batch, Delta, Digest, Message, Origin
from stsd.revocation.replica import DIGEST_INTERVAL_S
from stsd.revocation.revocation_set import EPSILON_MS

if TYPE_CHECKING:
    from cluster.sim.node import SimNode
    from cluster.sim.world import World

STALE_S_MAX = 2 * DIGEST_INTERVAL_S


class InvariantBroken(AssertionError):
    """Check `number` failed; the text says where, when, and how to see it again."""

    def __init__(self, number: int, text: str) -> None:
        super().__init__(f"invariant {number} {text}")
        self.number = number


class Invariants:
    """Watches one world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.contents: dict[tuple[Origin, int], bytes] = {}
        self.acknowledged: dict[Origin, list[Request]] = {}
        self._chains: dict[tuple[Origin, int], bytes] = {}
        self._checked_heads: dict[tuple[str, float, Origin], int] = {}
        self._checked_acks: dict[tuple[str, float, Origin], int] = {}

    def persisted(self, name: str, batch: Batch) -> None:
        """A batch reached a platter (8)."""
        for sequence, entry in enumerate(batch.entries, batch.first):
            known = self.contents.setdefault((batch.origin, sequence), entry)
            self._require(known == entry, 8, name, lambda: f"a sequence of {batch.origin} names two contents")
        chain = self._chains.setdefault((batch.origin, batch.last), batch.chain)
        self._require(chain == batch.chain, 8, name, lambda: f"a place of {batch.origin} has two histories")

    def sends(self, node: SimNode, message: Message) -> None:
        """A message leaves a node (8)."""
        if isinstance(message, Delta):
            for batch in message.batches:
                told = all(entry in node.disk.entries for entry in batch.entries)
                self._require(told, 8, node.name, lambda: "something was told before it was stored")

    def received(self, node: SimNode, message: Message) -> None:
        """A message was taken in (4: enforced on arrival; 8)."""
        assert node.process is not None
        self._require(not node.process.replica.overtaken, 8, node.name, lambda: "others know more of its own log")
        if not isinstance(message, Delta):
            return
        for batch in filter(node.process.replica.has, message.batches):
            for entry in batch.entries:
                if entry not in node.process.known:
                    node.process.known.add(entry)
                    self._enforced(node, self._world.requests[entry])
                    self._world.arrived(node, self._world.requests[entry])

    def forged(self, node: SimNode, sender: str, message: Message, forgery: Message) -> None:
        """A relay's forgery arrives (11). What it could not touch, the heads, is news only once."""
        assert node.process is not None
        if isinstance(message, Digest):
            node.act(node.process.replica.receive(sender, message, node.now))
        before, refused = self._state(node), self._world.tally.refused
        node.act(node.process.replica.receive(sender, forgery, node.now))
        self._require(self._state(node) == before, 11, node.name, lambda: "a forgery changed something")
        counted = self._world.tally.refused > refused or isinstance(message, Digest)
        self._require(counted, 11, node.name, lambda: f"not refused: {forgery}")

    def restored(self, node: SimNode) -> None:
        """A node has read its disk (11): what it applied is what somebody wrote."""
        assert node.process is not None
        for batch in node.process.replica.seen():
            written = self._world.requests.keys() >= set(batch.entries)
            self._require(written, 11, node.name, lambda: "a damaged row was applied")

    def _state(self, node: SimNode) -> tuple[object, ...]:
        assert node.process is not None
        replica = node.process.replica
        seen = [(batch.origin, batch.chain) for batch in replica.seen()]
        stale = replica.staleness(node.now)
        floors = replica.checkpoint()
        return (
            replica.chained_heads(),
            seen,
            stale,
            dict(replica.identities),
            replica.overtaken,
            replica.forks(),
            floors,
        )

    def acknowledges(self, node: SimNode, asked: Request, holders: tuple[str, ...]) -> None:
        """A client gets its answer (1: the copies are real; 4)."""
        self._world.tally.acknowledged += 1
        asked.acked_at, asked.holders = self._world.scheduler.now, holders
        for holder in map(self._world.nodes.__getitem__, holders):
            real = asked.entry in holder.disk.entries or self._lost(holder, asked)
            self._require(real, 1, node.name, lambda: "a copy was counted that is on no disk")
        if asked.origin is not None:
            self.acknowledged.setdefault(asked.origin, []).append(asked)
        self._enforced(node, asked)

    def verified(self, node: SimNode, issued: Issued, at_least: Request | None) -> None:
        """A node was asked about a session that is not expired (4, 6, 7)."""
        process, session = node.process, issued.session
        assert process is not None
        denial = node.verify(session)
        causes = [entry for entry in process.known if refuses(self._world.requests[entry], session)]
        causes = [entry for entry in causes if self._world.requests[entry].revocation.kind not in node.unknown_kinds]
        self._require(bool(causes) or denial is None, 7, node.name, lambda: f"{session.access_key_id}: {denial}")
        self._require(not causes or denial is not None, 4, node.name, lambda: f"{session.access_key_id} is accepted")
        if node.name in issued.denied_at:
            self._require(denial is not None, 6, node.name, lambda: f"{session.access_key_id} came back to life")
        if any(entry in node.disk.entries for entry in causes):
            issued.denied_at.add(node.name)
        if at_least is None or at_least.revocation.kind in node.unknown_kinds:
            return
        if process.replica.fresh_enough(at_least.token) and refuses(at_least, session):
            self._require(denial is not None, 4, node.name, lambda: "a revocation token was honoured too early")

    def ticked(self, node: SimNode) -> None:
        """A second has passed at a node (2, 5)."""
        process = node.process
        assert process is not None
        for origin, head in process.replica.heads().items():
            self._prefix(node, process.started_at, origin, head)
        for origin, stale_s in process.replica.staleness(node.now).items():
            unheard = abs(stale_s - max(0.0, node.now - process.started_at)) < 1e-6
            if not unheard:
                self._honest(node, process.started_at, origin, stale_s)

    def starts_anew(self, node: SimNode) -> None:
        """A node's disk was replaced or damaged, or its version: it owes nothing from before."""
        for issued in self._world.sessions:
            issued.denied_at.discard(node.name)

    def converged(self) -> None:
        """The last fault is over since a while (1, 3, 4)."""
        nodes = list(self._world.nodes.values())
        heads = [node.process.replica.chained_heads() if node.process else {} for node in nodes]
        self._require(all(other == heads[0] for other in heads), 3, "all", lambda: f"heads differ: {heads}")
        for node in nodes:
            assert node.process is not None
            self._require(node.process.replica.joined, 3, node.name, lambda: "never joined")
            for asked in self._world.requests.values():
                self._kept(node, asked)

    def fresh(self) -> None:
        """And a little later nobody is stale (5); a log whose author has a new disk needs one more digest for it."""
        for node in self._world.nodes.values():
            assert node.process is not None
            stale_s = node.process.replica.oldest_staleness(node.now)
            fresh = stale_s <= STALE_S_MAX + 2 * self._world.skew_s_max
            self._require(fresh, 5, node.name, lambda: "still stale")

    def _kept(self, node: SimNode, asked: Request) -> None:
        if asked.acked_at is None or all(self._lost(self._world.nodes[holder], asked) for holder in asked.holders):
            return
        kept = asked.entry in node.disk.entries or self._over(node, asked.entry)
        self._require(kept, 1, node.name, lambda: f"lost: {asked.revocation}")
        self._enforced(node, asked)

    def _over(self, node: SimNode, entry: bytes) -> bool:
        """Whether an entry may have been dropped at a node: over, by the latest that its clock may have said."""
        return entry_over_at(entry) <= node.now + 2 * self._world.skew_s_max

    @staticmethod
    def _lost(node: SimNode, asked: Request) -> bool:
        """Whether a disk lost an entry that it had, or the way to it, by no fault of its node. What stands behind a
        gap is written anew by its author only, so with the author's disk gone too, two disks were hurt."""
        behind_damage = asked.node != node.name and asked.origin in node.disk.damaged_logs
        return node.wiped or behind_damage or asked.entry in node.disk.damaged

    def _enforced(self, node: SimNode, asked: Request) -> None:
        """The session that a revocation was meant for is refused, if it is still alive."""
        if asked.revocation.kind in node.unknown_kinds:
            return
        if asked.target.expires_at > node.now and node.process is not None:
            denied = node.verify(asked.target) is not None
            self._require(denied, 4, node.name, lambda: f"not enforced: {asked.revocation}")

    def _prefix(self, node: SimNode, started_at: float, origin: Origin, head: int) -> None:
        checked = self._checked_heads.get((node.name, started_at, origin), 0)
        for sequence in range(checked + 1, head + 1):
            entry = self.contents.get((origin, sequence))
            held = entry is not None and (entry in node.disk.entries or self._over(node, entry))
            self._require(held, 2, node.name, lambda: f"head {head} of {origin} without an earlier entry")
        self._checked_heads[(node.name, started_at, origin)] = head

    def _honest(self, node: SimNode, started_at: float, origin: Origin, stale_s: float) -> None:
        process, acknowledged = node.process, self.acknowledged.get(origin, [])
        assert process is not None
        place = (node.name, started_at, origin)
        checked = self._checked_acks.get(place, 0)
        before = self._world.scheduler.now - stale_s - EPSILON_MS / 1000
        while checked < len(acknowledged) and (acknowledged[checked].acked_at or 0.0) < before:
            entry = acknowledged[checked].entry
            applied = entry in process.known or self._over(node, entry)
            claims = f"claims {stale_s:.1f} s for {origin} and lacks {acknowledged[checked].sequence}"
            self._require(applied, 5, node.name, claims.__str__)
            checked += 1
        self._checked_acks[place] = checked

    def _require(self, holds: bool, number: int, where: str, what: Callable[[], str]) -> None:
        if not holds:
            world = self._world
            raise InvariantBroken(
                number,
                f"at {where}, {world.scheduler.now:.3f} s: {what()}\n"
                f"seed {world.seed}; to see it again: {world.replay}",
            )
