"""Three regions' replicas, and how they write, hear and exchange, for the tests of the rules."""

from stsd.revocation.identity import Identities
from stsd.revocation.messages import Batch, Head, Origin, Ready
from stsd.revocation.replica import Replica
from tests.revocation.signed import CLUSTER_KEY
from tests.revocation.signed import node as node_of

NOW = 1_795_435_200.0
A, B, C = "eu-west-1", "us-east-1", "ap-southeast-1"


def origin(region: str, incarnation: int = 1) -> Origin:
    return Origin(region, "n1", f"{incarnation:016x}")


ALL = [origin(region, incarnation) for region in (A, B, C) for incarnation in (1, 2)]


def replica(region: str, *, peers=(A, B, C), incarnation: int = 1, **options) -> Replica:
    others = [peer for peer in peers if peer != region]
    return node_of(origin(region, incarnation), others, NOW, knows=ALL, **options)


def write(node: Replica, *entries: bytes, now: float = NOW) -> tuple[Batch, Ready]:
    batch = node.append(entries or (b"entry",), now)
    return batch, node.committed(batch, now)


def take(node: Replica, peer: str, message, now: float = NOW) -> tuple[Ready, Ready]:
    """Receive, with a disk that always works."""
    ready = node.receive(peer, message, now)
    return ready, node.saved(ready, now) if ready.save else Ready()


def exchange(first: Replica, second: Replica, now: float, rounds: int = 8) -> None:
    """Both tick, and every message between the two arrives, answers included."""
    names = {first.origin.region: first, second.origin.region: second}
    sent = [(node, peer, message) for node in names.values() for peer, message in node.tick(now).send if peer in names]
    for _ in range(rounds):
        answers = []
        for sender, peer, message in sent:
            for ready in take(names[peer], sender.origin.region, message, now):
                answers += [(names[peer], to, answer) for to, answer in ready.send]
        sent = answers


NOTHING = Head(0, Identities(CLUSTER_KEY).genesis(origin(A)))


def head_of(batch: Batch) -> Head:
    return Head(batch.last, batch.chain)


def messages(ready: Ready, kind: type) -> list:
    return [message for _, message in ready.send if isinstance(message, kind)]
