"""A cluster in virtual time: nodes, clients and bad luck in one process, all from one seed.

Two phases: faults at random while the checks of `invariants` hold at every event; then `heal`, and within
CONVERGES_WITHIN_S all nodes agree. Time is virtual seconds; nodes see Unix seconds with a skew of their own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from cluster.sim.client import Issued, Request
from cluster.sim.clients import Clients
from cluster.sim.disk import Disk
from cluster.sim.faults import FAULTS
from cluster.sim.invariants import Invariants
from cluster.sim.kinds import Kinds, Tally
from cluster.sim.machine import Machine
from cluster.sim.membership import Membership
from cluster.sim.network import FAIR, MAX_ROUND_TRIP_S, Delay, Network
from cluster.sim.node import SimNode
from cluster.sim.operator import ROOT, Operator
from cluster.sim.scheduler import Scheduler, Undo
from stsd.revocation.bounds import SERVED, Bounds
from stsd.revocation.messages import Origin, PeerNews, Sent
from stsd.revocation.replica import DIGEST_INTERVAL_S

STARTED_AT = 1_795_435_200.0
CONVERGES_WITHIN_S = 2 * DIGEST_INTERVAL_S + 2 * MAX_ROUND_TRIP_S
"""From the last fault to equal heads (design 5, number 3)."""
CONVERGES_IN_PAGES_S = CONVERGES_WITHIN_S + DIGEST_INTERVAL_S + MAX_ROUND_TRIP_S
"""With small bounds: what was pushed beyond them comes with the heads after that."""
SETTLES_WITHIN_S = CONVERGES_WITHIN_S + 2.0
"""From the last fault until everybody has come who was invited, and all know the same peer set."""
SETTLING_STEP_S = 0.1
BETWEEN_FAULTS_S = 2.0
FAULT_S_MEAN = 5.0
SMALL = Bounds(
    pushed_per_s=1.0, push_burst=5.0, page_bytes=4_000, fetch_entries=40, fetch_bytes=30_000, waiting_heartbeats=2
)
"""So that a fetch has several pages, not all fits into one, and origins say more than is taken in unasked."""
NAMES = ("us-east-1", "eu-west-1", "ap-southeast-1", "sa-east-1", "af-south-1")


class World:
    """`size` nodes, each a region. `replay` is the command that shows this run again.

    With `delay_s` the links are those of real `regions`, and there is no bad luck but what the caller makes. A `lonely`
    world has no clients either.
    """

    def __init__(
        self,
        seed: int,
        *,
        size: int = 3,
        kinds: Kinds | None = None,
        replay: str = "",
        skew_s_max: float = 0.9,
        regions: Sequence[str] = (),
        delay_s: Delay | None = None,
        lonely: bool = False,
    ) -> None:
        self.seed, self.replay, self.skew_s_max = seed, replay, skew_s_max
        self.kinds = kinds or Kinds()
        self.scheduler = Scheduler(seed)
        self.checks = Invariants(self)
        self.bounds = SMALL if seed % 3 == 1 and delay_s is None and not lonely else SERVED
        self.impatient = seed % 5 == 2 and delay_s is None and not lonely
        """Nodes ask each second for what has not come, whoever was asked before."""
        encoded = seed % 8 == 0 and delay_s is None
        self.network = Network(self.scheduler, self._deliver, self._forged, encoded=encoded, delay_s=delay_s)
        self.arrived: Callable[[Machine, Request], None] = lambda node, asked: None
        """Hears when a node enforces what another one stored."""
        self.history: list[tuple[float, str, str]] = []
        self.sessions: list[Issued] = []
        self.requests: dict[bytes, Request] = {}
        """By entry, also by those with which they were said anew."""
        self.tally = Tally()
        self._undo: list[Undo] = []
        self.clogs: dict[str, list[Undo]] = {}
        self.troubled = True
        self.changed_at = 0.0
        """When the last node learned of a change of the peer set, or the first one of a fork."""
        self._forked: set[Origin] = set()
        self.operator = Operator(self)
        self._clients = Clients(self)
        self.regions = tuple(regions) or NAMES
        """Where nodes can be."""
        self._machines: Counter[str] = Counter()
        self.nodes: dict[str, SimNode] = {}
        """Every machine that there ever was, by its name."""
        for region in tuple(regions) or NAMES[:size]:
            self._add(region)
        self.found()
        for node in self.nodes.values():
            node.start()
            if not lonely:
                self._clients.arrive(node)
        if delay_s is None and not lonely:
            self.scheduler.after(self.scheduler.soon(BETWEEN_FAULTS_S), self._trouble)
        else:
            self.network.weather = FAIR

    @property
    def unix_now(self) -> float:
        """True time in Unix seconds."""
        return STARTED_AT + self.scheduler.now

    @property
    def names(self) -> tuple[str, ...]:
        """The machines that are there."""
        return tuple(name for name, node in self.nodes.items() if not node.retired)

    @property
    def in_cluster(self) -> list[SimNode]:
        """The machines that belong to the cluster, as the operator has it."""
        return [self.nodes[name] for name in self.operator.members.values()]

    def found(self) -> None:
        """Let the first nodes know each other."""
        self.operator.found(self.nodes)

    def membership(self, node: SimNode, changed: Callable[[], None]) -> Membership | None:
        """What a node that starts knows of the peer set; None for one that knows that it was removed."""
        peers = self.kinds.peer_set(ROOT.public_key, node.disk.records)
        if not peers.is_member(node.region, node.signer.public_key):
            return None
        return Membership(node, peers, changed, self._refused)

    def new_machine(self, region: str) -> SimNode:
        """A machine with an empty disk; its clients come when it serves."""
        node = self._add(region)
        self._clients.arrive(node)
        return node

    def retire(self, node: SimNode) -> None:
        """Switch a machine off for good."""
        node.retired = True
        if node.process is not None:
            node.crash()

    def regrouped(self, node: SimNode) -> None:
        """A node has learned of a change of the peer set."""
        self.changed_at = self.scheduler.now
        self.note(node.name, "regrouped")

    def found_forked(self, origins: Iterable[Origin]) -> None:
        """A node has the proof that these logs are forked. The theft of a key is over when the two histories meet: from
        then on the proof has to reach everybody, and the author to say everything anew."""
        if not self._forked.issuperset(origins):
            self.changed_at = self.scheduler.now
            self._forked.update(origins)

    def new_disk(self, name: str) -> Disk:
        """A disk that the checks watch."""
        persisted, dropped = partial(self.checks.persisted, name), partial(self.checks.dropped, name)
        return Disk(self.scheduler, persisted, self._count_fault, dropped=dropped)

    def run(self, until: float) -> None:
        """Let virtual time pass."""
        self.scheduler.run(until)

    def heal(self) -> None:
        """The last fault is over: all links whole, all disks well, all nodes up. No more revocations are asked for."""
        self.troubled = False
        for undo in self._undo:
            undo()
        self._undo.clear()
        self.clogs.clear()
        self.network.heal()
        for node in self.nodes.values():
            node.disk.recover()
            self.start(node)
        self.changed_at = self.scheduler.now
        self.note("all", "healed")

    def eventually_all_agree(self) -> None:
        """Let the stated time pass, then everything that must hold in the end must hold. Raises InvariantBroken."""
        settled_by = self.scheduler.now + SETTLES_WITHIN_S
        while (self.operator.pending or not self._know_the_same()) and self.scheduler.now < settled_by:
            self.run(self.scheduler.now + SETTLING_STEP_S)
        within_s = CONVERGES_WITHIN_S if self.bounds is SERVED else CONVERGES_IN_PAGES_S
        while self.scheduler.now < self.changed_at + within_s:
            self.run(self.changed_at + within_s)
        self.checks.converged()
        self.run(self.scheduler.now + 2 * DIGEST_INTERVAL_S)
        self.checks.fresh()

    def _know_the_same(self) -> bool:
        running = [node.process for node in self.in_cluster]
        return len({process.membership.peers.digest() if process else b"" for process in running}) == 1

    def _add(self, region: str) -> SimNode:
        """A machine; it starts when it is told to."""
        self._machines[region] += 1
        number = self._machines[region]
        name = region if number == 1 else f"{region}.{number}"
        self.nodes[name] = self._make_node(name)
        return self.nodes[name]

    def _make_node(self, name: str) -> SimNode:
        skew_s = self.scheduler.random.uniform(-self.skew_s_max, self.skew_s_max)
        return self.kinds.node(self, name, skew_s)

    def says_anew(self, said: Iterable[tuple[Request, bytes]]) -> None:
        """A node says again, with these entries, what others were asked for."""
        for asked, entry in said:
            asked.anew |= {entry} - {asked.entry}
            self.requests[entry] = asked

    def _refused(self, reason: str) -> None:
        self.tally.refused += 1

    def note(self, where: str, what: str) -> None:
        """Something happened, for the history."""
        self.history.append((self.scheduler.now, where, what))

    def _deliver(self, sender: str, receiver: str, message: Sent) -> None:
        if self._opens(sender, receiver, message):
            self.note(receiver, f"{type(message).__name__} from {sender}")
            self.nodes[receiver].receive(sender, message)

    def _opens(self, sender: str, receiver: str, message: Sent) -> bool:
        """Whether a node takes what a machine sends: it comes in an envelope that the machine has signed, and from who
        is no member of the peer set, as the receiver knows it, nothing is taken but the records, which prove
        themselves (stsd.server.backbone.sealing)."""
        process = self.nodes[receiver].process
        return process is not None and (
            isinstance(message, PeerNews) or process.membership.believes(self.nodes[sender])
        )

    def _forged(self, sender: str, receiver: str, message: Sent, forgery: Sent) -> None:
        if self._opens(sender, receiver, message):
            self.tally.forged += 1
            self.checks.forged(self.nodes[receiver], sender, message, forgery)

    # Bad luck.

    def _trouble(self) -> None:
        """One fault begins, and ends by itself after a while or with `heal`."""
        if not self.troubled:
            return
        chance = self.scheduler.random
        self.scheduler.after(self.scheduler.soon(BETWEEN_FAULTS_S), self._trouble)
        fault = chance.choice(FAULTS)
        node = self.nodes[chance.choice(self.names)]
        undo = fault(self, node)
        if undo is None:
            return
        self._count_fault(fault.__name__)
        self.note(node.name, fault.__name__)
        self._undo.append(undo)
        self.scheduler.after(self.scheduler.soon(FAULT_S_MEAN), partial(self._end, undo))

    def _count_fault(self, name: str) -> None:
        self.tally.faults[name] = self.tally.faults.get(name, 0) + 1

    def _end(self, undo: Undo) -> None:
        if undo in self._undo:
            self._undo.remove(undo)
            undo()

    def other(self, node: SimNode) -> str:
        """A name that is not this node's."""
        return self.scheduler.random.choice([name for name in self.names if name != node.name])

    def cut(self, links: list[tuple[str, str]]) -> Undo:
        """Stop some directions."""
        self.network.cut(links)
        return partial(self.network.mend, links)

    def start(self, node: SimNode) -> None:
        """A crashed node comes back."""
        if node.process is None and not node.retired and node.disk.records:
            self.note(node.name, "start")
            node.start()
