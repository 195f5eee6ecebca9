"""The router's mark: what it saw of the client, in a header that a client cannot forge (contract 4).

The router removes every `x-stsd-` header that a client sends and adds this one; a node believes it only if its
keyed BLAKE2b (RFC 7693) holds. The key is derived from the cluster key, so that a router never needs token keys.
The tag covers the request's own credentials (its Authorization header, or its query when presigned) and the time,
so a mark that leaked cannot be moved to another request or kept.
"""

from __future__ import annotations

from hashlib import blake2b
from hmac import compare_digest
from typing import NamedTuple

from stsd.wire.messages import Endpoint

HEADER = "x-stsd-forwarded"
WINDOW_S = 300
"""How far the router's clock may be from the node's; generous, because a mark never leaves our own processes."""


class Forwarded(NamedTuple):
    """What the router vouches for: the endpoint that was called, the client's address and whether TLS was used."""

    endpoint: Endpoint
    client_ip: str
    secure: bool


def router_key(cluster_key: bytes) -> bytes:
    """The 32-byte key of the mark, from the 32-byte cluster key."""
    return blake2b(cluster_key, digest_size=32, person=b"stsd-router-mark").digest()


def mark(key: bytes, endpoint: Endpoint, client_ip: str, secure: bool, now: float, binding: str) -> str:
    """The header's value at `now` (Unix seconds). `binding` is the Authorization header, else the raw query."""
    said = f"{endpoint};{client_ip};{int(secure)};{int(now)}"
    return f"{said};{_tag(key, said, binding)}"


def read(key: bytes, value: str, now: float, binding: str) -> Forwarded | None:
    """What a genuine and current mark says, else None: an unproven mark counts for nothing."""
    said, _, tag = value.rpartition(";")
    if not compare_digest(_tag(key, said, binding).encode(), tag.encode("utf-8", "surrogateescape")):
        return None
    endpoint, client_ip, secure, marked_at = said.split(";")
    if abs(now - int(marked_at)) > WINDOW_S:
        return None
    return Forwarded("global" if endpoint == "global" else "regional", client_ip, secure == "1")


def _tag(key: bytes, said: str, binding: str) -> str:
    text = f"{said}\n{binding}".encode("utf-8", "surrogateescape")
    return blake2b(text, key=key, digest_size=16).hexdigest()
