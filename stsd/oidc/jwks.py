"""Keys of an identity provider: which of a JWK Set (RFC 7517) may verify ID tokens (spec 3.4.1).

1. A key without `kid` is not usable; of several with one `kid` the last counts, usable or not.
2. `use` other than `sig`, and any `key_ops`, make a key unusable; its `alg` is not looked at.
3. A certificate in `x5c` must be of the same key.
4. More than MAX_RSA_KEYS RSA keys: none of the RSA keys is usable.
5. RSA keys are of 2048 bits at least (RFC 7518 section 3.3), and of MAX_RSA_BITS at most; EC keys of P-256, 384, 521.

Keys are read when a token first asks for them, so a long set costs no more than a short one.
"""

from __future__ import annotations

from base64 import b64decode, urlsafe_b64decode
from collections.abc import Iterator, Mapping
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

MAX_RSA_KEYS = 100
MIN_RSA_BITS, MAX_RSA_BITS = 2048, 8192
MAX_EXPONENT_CHARACTERS = 8
"""In base64url; a long exponent makes every verification slow, and nobody has one."""
CURVES = ("P-256", "P-384", "P-521")

PublicKey = RSAKey | ECKey


class JwksError(ValueError):
    """What is no JWK Set; the text says why."""


class UnknownKey(LookupError):
    """No key with this `kid`: the provider may have a new one."""


class UnusableKey(LookupError):
    """The set has no key that may verify this token."""


class VerificationKeys:
    """The keys of one JWK Set. Raises JwksError for what is none."""

    def __init__(self, jwks: object) -> None:
        entries = jwks.get("keys") if isinstance(jwks, Mapping) else None
        if not isinstance(entries, list) or not all(isinstance(entry, Mapping) for entry in entries):
            raise JwksError("it has no array `keys` of objects")
        self._count = len(entries)
        self._too_much_rsa = sum(entry.get("kty") == "RSA" for entry in entries) > MAX_RSA_KEYS
        self._entries: dict[str, Mapping[str, Any]] = {
            entry["kid"]: entry for entry in entries if isinstance(entry.get("kid"), str)
        }
        self._read: dict[str, PublicKey | None] = {}

    def find(self, kid: str | None) -> PublicKey:
        """The key for a token with this `kid`; for one without, the only key of the set. Raises UnknownKey, or
        UnusableKey when asking the provider anew would not help."""
        if kid is None:
            if self._count != 1 or not self._entries:
                raise UnusableKey("the token names no key, and the set has not exactly one")
            (kid,) = self._entries
        if kid not in self._entries:
            raise UnknownKey(kid)
        if kid not in self._read:
            self._read[kid] = self._key(self._entries[kid])
        key = self._read[kid]
        if key is None:
            raise UnusableKey(kid)
        return key

    def usable(self) -> Iterator[str]:
        """The `kid` of every key that may verify a token."""
        for kid in self._entries:
            try:
                self.find(kid)
            except UnusableKey:
                continue
            yield kid

    def _key(self, entry: Mapping[str, Any]) -> PublicKey | None:
        if entry.get("use", "sig") != "sig" or "key_ops" in entry:
            return None
        try:
            key = _import(entry, rsa=not self._too_much_rsa)
            return key if key is not None and _agrees(key, entry.get("x5c")) else None
        except (JoseError, ValueError, TypeError, KeyError):
            return None


def _import(entry: Mapping[str, Any], *, rsa: bool) -> PublicKey | None:
    """Only the members of the public key are read; private ones and hints of the set are left out."""
    if entry.get("kty") == "RSA" and rsa:
        bits = int.from_bytes(urlsafe_b64decode(entry["n"] + "==")).bit_length()
        if not MIN_RSA_BITS <= bits <= MAX_RSA_BITS or len(entry["e"]) > MAX_EXPONENT_CHARACTERS:
            return None
        return RSAKey.import_key({"kty": "RSA", "n": entry["n"], "e": entry["e"]})
    if entry.get("kty") == "EC" and entry.get("crv") in CURVES:
        return ECKey.import_key({"kty": "EC", "crv": entry["crv"], "x": entry["x"], "y": entry["y"]})
    return None


def _agrees(key: PublicKey, chain: object) -> bool:
    """Whether the certificate that the key claims for itself is of this key (RFC 7517 section 4.7)."""
    if chain is None:
        return True
    if not isinstance(chain, list) or not chain or not isinstance(chain[0], str):
        return False
    certified = x509.load_der_x509_certificate(b64decode(chain[0], validate=True)).public_key()
    info = PublicFormat.SubjectPublicKeyInfo
    return certified.public_bytes(Encoding.DER, info) == key.public_key.public_bytes(Encoding.DER, info)
