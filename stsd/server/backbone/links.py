"""Calls between regions over HTTP; knows nothing of what they mean.

A call is one sealed envelope out and one back. A peer that does not answer costs its time-out and nothing else:
whatever it missed, the next exchange of heads repairs.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Sequence

import aiohttp

from stsd.server.backbone.calls import RemoteCalls
from stsd.server.backbone.sealing import Sealing
from stsd.wire import envelope
from stsd.wire.envelope import EnvelopeError, Header

PATH = "/_peer/messages"
TIMEOUT_S = 2.0


_WORD = re.compile(rb"[a-z_]{1,32}")


class PeerUnavailable(Exception):
    """The peer did not answer, or `refused` our call; `reason` is a word for the log."""

    def __init__(self, reason: str, *, refused: bool = False) -> None:
        super().__init__(reason)
        self.reason, self.refused = reason, refused


class PeerLinks:
    """Authenticated calls to peers, and the opening of theirs. `tls` says which certificates are believed;
    None: those of the operating system's authorities."""

    def __init__(self, sealing: Sealing, tls: ssl.SSLContext | None = None) -> None:
        self.calls = RemoteCalls()
        self._sealing, self._tls = sealing, tls
        self._session: aiohttp.ClientSession | None = None

    async def call(self, peer: str, url: str, messages: Sequence[bytes]) -> list[bytes]:
        """Deliver messages to the peer at `url` and return its own. Raises PeerUnavailable, and EnvelopeError for an
        answer that is not the peer's."""
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
            connector = aiohttp.TCPConnector(ssl=self._tls if self._tls is not None else True)
            self._session = aiohttp.ClientSession(timeout=timeout, auto_decompress=False, connector=connector)
        header, sealed = self._sealing.seal(peer, messages)
        self.calls.count()
        try:
            async with self._session.post(url + PATH, data=sealed, allow_redirects=False) as answer:
                if answer.status == 403:
                    word = await answer.content.read(64)
                    raise PeerUnavailable(word.decode() if _WORD.fullmatch(word) else "status_403", refused=True)
                if answer.status != 200:
                    raise PeerUnavailable(f"status_{answer.status}")
                content = await _whole(answer.content)
            return self._sealing.open_answer(content, header)
        except (aiohttp.ClientError, TimeoutError, asyncio.IncompleteReadError) as error:
            raise PeerUnavailable(type(error).__name__) from error

    def open(self, sealed: bytes) -> tuple[Header, list[bytes]]:
        """A peer's call: who it is and its messages. Raises EnvelopeError; each call is taken once."""
        return self._sealing.open(sealed)

    def reply(self, to: Header, messages: Sequence[bytes]) -> bytes:
        """The sealed answer to a call."""
        return self._sealing.seal(to.sender, messages, answers=to.number)[1]

    async def close(self) -> None:
        """Close connections."""
        if self._session is not None:
            await self._session.close()


async def _whole(content: aiohttp.StreamReader) -> bytes:
    """A body, in however many pieces it arrives. Raises EnvelopeError oversized."""
    body = bytearray()
    async for piece in content.iter_any():
        body += piece
        if len(body) > envelope.MAX_BYTES:
            raise EnvelopeError("oversized")
    return bytes(body)
