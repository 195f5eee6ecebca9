"""What a request looks like on its way through the router: the client's bytes, less what ends here, plus our mark.

A signature covers the raw path, query, headers and body, so all of them pass untouched, Host included. Removed are
the hop-by-hop fields (RFC 9110 7.6.1), Expect, because the body is here already, and every `x-stsd-` field of the
client: those are ours to say (contract 4).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import lru_cache

from stsd.operations.v1.revoke import DEFAULT_WAIT_S, MAX_WAIT_S

RawHeaders = Iterable[tuple[bytes, bytes]]

HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"expect",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
ENDS_HERE = HOP_BY_HOP | {b"content-length"}
"""Fields of a region's answer that the client does not get as they are."""
NEVER_HOP_BY_HOP = frozenset({b"authorization", b"content-length", b"content-type", b"host"})
"""Fields that a Connection field cannot remove: without them the request would mean something else."""

OWN_PREFIX = b"x-stsd-"
CONNECTION_LENGTH = len(b"connection")
NOTHING: frozenset[bytes] = frozenset()
WAITING_BODY_BYTES_MAX = 64 * 1024


def asked_wait_s(method: str, path: str, body: bytes) -> float:
    """How many seconds the caller wants the region to wait before it answers: `wait: all` of a revocation (contract 6).

    A body that is not understood asks for nothing: the region will refuse it at once.
    """
    if (method, path) != ("POST", "/v1/revocations") or len(body) > WAITING_BODY_BYTES_MAX or b"wait" not in body:
        return 0.0
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return 0.0
    if not isinstance(content, dict) or content.get("wait") != "all":
        return 0.0
    asked = content.get("timeout_s", DEFAULT_WAIT_S)
    return float(asked) if isinstance(asked, int | float) and 0 <= asked <= MAX_WAIT_S else 0.0


def origin_form(target: str) -> str:
    """Path and query of a request target; who takes us for a proxy sends the absolute form (RFC 9112 3.2)."""
    if target.startswith("/") or target == "*":
        return target
    _, scheme, rest = target.partition("://")
    if not scheme:
        return target
    cut = min((i for i in (rest.find("/"), rest.find("?")) if i >= 0), default=len(rest))
    return rest[cut:] if rest[cut : cut + 1] == "/" else "/" + rest[cut:]


def request_head(method: str, target: str, headers: RawHeaders, body_length: int, *ours: tuple[str, str]) -> bytes:
    """The request line and header fields for a region; `ours` are those that the router adds."""
    kept, has_length = _kept(headers)
    start = f"{method} {target} HTTP/1.1\r\n".encode("utf-8", "surrogateescape")
    length = b"Content-Length: %d\r\n" % body_length if body_length and not has_length else b""
    added = "".join(f"{name}: {value}\r\n" for name, value in ours)
    return start + kept + length + f"{added}\r\n".encode("utf-8", "surrogateescape")


def response_fields(headers: RawHeaders) -> bytes:
    """A region's header fields for the client, each with its line end; lengths are said anew with the body."""
    headers = tuple(headers)
    dropped = ENDS_HERE | named if (named := _named_by_connection(headers)) else ENDS_HERE
    return b"".join([name + b": " + value + b"\r\n" for name, value in headers if name.lower() not in dropped])


def _kept(headers: RawHeaders) -> tuple[bytes, bool]:
    """A client's fields that go on to a region, each with its line end, and whether its length is among them."""
    headers = tuple(headers)
    named = _named_by_connection(headers)
    lines, has_length = [], False
    for name, value in headers:
        kind = _kind(name)
        if kind == "passes" and not (named and name.lower() in named):
            lines.append(name + b": " + value + b"\r\n")
        elif kind == "length":
            has_length = True
            lines.append(name + b": " + value + b"\r\n")
    return b"".join(lines), has_length


@lru_cache(maxsize=1024)
def _kind(name: bytes) -> str:
    """What becomes of a client's field; the same few names come with every request."""
    lower = name.lower()
    if lower in HOP_BY_HOP or lower.startswith(OWN_PREFIX):
        return "ends here"
    return "length" if lower == b"content-length" else "passes"


def _named_by_connection(headers: Sequence[tuple[bytes, bytes]]) -> frozenset[bytes]:
    """Fields that a Connection field makes hop-by-hop; usually there is none."""
    named: set[bytes] = set()
    for name, value in headers:
        if len(name) == CONNECTION_LENGTH and name.lower() == b"connection":
            named.update(token.strip().lower() for token in value.split(b","))
    return frozenset(named - NEVER_HOP_BY_HOP) if named else NOTHING
