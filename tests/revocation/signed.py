"""Replicas with keys of their own, and what they sign, for the tests of the rules."""

from dataclasses import replace
from hashlib import blake2b

from stsd.revocation.bounds import SERVED, Bounds
from stsd.revocation.identity import Identities, Signer, chain_of
from stsd.revocation.messages import Announcement, Batch, Digest, Head, Heartbeat, Origin
from stsd.revocation.pruning import Pruning
from stsd.revocation.replica import Replica

CLUSTER_KEY = b"k" * 32


def signer(origin: Origin) -> Signer:
    """The key of an origin, always the same."""
    return Signer(blake2b(str(origin).encode(), digest_size=32).digest())


def known(*origins: Origin, epoch: int = 0, cluster_key: bytes = CLUSTER_KEY) -> Identities:
    """The identities of these origins."""
    identities = Identities(cluster_key, epoch)
    identities.restore(announced(*origins, epoch=epoch, cluster_key=cluster_key))
    return identities


def announced(*origins: Origin, epoch: int = 0, cluster_key: bytes = CLUSTER_KEY) -> tuple[Announcement, ...]:
    """Their announcements."""
    identities = Identities(cluster_key, epoch)
    return tuple(identities.announce(origin, signer(origin)) for origin in origins)


def node(
    origin: Origin,
    peers,
    now: float,
    *,
    knows=(),
    epoch: int = 0,
    joined: bool = True,
    pruning: Pruning | None = None,
    bounds: Bounds = SERVED,
) -> Replica:
    """A replica that knows these origins already."""
    return Replica(
        origin,
        peers,
        now,
        signer=signer(origin),
        identities=known(*knows, epoch=epoch),
        epoch=epoch,
        joined=joined,
        pruning=pruning,
        bounds=bounds,
    )


def signed(batch: Batch, previous: bytes | None = None, *, by: Signer | None = None, scope=None) -> Batch:
    """A batch as its origin would send it; `previous` is the chain hash before it, or that of the first batch."""
    identities = Identities(CLUSTER_KEY) if scope is None else scope
    batch = replace(batch, previous=identities.genesis(batch.origin) if previous is None else previous)
    batch = replace(batch, chain=chain_of(batch))
    return replace(batch, signature=(by or signer(batch.origin)).sign(identities.batch_content(batch)))


def heartbeat(origin: Origin, at: float, head: int = 0, chain: bytes | None = None, scope=None) -> Heartbeat:
    """A signed heartbeat."""
    identities = Identities(CLUSTER_KEY) if scope is None else scope
    unsigned = Heartbeat(at, head, identities.genesis(origin) if chain is None else chain)
    return unsigned._replace(signature=signer(origin).sign(identities.heartbeat_content(origin, unsigned)))


def digest(sender: Origin, heads=None, heartbeats=None, epoch: int = 0) -> Digest:
    """A digest; a head given as a number has a chain hash that nobody knows."""
    told = {origin: head if isinstance(head, Head) else Head(head, bytes(32)) for origin, head in (heads or {}).items()}
    beats = heartbeats or {}
    return Digest(epoch, sender, told, beats, announced(sender, *told, *beats, epoch=epoch))
