"""A region as the router reaches it: kept-alive connections, bounded waits, and failures that say what they mean. (I/O)

aiohttp's response protocol parses the answers; its client session is left out, because it rewrites request targets
and headers, and because it hides whether bytes had been sent when a request failed.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from time import monotonic

from aiohttp import ClientError
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.streams import StreamReader

ANSWER_BYTES_MAX = 32 * 1024 * 1024
HEAD_BYTES_MAX = 64 * 1024
IDLE_CONNECTIONS_MAX = 256
IDLE_S_MAX = 15.0


class UpstreamError(Exception):
    """No answer from a region. `definite`: it surely did nothing."""

    definite = False


class ConnectFailure(UpstreamError):
    """No connection, so nothing happened there."""

    definite = True


class ExchangeFailure(UpstreamError):
    """The connection broke, the answer was late or unreadable: something may have happened."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A region's answer; header fields as they came."""

    status: int
    reason: str
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes

    @property
    def refuses(self) -> bool:
        """Whether the region did nothing because it has too much to do: 503 that says when to come again."""
        return self.status == 503 and any(name.lower() == b"retry-after" for name, _ in self.headers)


class Upstream:
    """One region's address. `connect_timeout_s` bounds connecting, `answer_timeout_s` every wait for bytes."""

    def __init__(self, host: str, port: int, *, connect_timeout_s: float = 1.0, answer_timeout_s: float = 5.0) -> None:
        self.host = host
        self.port = port
        self._connect_timeout_s = connect_timeout_s
        self._answer_timeout_s = answer_timeout_s
        self._idle: list[tuple[ResponseHandler, float]] = []

    async def send(
        self, head: bytes, body: bytes, *, bodiless: bool = False, fresh: bool = False, more_s: float = 0.0
    ) -> Answer:
        """Sends one request and reads its whole answer; `bodiless`: to HEAD. `fresh`: on a connection of its own.
        `more_s`: how much longer than any other request this one may take.

        Raises ConnectFailure, ExchangeFailure. A cancelled request closes its connection.
        """
        connection = None if fresh else self._take_idle()
        if connection is None:
            connection = await self._connect()
        try:
            answer = await self._exchange(connection, head, body, bodiless, self._answer_timeout_s + more_s)
        except (ClientError, HttpProcessingError, OSError, TimeoutError) as error:
            connection.close()
            raise ExchangeFailure(f"{type(error).__name__}: {error}") from error
        except BaseException:
            connection.close()
            raise
        self._give_back(connection)
        return answer

    def close(self) -> None:
        """Closes the idle connections."""
        while self._idle:
            self._idle.pop()[0].close()

    async def _connect(self) -> ResponseHandler:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                _, connection = await loop.create_connection(lambda: ResponseHandler(loop), self.host, self.port)
        except (OSError, TimeoutError) as error:
            raise ConnectFailure(f"{type(error).__name__}: {error}") from error
        return connection

    async def _exchange(
        self, connection: ResponseHandler, head: bytes, body: bytes, bodiless: bool, timeout_s: float
    ) -> Answer:
        connection.set_response_params(
            skip_payload=bodiless,
            read_until_eof=True,
            auto_decompress=False,
            read_timeout=timeout_s,
            max_line_size=HEAD_BYTES_MAX,
            max_field_size=HEAD_BYTES_MAX,
        )
        transport = connection.transport
        if transport is None:
            raise ConnectionResetError("closed while idle")
        transport.write(head + body)
        connection.start_timeout()
        message, payload = await connection.read()
        while 100 <= message.code < 200 and message.code != 101:
            connection.start_timeout()  # an answer of any kind ended it
            message, payload = await connection.read()
        content = await _read_all(payload)
        return Answer(message.code, message.reason or "", message.raw_headers, content)

    def _take_idle(self) -> ResponseHandler | None:
        """The most recently used connection that is still open."""
        while self._idle:
            connection, since = self._idle.pop()
            if connection.is_connected() and monotonic() - since < IDLE_S_MAX:
                return connection
            connection.close()
        return None

    def _give_back(self, connection: ResponseHandler) -> None:
        if connection.should_close or len(self._idle) >= IDLE_CONNECTIONS_MAX:
            connection.close()
        else:
            self._idle.append((connection, monotonic()))


async def _read_all(payload: StreamReader) -> bytes:
    """The whole body, at most ANSWER_BYTES_MAX."""
    parts: list[bytes] = []
    size = 0
    while part := await payload.readany():
        parts.append(part)
        size += len(part)
        if size > ANSWER_BYTES_MAX:
            raise ClientError(f"the answer has more than {ANSWER_BYTES_MAX} bytes")
    return b"".join(parts)
