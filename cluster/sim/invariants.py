"""What must hold in every world (design 5). Checked as things happen, and in the end (agreement).

1. Durability: what was acknowledged is on every disk in the end, unless every disk that had it was lost. Removing a
   node takes its disk away like a loss: what it alone had is gone, since the operator said that nobody believes it any
   more. What another node has of its log at that moment, or gave a receipt for, is not. What leaves a disk is over, or
   stays on it in other words.
2. Prefix: a head is never ahead of what its node has on disk without a gap, nor of what its author is believed.
3. Convergence: soon after the last fault all nodes hold the same, and know the same peer set. A change of that is a
   fault which ends when the last node has heard of it, in SETTLES_WITHIN_S; the theft of a key is one which ends when a
   node first has the proof that the log is forked. Who was removed, and reaches a member, knows it.
4. Safety: what was acknowledged is refused at its node at once; at any node that is fresh enough for its token.
   Enforcement does not wait for a gap to close.
5. Honesty: a node that reports staleness s has applied all that was acknowledged more than s and the skew ago. One that
   says it has caught up holds all that a member has told it at once, as far as that is believed.
6. No resurrection: what a node refused because of something on its disk, it refuses until it expires, whatever it
   prunes meanwhile. What is over may be gone from a disk, and only that (1, 2).
7. No false denial: every refusal is explained by a revocation that arrived there. What is said anew refuses what it
   refused in the region where it was asked for, to the millisecond: the living sessions issued about
   a cut-off are looked at then.
8. Monotone sequence: origin and sequence never name two contents or two histories, and are never told before they
   are stored.
   Of an origin whose key was stolen, all this counts up to where the thief's history begins (`forked_at`). Soon after
   the last fault either all nodes have one history of it, or all know the fork (3). Nothing is lost even so (1): its
   node says everything anew, and what that has lost with its disk, whoever has it does.
11. Forgery: what is unsigned, wrongly signed or of another cluster changes nothing, and neither does a damaged row. Who
   left is believed up to its limit, by everybody who has heard of it but itself.

Not here are 9, that configuration has one history: it comes from one file and changes nowhere while nodes run; and 10,
that no request calls another region: real nodes count that, see tests/server/test_remote_calls.py and experiment E10.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cluster.sim.agreement import Agreement
from cluster.sim.client import Issued, Request, refuses, region_of
from cluster.sim.judging import InvariantBroken as InvariantBroken
from stsd.revocation import revocation_token
from stsd.revocation.messages import Batch, Checkpoint, Delta, Digest, Message, Origin, PeerNews, Sent
from stsd.revocation.revocation_set import EPSILON_MS

if TYPE_CHECKING:
    from cluster.sim.machine import Machine
    from cluster.sim.node import SimNode


class Invariants(Agreement):
    """Watches one world."""

    def persisted(self, name: str, batch: Batch) -> None:
        """A batch reached a platter (8)."""
        for sequence, entry in enumerate(batch.entries, batch.first):
            if sequence > self._certain(batch.origin, sequence):
                return
            known = self.contents.setdefault((batch.origin, sequence), entry)
            self._require(known == entry, 8, name, lambda: f"a sequence of {batch.origin} names two contents")
        chain = self._chains.setdefault((batch.origin, batch.last), batch.chain)
        self._require(chain == batch.chain, 8, name, lambda: f"a place of {batch.origin} has two histories")

    def dropped(self, name: str, batch: Batch) -> None:
        """A row has left a platter (1)."""
        node = self._world.nodes[name]
        for entry in batch.entries:
            kept = self._world.requests[entry].on(node.disk.entries) or self._over(node, entry)
            self._require(kept, 1, name, lambda: f"dropped a row that was in force, of {batch.origin}")

    def sends(self, node: Machine, message: Sent) -> None:
        """A message leaves a node (8)."""
        if isinstance(message, Delta):
            for batch in message.batches:
                told = all(entry in node.disk.entries for entry in batch.entries)
                told = told or any(batch in (fork.held, fork.other) for fork in node.disk.forks)
                self._require(told, 8, node.name, lambda: "something was told before it was stored")

    def received(self, node: Machine, message: Message) -> None:
        """A message was taken in (4: enforced on arrival; 8)."""
        assert node.process is not None
        lost = node.process.replica.overtaken and node.process.replica.origin not in self.forked_at
        self._require(not lost, 8, node.name, lambda: "others know more of its own log")
        if isinstance(message, Digest) and not node.disk.joined:
            heads = {origin: head.sequence for origin, head in message.heads.items()}
            self._told.setdefault((node.name, node.process.started_at), []).append(heads)
        if not isinstance(message, Delta):
            return
        for batch in filter(node.process.replica.has, message.batches):
            for entry in batch.entries:
                asked_for = entry in self._world.requests
                self._require(asked_for, 11, node.name, lambda: "applied what nobody has asked for")
                if entry not in node.process.known:
                    node.process.known.add(entry)
                    self._enforced(node, self._world.requests[entry])
                    self._world.arrived(node, self._world.requests[entry])
            self._believed(node, batch)
        for batch in filter(node.process.replica.has, message.batches):
            self.hears_anew(node, batch)

    def hears_anew(self, node: Machine, batch: Batch) -> None:
        """A node has taken in a batch. What one region says of what another was asked for refuses the same sessions
        (4, 7): those issued about the cut-off show it, if they live."""
        asked = [self._world.requests[entry] for entry in batch.entries]
        anew = [each.revocation.issued_before_ms for each in asked if region_of(each.node) != batch.origin.region]
        for issued in self._world.sessions if anew else ():
            near = any(abs(issued.session.issued_at_ms - cutoff_ms) <= 2 * EPSILON_MS for cutoff_ms in anew)
            if near and issued.session.expires_at > node.now:
                self.verified(node, issued, None)

    def forged(self, node: SimNode, sender: str, message: Sent, forgery: Sent) -> None:
        """A relay's forgery arrives (11). What it could not touch, the heads, is news only once."""
        assert node.process is not None
        if isinstance(message, Digest):
            node.receive(sender, message)
        before, refused = self._state(node), self._world.tally.refused
        node.receive(sender, forgery)
        self._require(self._state(node) == before, 11, node.name, lambda: "a forgery changed something")
        unread = bool(node.unknown_kinds) and isinstance(message, Checkpoint)
        later = isinstance(message, PeerNews) and node.process.membership.busy
        counted = self._world.tally.refused > refused or isinstance(message, Digest) or unread or later
        self._require(counted, 11, node.name, lambda: f"not refused: {forgery}")

    def restored(self, node: Machine) -> None:
        """A node has read its disk (11): what it applied is what somebody wrote."""
        assert node.process is not None
        for batch in node.process.replica.seen():
            written = self._world.requests.keys() >= set(batch.entries)
            self._require(written, 11, node.name, lambda: "a damaged row was applied")

    def _state(self, node: Machine) -> tuple[object, ...]:
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
            node.process.membership.peers.digest(),
        )

    def acknowledges(self, node: Machine, asked: Request, holders: tuple[str, ...]) -> None:
        """A client gets its answer (1: the copies are real; 4)."""
        self._world.tally.acknowledged += 1
        now = self._world.scheduler.now
        asked.acked_at = now if asked.acked_at is None else asked.acked_at
        asked.holders = tuple(dict.fromkeys((*asked.holders, *holders)))
        for holder in map(self._world.nodes.__getitem__, holders):
            real = asked.on(holder.disk.entries) or self._lost(holder, asked)
            self._require(real, 1, node.name, lambda: "a copy was counted that is on no disk")
        if asked.origin is not None:
            self.acknowledged.setdefault(asked.origin, []).append((now, asked.sequence, asked))
        self._enforced(node, asked)

    def verified(self, node: Machine, issued: Issued, at_least: Request | None) -> None:
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
        token = revocation_token.decode(at_least.token)
        certain = self._certain(token.origin, token.sequence) == token.sequence
        if certain and process.replica.fresh_enough(at_least.token) and refuses(at_least, session):
            self._require(denial is not None, 4, node.name, lambda: "a revocation token was honoured too early")
        later = revocation_token.encode(token._replace(epoch=token.epoch + 1))
        self._require(not process.replica.fresh_enough(later), 4, node.name, lambda: "fresh enough for a later epoch")

    def ticked(self, node: Machine) -> None:
        """A second has passed at a node (2, 5)."""
        process = node.process
        assert process is not None
        for origin, head in process.replica.heads().items():
            self._prefix(node, process.started_at, origin, head)
            applied, _ = process.replica.applied(origin)
            self._require(applied >= head, 2, node.name, f"tells {head} of {origin} and applies {applied}".__str__)
        for origin, stale_s in process.replica.staleness(node.now).items():
            unheard = abs(stale_s - max(0.0, node.now - process.started_at)) < 1e-6
            if not unheard:
                self._honest(node, process.started_at, origin, stale_s)

    def starts_anew(self, node: Machine) -> None:
        """A node's disk was replaced or damaged, or its version: it owes nothing from before."""
        for issued in self._world.sessions:
            issued.denied_at.discard(node.name)

    def leaves(self, node: Machine) -> None:
        """The operator removes a node (1): from now on, whoever has what it wrote keeps that for it."""
        for asked in self._world.requests.values():
            if asked.acked_at is not None and asked.origin in node.origins:
                others = (each.name for each in self._world.nodes.values() if asked.on(each.disk.entries))
                asked.holders = tuple(dict.fromkeys((*asked.holders, *others)))

    def caught_up(self, node: Machine) -> None:
        """Who says so for the first time holds all that a member told it once, as far as it is believed."""
        process = node.process
        if process is None or node.disk.joined or not process.replica.joined:
            return

        def held(origin: Origin, head: int) -> bool:
            believed = self._certain(origin, int(min(head, self._limit(node, origin))))
            entries = (self.contents.get((origin, sequence)) for sequence in range(1, believed + 1))
            return all(each is not None and (each in process.known or self._over(node, each)) for each in entries)

        told = self._told.get((node.name, process.started_at), [])
        reached = any(all(held(*place) for place in heads.items()) for heads in told)
        self._require(reached or not process.addresses, 5, node.name, lambda: "says that it has caught up")

    def _prefix(self, node: Machine, started_at: float, origin: Origin, head: int) -> None:
        checked = self._checked_heads.get((node.name, started_at, origin), 0)
        for sequence in range(checked + 1, self._certain(origin, head) + 1):
            entry = self.contents.get((origin, sequence))
            held = entry is not None and (entry in node.disk.entries or self._over(node, entry))
            self._require(held, 2, node.name, lambda: f"head {head} of {origin} without an earlier entry")
        self._checked_heads[(node.name, started_at, origin)] = head

    def _honest(self, node: Machine, started_at: float, origin: Origin, stale_s: float) -> None:
        process, acknowledged = node.process, self.acknowledged.get(origin, [])
        assert process is not None
        place = (node.name, started_at, origin)
        checked = self._checked_acks.get(place, 0)
        before = self._world.scheduler.now - stale_s - EPSILON_MS / 1000
        while checked < len(acknowledged) and acknowledged[checked][0] < before:
            _, sequence, asked = acknowledged[checked]
            applied = asked.on(process.known) or self._over(node, asked.entry)
            applied = applied or self._certain(origin, sequence) < sequence
            claims = f"claims {stale_s:.1f} s for {origin} and lacks {sequence}"
            self._require(applied, 5, node.name, claims.__str__)
            checked += 1
        self._checked_acks[place] = checked
