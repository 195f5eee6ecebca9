"""Records of the peer set, which prove themselves (design 2.4): made and read here, collected in peer_set.

| record | signed by | says |
|---|---|---|
| `peer` | the root, or the key of a ticket | this public key is a node of this region, and is reached at this URL |
| `left` | the root | that key is believed up to these heads, and no further |
| ticket | the root | whoever has this key may name one node of this region, until then (see joining) |

A record is `signature (64) ‖ JSON`, so what was signed is never written anew. What is signed names the cluster by its
root key, so nothing holds in another one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
MAX_HEADS = 500
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


# Reading them.


def read(root_key: bytes, record: bytes) -> Peer | tuple[bytes, Left]:
    """What a record of this cluster says; who left is told by the public key. Raises RecordError."""
    body = _body(root_key, record)
    kind, by_ticket = body.get("kind"), body.get("ticket")
    ticket = None if by_ticket is None else read_ticket(root_key, _shaped(lambda: bytes.fromhex(by_ticket)))
    _check_signature(root_key if ticket is None else ticket.key, root_key, record)
    if kind == "peer":
        return _shaped(lambda: _peer(body, ticket))
    if kind == "left" and ticket is None:
        return _shaped(lambda: _left(body))
    raise RecordError("malformed")


def read_peer(root_key: bytes, record: bytes) -> Peer:
    """The node that a record names. Raises RecordError."""
    content = read(root_key, record)
    if not isinstance(content, Peer):
        raise RecordError("malformed")
    return content


def read_ticket(root_key: bytes, record: bytes) -> Ticket:
    """A ticket of this cluster; whether it is over or used, the caller asks. Raises RecordError."""
    body = _body(root_key, record)
    _check_signature(root_key, root_key, record)
    return _shaped(lambda: _ticket(body))


def _body(root_key: bytes, record: bytes) -> dict[str, Any]:
    if len(record) > MAX_RECORD_BYTES:
        raise RecordError("oversized")
    body = _shaped(lambda: dict(orjson.loads(record[SIGNATURE_BYTES:])))
    if body.get("v") != VERSION:
        raise RecordError("wrong_version")
    if body.get("cluster") != cluster_id(root_key):
        raise RecordError("other_cluster")
    return body


# The parts; readers raise any of the errors that `_shaped` turns into one.


def _shaped(read: Callable[[], _Read]) -> _Read:
    try:
        return read()
    except (KeyError, TypeError, ValueError, AttributeError):
        raise RecordError("malformed") from None


def is_signed(key: bytes, content: bytes, signature: bytes) -> bool:
    """Whether the signature over this content is of this key."""
    try:
        crypto_sign_open(signature + content, key)
    except (CryptoError, ValueError, TypeError):
        return False
    return len(signature) == SIGNATURE_BYTES


def _check_signature(key: bytes, root_key: bytes, record: bytes) -> None:
    if not is_signed(key, _CONTEXT + root_key + record[SIGNATURE_BYTES:], record[:SIGNATURE_BYTES]):
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
