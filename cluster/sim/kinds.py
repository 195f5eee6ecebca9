"""What the nodes of a simulated world are made of, and what happened to them, in numbers."""

from __future__ import annotations

from dataclasses import dataclass, field

from cluster.sim.node import SimNode
from stsd.revocation.identity import Identities
from stsd.revocation.peer_set import PeerSet
from stsd.revocation.pruning import Pruning
from stsd.revocation.replica import Replica
from stsd.revocation.revocation_set import RevocationSet


@dataclass(frozen=True, slots=True)
class Kinds:
    """What the nodes are made of; a test plants bugs here."""

    node: type[SimNode] = SimNode
    replica: type[Replica] = Replica
    revocations: type[RevocationSet] = RevocationSet
    identities: type[Identities] = Identities
    pruning: type[Pruning] = Pruning
    peer_set: type[PeerSet] = PeerSet


@dataclass(slots=True)
class Tally:
    """What happened, in numbers."""

    faults: dict[str, int] = field(default_factory=dict)
    requests: int = 0
    denied: int = 0
    forged: int = 0
    refused: int = 0
    forks: int = 0
    pruned: int = 0
    adopted: int = 0
    verified: int = 0
    acknowledged: int = 0
