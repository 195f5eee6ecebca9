"""The compact form of all that is revoked, as one signed object that any cache may serve (design 2.9).

    base64url of the signature, a line end
    the header as JSON, a line end
    the exact part as JSON: [kind, subject, cut-off in ms, applies_until or null, region of the origin] for each
    the revoked access keys as a Golomb-coded set (stsd.revocation.golomb)

| header | meaning |
|---|---|
| `v` | 1 |
| `cursor` | what is revoked after it comes with the feed |
| `made_at` | Unix seconds |
| `kid` | the token key that signed; it is in the JWKS |
| `key` | of the fingerprints, 16 bytes in hexadecimal: a digest of the cursor |
| `count`, `rice_bits` | of the set: texts in it, and the logarithm of one in how many false positives |
| `exact_bytes` | length of the exact part |
| `digest` | SHA-256 of exact part and set, in hexadecimal |

The signature is Ed25519 (RFC 8032) over `CONTEXT` and the header line without its end. The context holds characters
that no JWS signing input has, so nothing signed here is a token, and no token is a snapshot. Access keys are in the
set because they are many and have no cut-off; whoever finds one in it asks `/v1/verify` before refusing. All other
kinds have a cut-off and are told exactly.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Generator
from dataclasses import dataclass
from hashlib import blake2b, sha256
from typing import Any

import orjson

from stsd.revocation import golomb
from stsd.revocation.golomb import GolombSet
from stsd.revocation.revocation_set import Kind, Revocation, RevocationSet

VERSION = 1
MEDIA_TYPE = "application/vnd.stsd.revocations+gcs"
CONTEXT = b"stsd revocations, compact\n"
NAMED: Kind = "access_key"
"""The kind that is told by the set."""
MAX_HEAD_BYTES = 1 << 21

Sign = Callable[[bytes], bytes]
Verify = Callable[[str, bytes, bytes], bool]
"""Whether a token key of this kid signed a message: kid, message, signature."""


class SnapshotError(ValueError):
    """Bytes that are not a snapshot of ours; the text is a word: `bad_shape`, `bad_signature` or `bad_digest`."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A verified snapshot. `exact` pairs a revocation with its origin's region."""

    cursor: str
    made_at: int
    named: GolombSet
    exact: tuple[tuple[Revocation, str], ...]


def encoding(
    revocations: RevocationSet, cursor: str, now: float, kid: str, sign: Sign
) -> Generator[None, None, tuple[bytes, str]]:
    """Make a snapshot in steps (see golomb); returns its bytes and a quoted ETag. The set is read before the first
    step ends, and must hold what `cursor` says then."""
    named = revocations.subjects(NAMED)
    rows = [
        (r.kind, r.subject, r.issued_before_ms, r.applies_until, region) for r, region in revocations.joined(but=NAMED)
    ]
    exact = orjson.dumps(rows)
    key = blake2b(cursor.encode(), digest_size=golomb.KEY_BYTES).digest()
    body = exact + (yield from golomb.encoding(named, key))
    header = orjson.dumps(
        {
            "v": VERSION,
            "cursor": cursor,
            "made_at": int(now),
            "kid": kid,
            "key": key.hex(),
            "count": len(named),
            "rice_bits": golomb.RICE_BITS,
            "exact_bytes": len(exact),
            "digest": sha256(body).hexdigest(),
        }
    )
    signature = urlsafe_b64encode(sign(CONTEXT + header)).rstrip(b"=")
    return signature + b"\n" + header + b"\n" + body, f'"{sha256(header).hexdigest()[:32]}"'


def read(content: bytes, verify: Verify) -> Snapshot:
    """Check the signature, then the digest, then read. Raises SnapshotError."""
    try:
        return _read(content, verify)
    except SnapshotError:
        raise
    except (ValueError, KeyError, TypeError):
        raise SnapshotError("bad_shape") from None


def kid(content: bytes) -> str:
    """Which token key claims to have signed; nothing is verified. Raises SnapshotError."""
    try:
        return str(_header(content)[0]["kid"])
    except (ValueError, KeyError, TypeError):
        raise SnapshotError("bad_shape") from None


def _read(content: bytes, verify: Verify) -> Snapshot:
    header, signed, signature, start = _header(content)
    if not verify(header["kid"], CONTEXT + signed, signature):
        raise SnapshotError("bad_signature")
    if header["v"] != VERSION or header["rice_bits"] != golomb.RICE_BITS:
        raise SnapshotError("bad_shape")
    body = content[start:]
    if sha256(body).hexdigest() != header["digest"]:
        raise SnapshotError("bad_digest")
    rows = orjson.loads(body[: header["exact_bytes"]])
    named = golomb.decode(body[header["exact_bytes"] :], header["count"], bytes.fromhex(header["key"]))
    exact = tuple((Revocation(kind, subject, cutoff, until), region) for kind, subject, cutoff, until, region in rows)
    return Snapshot(header["cursor"], header["made_at"], named, exact)


def _header(content: bytes) -> tuple[dict[str, Any], bytes, bytes, int]:
    """Header, its bytes, the signature, and where the body starts."""
    after_signature = content.index(b"\n", 0, 128)
    end = content.index(b"\n", after_signature + 1, MAX_HEAD_BYTES)
    signed = content[after_signature + 1 : end]
    header = orjson.loads(signed)
    if not isinstance(header, dict):
        raise SnapshotError("bad_shape")
    return header, signed, urlsafe_b64decode(content[:after_signature] + b"=="), end + 1
