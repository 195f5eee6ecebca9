"""Token keys as whoever verifies elsewhere holds them: the public halves, from the JWKS (RFC 7517, RFC 8037)."""

from __future__ import annotations

from base64 import urlsafe_b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nacl.bindings import crypto_sign_open
from nacl.exceptions import BadSignatureError

from stsd.tokens.keyset import SIGNATURE_BYTES, jws_header

PUBLIC_BYTES = 32


@dataclass(frozen=True, slots=True)
class PublishedKey:
    """One Ed25519 public key."""

    kid: str
    public: bytes


class PublishedKeys:
    """The keys of one JWKS; immutable."""

    def __init__(self, keys: tuple[PublishedKey, ...] = ()) -> None:
        self.by_kid: Mapping[str, PublishedKey] = {key.kid: key for key in keys}
        self.by_header: Mapping[str, PublishedKey] = {jws_header(key.kid): key for key in keys}

    def signed(self, kid: str, message: bytes, signature: bytes) -> bool:
        """Whether the key `kid` made this detached signature; false for a kid that is not published."""
        key = self.by_kid.get(kid)
        if key is None or len(signature) != SIGNATURE_BYTES:
            return False
        try:
            crypto_sign_open(signature + message, key.public)
        except BadSignatureError:
            return False
        return True


def read(jwks: Any) -> PublishedKeys:
    """The Ed25519 keys of a JWKS; keys of another type are skipped (RFC 7517 section 5). Raises ValueError."""
    try:
        keys = tuple(_key(jwk) for jwk in jwks["keys"] if (jwk["kty"], jwk.get("crv")) == ("OKP", "Ed25519"))
    except (KeyError, TypeError, AttributeError, ValueError):
        raise ValueError("not a JWKS") from None
    if not keys:
        raise ValueError("a JWKS without an Ed25519 key")
    return PublishedKeys(keys)


def _key(jwk: dict[str, str]) -> PublishedKey:
    public = urlsafe_b64decode(jwk["x"] + "=" * (-len(jwk["x"]) % 4))
    if len(public) != PUBLIC_BYTES or not isinstance(jwk["kid"], str):
        raise ValueError("not an Ed25519 key")
    return PublishedKey(jwk["kid"], public)
