"""A peer set, nodes that follow it, and what is said of who left."""

from __future__ import annotations

from dataclasses import replace

from stsd.revocation import revocation_token
from stsd.revocation.identity import Identities, Signer
from stsd.revocation.messages import Batch, Checkpoint, Delta, Digest, Floor, Head, Origin, Ready
from stsd.revocation.peer_records import Left, Peer, sign_left, sign_peer
from stsd.revocation.peer_set import PeerSet
from stsd.revocation.replica import Replica
from stsd.revocation.revocation_token import RevocationToken
from tests.revocation.signed import CLUSTER_KEY, announced, signed, signer

NOW = 1_795_435_200.0
ROOT = Signer(b"r" * 32)
A, B, C = (Origin(region, "1", "0" * 16) for region in ("eu-west-1", "us-east-1", "ap-southeast-1"))


def peer_set(*origins: Origin) -> PeerSet:
    peers = (Peer(each.region, signer(each).public_key, "http://127.0.0.1:1", 0) for each in origins)
    return PeerSet(ROOT.public_key, (sign_peer(ROOT, ROOT.public_key, peer) for peer in peers))


def node(own: Origin, peers: PeerSet, *others: Origin, joined: bool = True) -> Replica:
    identities = Identities(CLUSTER_KEY, 0, peers.limit, left=peers.has_left)
    identities.restore(announced(*others))
    names = [other.region for other in others]
    return Replica(own, names, NOW, signer=signer(own), identities=identities, joined=joined)


def history(origin: Origin, length: int) -> list[Batch]:
    batches: list[Batch] = []
    for number in range(1, length + 1):
        batch = Batch(origin, number, (b"entry %d" % number,), NOW)
        batches.append(signed(batch, batches[-1].chain if batches else None))
    return batches


def take(replica: Replica, peer: str, *batches: Batch, of: Origin) -> tuple[str, ...]:
    """The reasons of what was refused."""
    ready = replica.receive(peer, Delta(0, batches, identities=announced(of)), NOW)
    replica.saved(ready, NOW)
    return tuple(reason for reason, _ in ready.refused)


def remove(peers: PeerSet, origin: Origin, head: int) -> None:
    left = Left({origin: head} if head else {}, int(NOW))
    assert peers.take(sign_left(ROOT, signer(origin).public_key, left)) == "new"


def tell(replica: Replica, peer: Origin, at: Batch) -> Ready:
    """A peer tells how far it holds C's log."""
    return replica.receive(peer.region, Digest(0, peer, {C: Head(at.last, at.chain)}, {}, announced(peer)), NOW)


def claim_of(replica: Replica, origin: Origin, floor: Floor, *, log: Origin = C) -> Checkpoint:
    """A node says that it has pruned a log."""
    pruned = Checkpoint(0, origin, NOW, {log: floor})
    return replace(pruned, signature=signer(origin).sign(replica.identities.checkpoint_content(pruned)))


def fresh(replica: Replica, *sequences: int) -> list[bool]:
    """Whether the tokens of these entries of C are honoured."""
    return [replica.fresh_enough(revocation_token.encode(RevocationToken(C, each, 0))) for each in sequences]
