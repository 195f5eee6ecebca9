"""Signing keys of SigV4, derived once for a secret and a credential scope (spec 2.2)."""

from __future__ import annotations

import hmac
from hashlib import sha256

from stsd.wire.query import octets

ALGORITHM = "AWS4-HMAC-SHA256"
TERMINATOR = "aws4_request"
MAX_SIGNING_KEYS = 4096


class SigningKeys:
    """Signing keys by secret and credential scope, as keyed HMAC objects; the oldest of a bounded number goes first.

    The secret is part of what is looked up, so an access key whose secret changed cannot meet its old signing key.
    """

    __slots__ = ("_keyed", "_limit")

    def __init__(self, limit: int = MAX_SIGNING_KEYS) -> None:
        self._keyed: dict[tuple[str, str, str, str], hmac.HMAC] = {}
        self._limit = limit

    def __len__(self) -> int:
        return len(self._keyed)

    def sign(self, canonical: bytes, secret_access_key: str, timestamp: str, region: str, service: str) -> str:
        """The signature of a canonical request, in lower-case hex; `timestamp` is in ISO 8601 basic format."""
        date = timestamp[:8]
        keyed = self._keyed.get((secret_access_key, date, region, service))
        if keyed is None:
            keyed = self._derive(secret_access_key, date, region, service)
        code = keyed.copy()
        hashed = sha256(canonical).hexdigest()
        code.update(octets(f"{ALGORITHM}\n{timestamp}\n{date}/{region}/{service}/{TERMINATOR}\n{hashed}"))
        return code.hexdigest()

    def _derive(self, secret_access_key: str, date: str, region: str, service: str) -> hmac.HMAC:
        key = octets("AWS4" + secret_access_key)
        for part in (date, region, service, TERMINATOR):
            key = hmac.digest(key, octets(part), "sha256")
        if len(self._keyed) >= self._limit:
            del self._keyed[next(iter(self._keyed))]
        keyed = hmac.new(key, digestmod="sha256")
        self._keyed[secret_access_key, date, region, service] = keyed
        return keyed
