"""SigV4A: signatures that are good in several regions and checked with a public key (spec 2.5).

The canonical request is that of SigV4. The scope has no region; the regions are a signed list of patterns instead.
"""

from __future__ import annotations

import re
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from stsd.authn.signing_keys import TERMINATOR
from stsd.tokens.key_pairs import ALGORITHM
from stsd.wildcards import compile_glob
from stsd.wire.query import octets

_ECDSA = ec.ECDSA(SHA256())
_HEX = re.compile("[0-9a-f]*")


def covers(region_set: str, region: str) -> bool:
    """Whether a list of regions such as `eu-*,us-east-1` names `region`; `?` is no wildcard in it."""
    patterns = (pattern.strip() for pattern in region_set.split(","))
    return any("?" not in pattern and compile_glob(pattern)(region) for pattern in patterns if pattern)


def string_to_sign(canonical: bytes, timestamp: str, service: str) -> bytes:
    """What is signed; `timestamp` is in ISO 8601 basic format."""
    hashed = sha256(canonical).hexdigest()
    return octets(f"{ALGORITHM}\n{timestamp}\n{timestamp[:8]}/{service}/{TERMINATOR}\n{hashed}")


def is_signed(public_key: ec.EllipticCurvePublicKey, signature: str, signed: bytes) -> bool:
    """Whether `signature`, a DER-encoded ECDSA signature in lower-case hex, is of `signed`."""
    if not _HEX.fullmatch(signature):
        return False
    try:
        public_key.verify(bytes.fromhex(signature), signed, _ECDSA)
    except (InvalidSignature, ValueError):
        return False
    return True
