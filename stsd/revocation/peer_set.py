"""Who belongs to a cluster: records under its root key, which is kept off the nodes (design 2.4).

| record | signed by | says |
|---|---|---|
| `peer` | the root, or the key of a ticket | this public key is a node of this region, and is reached at this URL |
| `left` | the root | that key is believed up to these heads, and no further |
| ticket | the root | whoever has this key may name one node of this region, until then (see joining) |

1. A record proves itself, so it counts whoever carries it, and nothing holds in another cluster.
2. Records only become more. They need no order, and so no region that can be reached: a node is removed while others
   are cut off, and no two removals exclude each other.
3. A ticket names one node. Where two regions that cannot hear each other let it name two, the one whose record has the
   lower hash counts, everywhere.
4. Who left stays known: what it said up to its leaving heads is still believed. Of two `left` records the larger heads
   count, so that every node cuts its log at one place in the end.

A record is `signature (64) ‖ JSON`, so what was signed is never written anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

import orjson
from nacl.bindings import crypto_sign_open
from nacl.exceptions import CryptoError

from stsd.revocation.identity import KEY_BYTES, SIGNATURE_BYTES, Signer
from stsd.revocation.messages import Origin

VERSION = 1
MAX_RECORD_BYTES = 65_536
MAX_RECORDS = 1_000
"""A cluster that has seen more joins and removals takes no more: all records fit into one message between nodes."""
MAX_RECORDS_BYTES = 1 << 20
MAX_HEADS = 500
DIGEST_BYTES = 16
MAX_URL_CHARACTERS = 500
MAX_NUMBER = 2**53
_CONTEXT = b"stsd peer set"
_Read = TypeVar("_Read")


class RecordError(ValueError):
    """A record or ticket that changes nothing; `reason` is `oversized`, `malformed`, `wrong_version`, `other_cluster`
    or `forged`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Ticket:
    """The root lets the holder of `key` name one node of `region`, until `expires_at` (Unix seconds)."""

    id: str
    region: str
    key: bytes
    expires_at: int


@dataclass(frozen=True, slots=True)
class Peer:
    """A node: its region, the key that it signs with, the URL at which others reach it, since when (Unix seconds).
    `ticket` is the one that named it, None for a node that founded the cluster."""

    region: str
    public_key: bytes
    url: str
    since: int
    ticket: Ticket | None = None


class Left(NamedTuple):
    """How far each origin of a node that left is believed, and since when it is gone (Unix seconds)."""

    heads: Mapping[Origin, int]
    at: int


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
            content = self._read(record)
        except RecordError as error:
            return error.reason
        if len(self._records) >= MAX_RECORDS or self.size + len(record) > MAX_RECORDS_BYTES:
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
        return any(_is_signed(key, content, signature) for key in keys)

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

    def read_ticket(self, record: bytes) -> Ticket:
        """A ticket of this cluster; whether it is over or used, the caller asks. Raises RecordError."""
        body = self._body(record)
        _check_signature(self.root_key, self.root_key, record)
        return _shaped(lambda: _ticket(body))

    def read_peer(self, record: bytes) -> Peer:
        """The node that a record names, without taking it in. Raises RecordError."""
        content = self._read(record)
        if not isinstance(content, Peer):
            raise RecordError("malformed")
        return content

    def _rivals(self, peer: Peer) -> list[tuple[bytes, Peer]]:
        """The nodes that cannot be beside this one: named by the same ticket, or of the same key."""
        return [
            (name, other)
            for name, other in self._peers.values()
            if other.public_key == peer.public_key or (peer.ticket is not None and other.ticket == peer.ticket)
        ]

    def _body(self, record: bytes) -> dict[str, Any]:
        if len(record) > MAX_RECORD_BYTES:
            raise RecordError("oversized")
        body = _shaped(lambda: dict(orjson.loads(record[SIGNATURE_BYTES:])))
        if body.get("v") != VERSION:
            raise RecordError("wrong_version")
        if body.get("cluster") != cluster_id(self.root_key):
            raise RecordError("other_cluster")
        return body

    def _read(self, record: bytes) -> Peer | tuple[bytes, Left]:
        body = self._body(record)
        kind, by_ticket = body.get("kind"), body.get("ticket")
        ticket = None if by_ticket is None else self.read_ticket(_shaped(lambda: bytes.fromhex(by_ticket)))
        _check_signature(self.root_key if ticket is None else ticket.key, self.root_key, record)
        if kind == "peer":
            return _shaped(lambda: _peer(body, ticket))
        if kind == "left" and ticket is None:
            return _shaped(lambda: _left(body))
        raise RecordError("malformed")


# Making records.


def cluster_id(root_key: bytes) -> str:
    """What names a cluster in records and tickets: 16 hexadecimal digits of its root key's hash."""
    return blake2b(root_key, digest_size=8, person=b"stsd-root").hexdigest()


def sign_peer(signer: Signer, root_key: bytes, peer: Peer, ticket: bytes = b"") -> bytes:
    """The record that names a node; `signer` is the root, or has the key of `ticket`."""
    body = {
        "kind": "peer",
        "region": peer.region,
        "public_key": peer.public_key.hex(),
        "url": peer.url,
        "since": peer.since,
    }
    return _signed(signer, root_key, body | ({"ticket": ticket.hex()} if ticket else {}))


def sign_left(root: Signer, public_key: bytes, left: Left) -> bytes:
    """The record that removes a node."""
    heads = {str(origin): head for origin, head in left.heads.items()}
    return _signed(
        root, root.public_key, {"kind": "left", "public_key": public_key.hex(), "heads": heads, "at": left.at}
    )


def sign_ticket(root: Signer, ticket: Ticket) -> bytes:
    """The part of a ticket that may be shown: it is of no use without the ticket's key."""
    body = {
        "kind": "ticket",
        "id": ticket.id,
        "region": ticket.region,
        "key": ticket.key.hex(),
        "expires_at": ticket.expires_at,
    }
    return _signed(root, root.public_key, body)


def _signed(signer: Signer, root_key: bytes, members: dict[str, Any]) -> bytes:
    body = orjson.dumps({"v": VERSION, "cluster": cluster_id(root_key), **members})
    return signer.sign(_CONTEXT + root_key + body) + body


# Reading them. Readers raise any of the errors that `_shaped` turns into one.


def _shaped(read: Callable[[], _Read]) -> _Read:
    try:
        return read()
    except (KeyError, TypeError, ValueError, AttributeError):
        raise RecordError("malformed") from None


def _is_signed(key: bytes, content: bytes, signature: bytes) -> bool:
    try:
        crypto_sign_open(signature + content, key)
    except (CryptoError, ValueError, TypeError):
        return False
    return len(signature) == SIGNATURE_BYTES


def _check_signature(key: bytes, root_key: bytes, record: bytes) -> None:
    if not _is_signed(key, _CONTEXT + root_key + record[SIGNATURE_BYTES:], record[:SIGNATURE_BYTES]):
        raise RecordError("forged")


def _members(body: dict[str, Any], *names: str) -> list[Any]:
    if body.keys() != {"v", "cluster", "kind", *names}:
        raise ValueError("members")
    return [body[name] for name in names]


def _peer(body: dict[str, Any], ticket: Ticket | None) -> Peer:
    by_ticket = () if ticket is None else ("ticket",)
    region, public_key, url, since = _members(body, "region", "public_key", "url", "since", *by_ticket)[:4]
    if ticket is not None and ticket.region != region:
        raise ValueError("region")
    return Peer(_region(region), _key(public_key), _url(url), _instant(since), ticket)


def _left(body: dict[str, Any]) -> tuple[bytes, Left]:
    public_key, heads, at = _members(body, "public_key", "heads", "at")
    if len(heads) > MAX_HEADS:
        raise ValueError("heads")
    return _key(public_key), Left({Origin.parse(name): _instant(head) for name, head in heads.items()}, _instant(at))


def _ticket(body: dict[str, Any]) -> Ticket:
    name, region, key, expires_at = _members(body, "id", "region", "key", "expires_at")
    if body["kind"] != "ticket" or not (isinstance(name, str) and 8 <= len(name) <= 64):
        raise ValueError("ticket")
    return Ticket(name, _region(region), _key(key), _instant(expires_at))


def _region(value: Any) -> str:
    return Origin.parse(f"{value}/1/{'0' * 16}").region


def _key(value: Any) -> bytes:
    key = bytes.fromhex(value)
    if len(key) != KEY_BYTES:
        raise ValueError("key")
    return key


def _instant(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= MAX_NUMBER:
        raise ValueError("number")
    return value


def _url(value: Any) -> str:
    parts = urlsplit(value)
    if len(value) > MAX_URL_CHARACTERS or parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("url")
    return str(value)


def _later(known: Left | None, other: Left) -> Left:
    """Rule 4."""
    if known is None:
        return other
    heads = {
        origin: max(known.heads.get(origin, 0), other.heads.get(origin, 0)) for origin in {*known.heads, *other.heads}
    }
    return Left(heads, min(known.at, other.at))
