"""The revocation token: what a verifier passes as `at_least` to be answered no earlier than a revocation (contract 6).

base64url of the JSON array `[origin, sequence, epoch]`. It is not secret and not signed: a forged one can only ask
for more patience.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import NamedTuple

import orjson

from stsd.revocation.messages import Origin

MAX_CHARACTERS = 512


class TokenShapeError(ValueError):
    """The text is not a revocation token."""


class RevocationToken(NamedTuple):
    """A place in one origin's log. `epoch` counts the resets of the cluster (contract 8)."""

    origin: Origin
    sequence: int
    epoch: int


def encode(token: RevocationToken) -> str:
    """The token as text."""
    content = orjson.dumps([str(token.origin), token.sequence, token.epoch])
    return urlsafe_b64encode(content).rstrip(b"=").decode("ascii")


def decode(text: str) -> RevocationToken:
    """Read a token, in its one canonical form. Raises TokenShapeError."""
    try:
        token = _decode(text)
    except ValueError:
        raise TokenShapeError("not a revocation token") from None
    if encode(token) != text:
        raise TokenShapeError("not a revocation token")
    return token


def _decode(text: str) -> RevocationToken:
    if len(text) > MAX_CHARACTERS or not text.isascii():
        raise ValueError("size")
    content = orjson.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    match content:
        case [str(origin), int(sequence), int(epoch)] if sequence >= 1 and epoch >= 0:
            return RevocationToken(Origin.parse(origin), int(sequence), int(epoch))
    raise ValueError("shape")
