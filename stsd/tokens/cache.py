"""Verified tokens, so that the signature of a token is checked once per node and not once per request.

The cache remembers only what never changes: that this text was signed by that key. Time, revocation and the
liveness of the principal are asked on every hit, so a revocation always beats the cache.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from stsd.principal import Session
from stsd.tokens import session_token
from stsd.tokens.keyset import KeySet, TokenKey


@dataclass(slots=True)
class Verified:
    """A token whose signature holds; `claims` is the JSON that was signed."""

    session: Session
    claims: bytes = field(repr=False)
    _key: TokenKey = field(repr=False)

    def secret_access_key(self) -> str:
        """The secret that belongs to the token; derived when it is asked for, so that none lies about."""
        return session_token.secret_access_key(self._key, self.session.access_key_id, self.session.token_id)


class VerifiedTokens:
    """At most `limit` verified tokens, keyed by the token's text, in two generations.

    When the young generation holds half of the limit it becomes the old one, and the old one goes at once: no entry is
    ever looked for to be dropped. What is used again moves to the young one. Raising the limit costs about 3 kB per
    token.
    """

    def __init__(self, keys: KeySet, limit: int = 10_000) -> None:
        self._keys = keys
        self._half = limit // 2
        self._young: dict[str, Verified] = {}
        self._old: dict[str, Verified] = {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def open(self, token: str) -> Verified:
        """The verified token. Raises TokenError malformed, unknown_key or bad_signature."""
        entry = self._young.get(token)
        if entry is None:
            entry = self._old.pop(token, None) or self._verify(token)
            if len(self._young) >= self._half:
                self._old, self._young = self._young, {}
            self._young[token] = entry
        return entry

    def _verify(self, token: str) -> Verified:
        if len(token) > session_token.MAX_TOKEN_CHARACTERS or not token.isascii():
            raise session_token.TokenError("malformed")
        session, claims = session_token.verify(token, self._keys)
        return Verified(session, claims, self._keys.by_kid[session.key_id])
