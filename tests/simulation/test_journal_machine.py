"""Hypothesis drives three nodes, each a replica over a real journal on disk, against a set of what must be in force.

Rules in any order: revoke, deliver, drop and repeat messages, tick, let time pass and prune, crash, restart, lose the
disk and join again. In the end all talk until nothing is new, and everybody holds what was acknowledged.
"""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import dataclass, field
from math import inf
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from stsd.revocation import codec
from stsd.revocation.identity import Identities
from stsd.revocation.messages import Batch, Message, Origin, Ready
from stsd.revocation.pruning import Pruning
from stsd.revocation.replica import DIGEST_INTERVAL_S, Replica, fault_of_checkpoint
from stsd.server import rows
from stsd.server.journal import Journal
from tests.revocation.signed import CLUSTER_KEY, signer

NAMES = ("eu-west-1", "us-east-1", "ap-southeast-1")
STARTED_AT = 1_795_435_200.0
TAIL_S = 60.0
LIFE_S = 100.0
names = st.sampled_from(NAMES)


def over_at(entry: bytes) -> float:
    """An entry of this test is its number and when it ends."""
    return float(entry.split()[1])


@dataclass
class Node:
    name: str
    disk: int = 0
    started: int = 0
    journal: Journal | None = None
    replica: Replica | None = None
    acknowledged: list[bytes] = field(default_factory=list)


class Cluster(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.loop = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.now = STARTED_AT
        self.wire: list[tuple[str, str, Message]] = []
        self.in_force: dict[bytes, set[tuple[str, int]]] = {}
        """Acknowledged entries, and the disks that have had each."""
        self.counted: dict[bytes, set[tuple[str, int]]] = {}
        """The same, where a head has counted it: behind a gap it is no copy, and lost with its author's disk."""
        self.lost_disks: set[tuple[str, int]] = set()
        self.written: set[bytes] = set()
        self.nodes = {name: Node(name) for name in NAMES}
        for node in self.nodes.values():
            self.start(node)

    def teardown(self):
        for node in self.nodes.values():
            if node.replica is None:
                self.start(node)
        self.wire.clear()
        for _ in range(8):
            self.now += DIGEST_INTERVAL_S
            for node in self.nodes.values():
                self.tick(node.name)
            while self.wire:
                self.deliver(0)
        heads = [node.replica.chained_heads() for node in self.nodes.values()]
        assert heads[0] == heads[1] == heads[2]
        for entry in self.in_force:
            if over_at(entry) > self.now and self.counted[entry] - self.lost_disks:
                for node in self.nodes.values():
                    assert entry in self.held(node), f"{node.name} lost {entry!r}"
        for node in self.nodes.values():
            self.loop.run(node.journal.close())
        self.loop.close()
        self.folder.cleanup()

    # The shell of a node.

    def start(self, node: Node):
        path = Path(self.folder.name) / f"{node.name}-{node.disk}.db"
        node.journal = self.loop.run(Journal.open(path))
        identities = Identities(CLUSTER_KEY)
        identities.restore(map(rows.announcement, self.loop.run(node.journal.identities())))
        origin = Origin(node.name, "1", f"{node.disk:016x}")
        peers = [name for name in NAMES if name != node.name]
        joined = not node.disk or not node.journal.created
        node.replica = Replica(
            origin, peers, self.now, signer=signer(origin), identities=identities, joined=joined,
            pruning=Pruning(over_at, TAIL_S),
        )  # fmt: skip
        batches, damaged = rows.batches(self.loop.run(node.journal.rows()))
        assert not damaged
        body = self.loop.run(node.journal.checkpoint())
        checkpoint = None if body is None else codec.decode_checkpoint(body)
        assert checkpoint is None or not fault_of_checkpoint(identities, checkpoint)
        node.replica.restore(batches, (), checkpoint)
        self.loop.run(node.journal.keep_identities(list(map(rows.of_announcement, identities.announcements()))))

    def act(self, node: Node, ready: Ready):
        assert not ready.refused
        assert not ready.forks
        self.loop.run(node.journal.keep_identities(list(map(rows.of_announcement, ready.identities))))
        if ready.stores:
            checkpoint = codec.encode_checkpoint(node.replica.checkpoint()) if ready.adopted else None
            self.loop.run(node.journal.keep([rows.of_batch(batch) for batch in ready.save], checkpoint))
            receipt = node.replica.saved(ready, self.now)
            for batch in ready.save:
                self.on_disk(node, batch)
            self.send(node, receipt)
        self.send(node, ready)

    def send(self, node: Node, ready: Ready):
        self.wire += [(node.name, peer, message) for peer, message in ready.send]

    def on_disk(self, node: Node, batch: Batch):
        for entry in batch.entries:
            self.in_force.setdefault(entry, set()).add((node.name, node.disk))
        for counted in node.replica.after(dict.fromkeys(node.replica.heads(), 0), 1_000_000):
            for entry in counted.entries:
                self.counted.setdefault(entry, set()).add((node.name, node.disk))

    def held(self, node: Node) -> set[bytes]:
        return {entry for batch in node.replica.seen() for entry in batch.entries}

    def running(self, name: str) -> Node | None:
        node = self.nodes[name]
        return node if node.replica is not None else None

    # Rules.

    @rule(name=names, ends=st.booleans(), count=st.integers(1, 3))
    def revoke(self, name, ends, count):
        node = self.running(name)
        if node is None or not node.replica.joined or node.replica.overtaken:
            return
        until = self.now + LIFE_S if ends else inf
        entries = [f"{len(self.written) + number} {until}".encode() for number in range(count)]
        self.written.update(entries)
        batch = node.replica.append(entries, self.now)
        self.loop.run(node.journal.append(rows.of_batch(batch)))
        self.send(node, node.replica.committed(batch, self.now))
        self.on_disk(node, batch)

    @precondition(lambda self: self.wire)
    @rule(number=st.integers(0, 10_000))
    def deliver(self, number):
        sender, receiver, message = self.wire.pop(number % len(self.wire))
        node = self.running(receiver)
        if node is not None:
            carried = codec.decode_message(codec.encode_message(message))
            self.act(node, node.replica.receive(sender, carried, self.now))

    @precondition(lambda self: self.wire)
    @rule(number=st.integers(0, 10_000))
    def drop(self, number):
        self.wire.pop(number % len(self.wire))

    @precondition(lambda self: self.wire)
    @rule(number=st.integers(0, 10_000))
    def repeat(self, number):
        self.wire.append(self.wire[number % len(self.wire)])

    @rule(name=names)
    def tick(self, name):
        node = self.running(name)
        if node is not None:
            self.act(node, node.replica.tick(self.now))

    @rule()
    def all_talk(self):
        """What a healthy second does, so that long histories come about."""
        self.now += DIGEST_INTERVAL_S
        for name in NAMES:
            self.tick(name)
        for _ in range(len(self.wire)):
            self.deliver(0)

    @rule(seconds=st.sampled_from([1.0, TAIL_S, LIFE_S]))
    def time_passes(self, seconds):
        self.now += seconds

    @rule(name=names, limit=st.integers(1, 8), stored=st.booleans())
    def prune(self, name, limit, stored):
        node = self.running(name)
        pruned = node.replica.prune(self.now, limit) if node is not None else None
        if pruned is None:
            return
        if not stored:
            node.replica.not_pruned(pruned)
            return
        dropped = [rows.of_batch(batch) for batch in pruned.dropped]
        self.loop.run(node.journal.prune(dropped, codec.encode_checkpoint(pruned.checkpoint)))

    @rule(name=names)
    def crash(self, name):
        """Everything in memory is gone, and what was on its way to this node."""
        node = self.running(name)
        if node is not None:
            self.loop.run(node.journal.close())
            node.replica = None
            self.wire = [each for each in self.wire if each[1] != name]

    @rule(name=names)
    def restart(self, name):
        if self.running(name) is None:
            self.start(self.nodes[name])

    @precondition(lambda self: not any(disk for _, disk in self.lost_disks))
    @rule(name=names)
    def lose_the_disk_and_join(self, name):
        self.crash(name)
        node = self.nodes[name]
        self.lost_disks.add((name, node.disk))
        node.disk += 1
        self.start(node)

    # What always holds.

    @invariant()
    def nothing_is_held_that_nobody_wrote(self):
        for node in self.nodes.values():
            if node.replica is not None:
                assert self.held(node) <= self.written

    @invariant()
    def what_a_head_counts_is_on_disk(self):
        for node in self.nodes.values():
            if node.replica is not None:
                stored = {tuple(row) for row in self.loop.run(node.journal.rows())}
                counted = node.replica.after(dict.fromkeys(node.replica.heads(), 0), 1_000_000)
                assert stored.issuperset(map(rows.of_batch, counted)), node.name

    @invariant()
    def what_a_disk_has_had_is_there_until_it_is_over(self):
        for node in self.nodes.values():
            if node.replica is not None:
                held = self.held(node)
                for entry, disks in self.in_force.items():
                    if (node.name, node.disk) in disks and over_at(entry) > self.now:
                        assert entry in held, f"{node.name} forgot {entry!r}"


TestCluster = Cluster.TestCase
TestCluster.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
