"""Verified tokens, so that the signature of a token is checked once per node and not once per request.

The cache remembers only what never changes: that this text was signed by that key. Time, revocation and the
liveness of the principal are asked on every hit, so a revocation always beats the cache.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from stsd.principal import Session
from stsd.tokens import session_token
from stsd.tokens.keyset import KeySet

VerifyToken = Callable[[str, KeySet], tuple[Session, dict[str, Any]]]


@dataclass(slots=True)
class Verified:
    """A token whose signature holds. `answer` is the body of a positive `/v1/verify`, once it was made."""

    session: Session
    claims: dict[str, Any] = field(repr=False)
    secret_access_key: str = field(repr=False)
    answer: bytes | None = None


class VerifiedTokens:
    """At most `limit` verified tokens, keyed by the token's text; the oldest goes first.

    Raising the limit costs about 3 kB per token.
    """

    def __init__(self, keys: KeySet, limit: int = 10_000) -> None:
        self._keys = keys
        self._limit = limit
        self._entries: dict[str, Verified] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def open(self, token: str) -> Verified:
        """The verified token. Raises TokenError malformed, unknown_key or bad_signature."""
        entry = self._entries.get(token)
        if entry is None:
            entry = self._verify(token)
            if len(self._entries) >= self._limit:
                del self._entries[next(iter(self._entries))]
            self._entries[token] = entry
        return entry

    def _verify(self, token: str) -> Verified:
        if len(token) > session_token.MAX_TOKEN_CHARACTERS or not token.isascii():
            raise session_token.TokenError("malformed")
        session, claims = session_token.verify(token, self._keys)
        key = self._keys.by_kid[session.key_id]
        secret = session_token.secret_access_key(key, session.access_key_id, session.token_id)
        return Verified(session, claims, secret)
