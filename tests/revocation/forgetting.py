"""Nodes that forget what is over, with entries that say themselves when they are."""

from math import inf

from stsd.revocation.bounds import SERVED, Bounds
from stsd.revocation.messages import Fetch, Origin
from stsd.revocation.pruning import Pruning
from stsd.revocation.replica import Replica
from tests.revocation.signed import known, signer

NOW = 1_795_435_200.0
A, B, C = (Origin(region, "1", "1" * 16) for region in ("eu-west-1", "us-east-1", "ap-southeast-1"))
TAIL_S = 100.0
LATER = NOW + 2 * TAIL_S


def ends(entry: bytes) -> float:
    """Entries of these tests: `over`, or `kept`, or the second in which they end."""
    return {b"over": 0.0, b"kept": inf}.get(entry.split()[0]) or (float(entry) if entry.isdigit() else 0.0)


def node(origin: Origin, *, joined: bool = True, bounds: Bounds = SERVED) -> Replica:
    peers = [other.region for other in (A, B, C) if other != origin]
    return Replica(
        origin, peers, NOW, signer=signer(origin), identities=known(A, B, C), joined=joined, bounds=bounds,
        pruning=Pruning(lambda entry: inf if entry.startswith(b"kept") else ends(entry), TAIL_S),
    )  # fmt: skip


def write(replica: Replica, *batches: str, now: float = NOW) -> None:
    for text in batches:
        replica.committed(replica.append([text.encode()], now), now)


def take(replica: Replica, peer: str, *messages) -> None:
    """Receive, with a disk that always works."""
    for message in messages:
        ready = replica.receive(peer, message, LATER)
        if ready.stores:
            replica.saved(ready, LATER)


def answer(replica: Replica, after: int, origin: Origin = A) -> list:
    return [message for _, message in replica.receive("us-east-1", Fetch(0, {origin: after}), LATER).send]


def held(replica: Replica) -> list[str]:
    return [entry.decode() for batch in replica.seen() for entry in batch.entries]


def pruned(*batches: str, bounds: Bounds = SERVED) -> Replica:
    """A node whose own log was pruned as far as it goes."""
    replica = node(A, bounds=bounds)
    write(replica, *batches)
    while (step := replica.prune(LATER, limit=2)) and step.more:
        pass
    return replica
