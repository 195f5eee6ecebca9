"""Making SigV4 signatures: in headers, or in the query of a presigned URL (spec 2.2, 2.6).

The load generator signs with this as fast as it can send, so what depends only on the names of the headers, and the
signing keys, are worked out once.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from hashlib import sha256

from stsd.authn import canonical_request
from stsd.authn.canonical_request import encode, header_value
from stsd.authn.signing_keys import ALGORITHM, TERMINATOR, SigningKeys

UNSIGNED_HEADERS = frozenset({
    "authorization", "baggage", "connection", "expect", "keep-alive", "proxy-authenticate", "proxy-authorization", "te",
    "traceparent", "tracestate", "trailer", "transfer-encoding", "upgrade", "user-agent", "x-amzn-trace-id",
})  # fmt: skip
"""Headers that are left out, because what carries a request may change them (spec 2.2.1)."""
DEFAULT_EXPIRES_S = 900

_OWN_KEYS = SigningKeys(limit=256)


def sign(
    method: str,
    url_path: str,
    query: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    access_key_id: str,
    secret_access_key: str,
    session_token: str | None = None,
    region: str,
    service: str = "sts",
    amz_date: str,
    keys: SigningKeys = _OWN_KEYS,
) -> dict[str, str]:
    """The headers to add to a request: X-Amz-Date, X-Amz-Security-Token with a session token, Authorization.

    `query` is the raw query; `headers` must have Host and are all signed but UNSIGNED_HEADERS; `amz_date` is in
    basic format. Give `keys` to keep the signing keys of many callers.
    """
    added = {"X-Amz-Date": amz_date}
    if session_token is not None:
        added["X-Amz-Security-Token"] = session_token
    present = {**headers, **added}
    layout, names = _layout(tuple(present))
    lines = "".join([f"{name}:{header_value(present[given])}\n" for name, given in layout])
    canonical = canonical_request.build(method, url_path, query, lines, names, sha256(body).hexdigest())
    signature = keys.sign(canonical, secret_access_key, amz_date, region, service)
    added["Authorization"] = (
        f"{ALGORITHM} Credential={access_key_id}/{amz_date[:8]}/{region}/{service}/{TERMINATOR},"
        f" SignedHeaders={names}, Signature={signature}"
    )
    return added


def presign(
    method: str,
    url_path: str,
    query: str,
    headers: Mapping[str, str],
    body: bytes = b"",
    *,
    access_key_id: str,
    secret_access_key: str,
    session_token: str | None = None,
    region: str,
    service: str = "sts",
    amz_date: str,
    expires_s: int = DEFAULT_EXPIRES_S,
    keys: SigningKeys = _OWN_KEYS,
) -> str:
    """The whole query string of a presigned request. Parameters are those of `sign`; `headers` must be sent with it."""
    layout, names = _layout(tuple(headers))
    carried = {
        "X-Amz-Algorithm": ALGORITHM,
        "X-Amz-Credential": f"{access_key_id}/{amz_date[:8]}/{region}/{service}/{TERMINATOR}",
        "X-Amz-Date": amz_date,
        "X-Amz-Expires": str(expires_s),
        "X-Amz-SignedHeaders": names,
    }
    if session_token is not None:
        carried["X-Amz-Security-Token"] = session_token
    encoded = [f"{name}={encode(value)}" for name, value in carried.items()]
    whole = canonical_request.query_string("&".join(filter(None, (query, *encoded))))
    lines = "".join([f"{name}:{header_value(headers[given])}\n" for name, given in layout])
    canonical = canonical_request.build(method, url_path, whole, lines, names, sha256(body).hexdigest())
    signature = keys.sign(canonical, secret_access_key, amz_date, region, service)
    return f"{whole}&X-Amz-Signature={signature}"


@lru_cache(maxsize=256)
def _layout(given: tuple[str, ...]) -> tuple[tuple[tuple[str, str], ...], str]:
    """Which headers are signed, in order, each with its name as given; and the value of SignedHeaders."""
    named = {name.lower(): name for name in given}
    layout = tuple(sorted((name, named[name]) for name in named.keys() - UNSIGNED_HEADERS))
    return layout, ";".join(name for name, _ in layout)
