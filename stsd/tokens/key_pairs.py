"""Key pairs of SigV4A, derived from an access key (spec 2.5). A token can tell the public half (RFC 7800).

The private key follows from the access key id and the secret access key by the KDF in counter mode of NIST SP 800-108.
Whoever knows the public key alone can check what the holder of the secret signs.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from functools import lru_cache

from cryptography.hazmat.primitives.asymmetric import ec

ALGORITHM = "AWS4-ECDSA-P256-SHA256"
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Of the group of P-256."""
MAX_KEY_PAIRS = 4096
_COORDINATE_BYTES = 32


@lru_cache(maxsize=MAX_KEY_PAIRS)
def derive(access_key_id: str, secret_access_key: str) -> ec.EllipticCurvePrivateKey:
    """The private key of an access key. Raises ValueError in the one case of 2^-8000 in which there is none."""
    key = b"AWS4A" + secret_access_key.encode()
    for counter in range(1, 255):
        label = b"\x00\x00\x00\x01" + ALGORITHM.encode() + b"\x00"
        message = label + access_key_id.encode() + bytes([counter]) + b"\x00\x00\x01\x00"
        candidate = int.from_bytes(hmac.digest(key, message, "sha256"), "big")
        if candidate <= ORDER - 2:
            return ec.derive_private_key(candidate + 1, ec.SECP256R1())
    raise ValueError("the access key makes no key pair")


def coordinates(access_key_id: str, secret_access_key: str) -> tuple[str, str]:
    """The public key of an access key: its point as base64url texts (RFC 7518 section 6.2.1)."""
    public = derive(access_key_id, secret_access_key).public_key().public_numbers()
    return _coordinate(public.x), _coordinate(public.y)


def public_key(x: str, y: str) -> ec.EllipticCurvePublicKey:
    """The key of `coordinates`. Raises ValueError for texts that are none."""
    at_x, at_y = (int.from_bytes(urlsafe_b64decode(text + "="), "big") for text in (x, y))
    return ec.EllipticCurvePublicNumbers(at_x, at_y, ec.SECP256R1()).public_key()


def _coordinate(value: int) -> str:
    return urlsafe_b64encode(value.to_bytes(_COORDINATE_BYTES, "big")).rstrip(b"=").decode()
