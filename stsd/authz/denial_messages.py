"""Encoded authorization messages: what a denial was decided by, sealed so that only its account can read it (3.9).

The text is base64url of a nonce and the document under XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha), the account id as
associated data: a message of another account does not open, nor does one that was changed.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable
from hashlib import blake2b

import orjson
from nacl.bindings import (
    crypto_aead_xchacha20poly1305_ietf_decrypt,
    crypto_aead_xchacha20poly1305_ietf_encrypt,
    crypto_aead_xchacha20poly1305_ietf_NPUBBYTES,
)
from nacl.exceptions import CryptoError

from stsd.authz.conditions import Context
from stsd.authz.evaluate import Decision
from stsd.principal import Principal

NONCE_BYTES = int(crypto_aead_xchacha20poly1305_ietf_NPUBBYTES)


def message_key(cluster_key: bytes) -> bytes:
    """The 32-byte key of all messages of a cluster."""
    return blake2b(cluster_key, digest_size=32, person=b"stsd-denial-msg").digest()


def document(decision: Decision, principal: Principal, action: str, resource: str, context: Context) -> str:
    """The document of spec 3.9 as JSON text. Statements that matched are listed for an explicit denial."""
    explicit = decision.outcome == "explicit_deny"
    matched = [_statement(match.statement, principal, action, resource) for match in decision.matched if explicit]
    conditions = [{"key": key, "values": _items(_values(value))} for key, value in sorted(context.items())]
    told = {
        "allowed": decision.allowed,
        "explicitDeny": explicit,
        "matchedStatements": {"items": matched},
        "failures": {"items": []},
        "context": {
            "principal": {"id": principal.user_id, "name": principal.name, "arn": principal.arn},
            "action": action,
            "resource": resource,
            "conditions": {"items": conditions},
        },
    }
    return orjson.dumps(told).decode()


def seal(key: bytes, account: str, text: str, entropy: Callable[[int], bytes]) -> str:
    """A message that `account`, 12 digits, may decode; `entropy(n)` gives n random bytes."""
    nonce = entropy(NONCE_BYTES)
    sealed = crypto_aead_xchacha20poly1305_ietf_encrypt(text.encode(), account.encode(), nonce, key)
    return _encoded(nonce + sealed)


def unseal(key: bytes, account: str, message: str) -> str:
    """The text of `seal`. Raises ValueError for a message of another account or one that nobody sealed."""
    raw = urlsafe_b64decode(message.encode("ascii") + b"=" * (-len(message) % 4))
    # The decoder passes over what is not of its alphabet; a message is written in one way only.
    if _encoded(raw) != message:
        raise ValueError("the message is not base64url")
    nonce, sealed = raw[:NONCE_BYTES], raw[NONCE_BYTES:]
    try:
        return bytes(crypto_aead_xchacha20poly1305_ietf_decrypt(sealed, account.encode(), nonce, key)).decode()
    except CryptoError:
        raise ValueError("the message does not open") from None


def _encoded(raw: bytes) -> str:
    """Base64url without padding (RFC 4648 section 5)."""
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def _statement(name: str, principal: Principal, action: str, resource: str) -> dict[str, object]:
    return {
        "statementId": name,
        "effect": "DENY",
        "principals": _items([principal.unique_id]),
        "principalGroups": {"items": []},
        "actions": _items([action]),
        "resources": _items([resource]),
        "conditions": {"items": []},
    }


def _values(value: str | tuple[str, ...]) -> Iterable[str]:
    return (value,) if isinstance(value, str) else value


def _items(values: Iterable[str]) -> dict[str, list[dict[str, str]]]:
    return {"items": [{"value": value} for value in values]}
