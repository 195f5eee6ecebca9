"""Carries replication messages between regions over HTTP; knows nothing of what they mean.

A call is one sealed envelope out and one back (stsd.wire.envelope). A peer that does not answer costs its time-out
and nothing else: whatever it missed, the next exchange of heads repairs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from itertools import count

import aiohttp

from stsd.server.clock import entropy
from stsd.wire import envelope
from stsd.wire.envelope import EnvelopeError, Header, ReplayWindow

PATH = "/_peer/messages"
TIMEOUT_S = 2.0


class PeerUnavailable(Exception):
    """The peer did not answer, or not with an authentic answer; `reason` is a word for the metric."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class PeerLinks:
    """Authenticated calls from region `own` to its peers, and the opening of theirs."""

    def __init__(self, key: bytes, own: str, urls: Mapping[str, str]) -> None:
        self.urls = urls
        self._key, self._own = key, own
        self._instance = entropy(8).hex()
        self._numbers = count(1)
        self._window = ReplayWindow()
        self._session: aiohttp.ClientSession | None = None

    async def call(self, peer: str, messages: Sequence[bytes]) -> list[bytes]:
        """Deliver messages and return the peer's. Raises PeerUnavailable."""
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
            self._session = aiohttp.ClientSession(timeout=timeout, auto_decompress=False)
        header = Header(self._own, peer, self._instance, next(self._numbers))
        sealed = envelope.seal(self._key, header, pack(messages))
        try:
            async with self._session.post(self.urls[peer] + PATH, data=sealed, allow_redirects=False) as answer:
                content = await answer.content.read(envelope.MAX_BYTES + 1)
                if answer.status != 200:
                    raise PeerUnavailable(f"status_{answer.status}")
            replied, body = envelope.open_(self._key, content, self._own)
        except (aiohttp.ClientError, TimeoutError, asyncio.IncompleteReadError) as error:
            raise PeerUnavailable(type(error).__name__) from error
        except EnvelopeError as error:
            raise PeerUnavailable(error.reason) from error
        if replied.sender != peer or replied.answers != header.number:
            raise PeerUnavailable("wrong_answer")
        return unpack(body)

    def open(self, sealed: bytes) -> tuple[Header, list[bytes]]:
        """A peer's call: who it is and its messages. Raises EnvelopeError; each call is taken once."""
        header, body = envelope.open_(self._key, sealed, self._own)
        if header.sender not in self.urls:
            raise EnvelopeError("unknown_peer")
        self._window.accept(header)
        return header, unpack(body)

    def reply(self, to: Header, messages: Sequence[bytes]) -> bytes:
        """The sealed answer to a call."""
        header = Header(self._own, to.sender, self._instance, next(self._numbers), to.number)
        return envelope.seal(self._key, header, pack(messages))

    async def close(self) -> None:
        """Close connections."""
        if self._session is not None:
            await self._session.close()


def pack(messages: Sequence[bytes]) -> bytes:
    """Messages as one body, each after its length (4 bytes, big endian)."""
    return b"".join(len(message).to_bytes(4, "big") + message for message in messages)


def unpack(body: bytes) -> list[bytes]:
    """The messages of `pack`. Raises EnvelopeError malformed."""
    messages, at = [], 0
    while at < len(body):
        end = at + 4 + int.from_bytes(body[at : at + 4], "big")
        if end > len(body) or at + 4 > len(body):
            raise EnvelopeError("malformed")
        messages.append(body[at + 4 : end])
        at = end
    return messages
