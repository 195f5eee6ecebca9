"""Who belongs to a cluster, as its root key says, which is kept off the nodes (design 2.4).

1. A record proves itself (peer_records), so it counts whoever carries it.
2. Records only become more. They need no order, and so no region that can be reached: a node is removed while others
   are cut off, and no two removals exclude each other.
3. A ticket names one node. Where two regions that cannot hear each other let it name two, the one whose record has the
   lower hash counts, everywhere.
4. Who left stays known: what it said up to its leaving heads is still believed. Of two `left` records the larger heads
   count, so that every node cuts its log at one place in the end.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

from stsd.revocation import peer_records
from stsd.revocation.messages import Origin
from stsd.revocation.peer_records import Left, Peer, RecordError, Ticket, is_signed

MAX_RECORDS = 1_000
MAX_RECORDS_BYTES = 1 << 20
"""All records fit into one message between nodes."""
JOINS_SHARE = 0.8
"""How much of that nodes that join may take: a cluster that has seen too many joins can still remove nodes."""
DIGEST_BYTES = 16


class PeerSet:
    """All records known, and what follows from them. `root_key` is the cluster's public root key."""

    def __init__(self, root_key: bytes, records: Iterable[bytes] = ()) -> None:
        self.root_key = root_key
        self._records: dict[bytes, bytes] = {}
        self._peers: dict[bytes, tuple[bytes, Peer]] = {}
        self._left: dict[bytes, Left] = {}
        for record in records:
            self.take(record)

    def take(self, record: bytes) -> str:
        """Take in a record: `new`, `known`, or why it changes nothing: a RecordError's reason, `ticket_used`, or
        `peer_set_full`."""
        name = blake2b(record, digest_size=16).digest()
        if name in self._records:
            return "known"
        try:
            content = peer_records.read(self.root_key, record)
        except RecordError as error:
            return error.reason
        share = JOINS_SHARE if isinstance(content, Peer) else 1
        if len(self._records) >= MAX_RECORDS * share or self.size + len(record) > MAX_RECORDS_BYTES * share:
            return "peer_set_full"
        if isinstance(content, Peer):
            for other, peer in self._rivals(content):
                if other < name:
                    return "ticket_used"
                del self._peers[peer.public_key], self._records[other]
            self._peers[content.public_key] = (name, content)
        else:
            public_key, left = content
            self._left[public_key] = _later(self._left.get(public_key), left)
        self._records[name] = record
        return "new"

    def copy(self) -> PeerSet:
        """Another one that knows the same."""
        other = PeerSet(self.root_key)
        other._records, other._peers, other._left = dict(self._records), dict(self._peers), dict(self._left)
        return other

    @property
    def size(self) -> int:
        """Bytes of all records."""
        return sum(map(len, self._records.values()))

    def records(self) -> tuple[bytes, ...]:
        """All that is known, to be passed on and to be kept."""
        return tuple(self._records.values())

    def digest(self) -> bytes:
        """DIGEST_BYTES that are equal where the same is known."""
        return blake2b(b"".join(sorted(self._records)), digest_size=DIGEST_BYTES).digest()

    def knows_more_than(self, records: Iterable[bytes]) -> bool:
        """Whether a record is missing among these."""
        return bool(self._records.keys() - {blake2b(record, digest_size=16).digest() for record in records})

    # What follows.

    def peers(self) -> tuple[tuple[Peer, Left | None], ...]:
        """Every node there ever was, by region and age."""
        known = sorted((peer for _, peer in self._peers.values()), key=lambda peer: (peer.region, peer.since))
        return tuple((peer, self._left.get(peer.public_key)) for peer in known)

    def members(self) -> dict[str, Peer]:
        """The node of each region; where there are two, the one that came last."""
        return {peer.region: peer for peer, left in self.peers() if left is None}

    def is_member(self, region: str, public_key: bytes) -> bool:
        """Whether this key is that of a node of this region that has not left."""
        _, peer = self._peers.get(public_key, (b"", None))
        return peer is not None and peer.region == region and public_key not in self._left

    def signed_by(self, region: str, content: bytes, signature: bytes) -> bool:
        """Whether a node of this region that has not left signed this."""
        keys = [peer.public_key for _, peer in self._peers.values() if self.is_member(region, peer.public_key)]
        return any(is_signed(key, content, signature) for key in keys)

    def has_left(self, public_key: bytes) -> bool:
        """Whether the node with this key was removed."""
        return public_key in self._left

    def limit(self, origin: Origin, public_key: bytes) -> int | None:
        """How far an origin that signs with this key is believed: None for no limit, 0 for not at all."""
        _, peer = self._peers.get(public_key, (b"", None))
        if peer is None or peer.region != origin.region:
            return 0
        left = self._left.get(public_key)
        return None if left is None else left.heads.get(origin, 0)

    def named_by(self, ticket: Ticket) -> Peer | None:
        """The node that a ticket has named."""
        return next((peer for _, peer in self._peers.values() if peer.ticket == ticket), None)

    def record_of(self, public_key: bytes) -> bytes | None:
        """The record that names the node with this key."""
        named = self._peers.get(public_key)
        return None if named is None else self._records[named[0]]

    def _rivals(self, peer: Peer) -> list[tuple[bytes, Peer]]:
        """The nodes that cannot be beside this one: named by the same ticket, or of the same key."""
        return [
            (name, other)
            for name, other in self._peers.values()
            if other.public_key == peer.public_key or (peer.ticket is not None and other.ticket == peer.ticket)
        ]


def _later(known: Left | None, other: Left) -> Left:
    """Rule 4."""
    if known is None:
        return other
    heads = {
        origin: max(known.heads.get(origin, 0), other.heads.get(origin, 0)) for origin in {*known.heads, *other.heads}
    }
    return Left(heads, min(known.at, other.at))
