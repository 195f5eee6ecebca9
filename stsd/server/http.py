"""HTTP between sockets and the node: read bytes, call a plain function, write bytes.

aiohttp's low-level server parses; its routing and response objects, which cost more than a signature check, are left
out. Limits: 10,000,000 bytes of body (spec 1.1), 16 kB of head per line and field, 30 s for a head or a body to
arrive. Whatever is wrong with the bytes is answered with a 4xx and an empty body, and the connection is closed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from http import HTTPStatus
from ssl import SSLContext
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler
from aiohttp.web_request import BaseRequest

MAX_BODY_BYTES = 10_000_000
MAX_HEAD_BYTES = 16_384
READ_TIMEOUT_S = 30.0
SHUTDOWN_TIMEOUT_S = 10.0

Handler = Callable[[BaseRequest, bytes], Awaitable["Answer"]]

_REASONS = {status.value: status.phrase for status in HTTPStatus}


class Answer:
    """A complete response as one bytes object; what aiohttp asks of a response, and nothing else."""

    __slots__ = ("_bytes", "body_length", "keep_alive", "status")

    def __init__(self, status: int, head: str, body: bytes, *, keep_alive: bool, body_allowed: bool = True) -> None:
        connection = "" if keep_alive else "Connection: close\r\n"
        start = f"HTTP/1.1 {status} {_REASONS.get(status, '')}\r\n{head}Content-Length: {len(body)}\r\n{connection}\r\n"
        self.status = status
        self.keep_alive = keep_alive
        self.body_length = len(body)
        self._bytes = start.encode("latin-1", "replace") + (body if body_allowed else b"")

    async def prepare(self, request: BaseRequest) -> None:
        """Write the whole answer; wait only when the client does not read (backpressure)."""
        transport = request.transport
        if transport is None:
            raise ConnectionResetError("the client is gone")
        transport.write(self._bytes)
        await request.writer.drain()

    async def write_eof(self) -> None:
        """Nothing is left to write after `prepare`."""


class Connection(RequestHandler):
    """aiohttp's connection with our error answers and a limit on the time that the first head may take."""

    __slots__ = ("_first_head",)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._first_head = self._loop.call_later(READ_TIMEOUT_S, self._close_if_silent, transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._first_head.cancel()
        super().connection_lost(exc)

    def _close_if_silent(self, transport: asyncio.BaseTransport) -> None:
        if self._request_count == 0:
            transport.close()

    def handle_error(
        self, request: BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> Any:
        """An empty body whatever happened (spec 1.1): the details are nobody's business on the wire."""
        if status >= 500 and exc is not None:
            self.log_exception("Error handling request", exc_info=exc)
        return Answer(status, f"Date: {http_date()}\r\n", b"", keep_alive=False)


class Server(web.Server):
    """aiohttp's server, making our connections."""

    def __call__(self) -> Connection:
        return Connection(self, loop=self._loop, **self._kwargs)


class HttpServer:
    """Sockets of one listener; every request goes to `handler(request, body)`."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._server: Server | None = None
        self._listener: asyncio.Server | None = None

    async def start(self, host: str, port: int, tls: SSLContext | None) -> None:
        """Bind and listen. Raises OSError when the address is not to be had."""
        loop = asyncio.get_running_loop()
        self._server = Server(
            self._respond,
            access_log=None,
            auto_decompress=False,
            max_line_size=MAX_HEAD_BYTES,
            max_field_size=MAX_HEAD_BYTES,
            keepalive_timeout=75.0,
            lingering_time=2.0,
        )
        self._listener = await loop.create_server(self._server, host, port, ssl=tls, backlog=1024)

    @property
    def port(self) -> int:
        """The port that is listened on; tells what port 0 became."""
        assert self._listener is not None
        return int(self._listener.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Stop accepting, finish what is in flight, close."""
        if self._listener is not None and self._server is not None:
            self._listener.close()
            self._server.pre_shutdown()
            await self._server.shutdown(SHUTDOWN_TIMEOUT_S)

    async def _respond(self, request: BaseRequest) -> Any:
        try:
            body = await _read(request)
        except BodyTooLarge:
            return Answer(413, f"Date: {http_date()}\r\n", b"", keep_alive=False)
        except TimeoutError:
            return Answer(408, f"Date: {http_date()}\r\n", b"", keep_alive=False)
        except web.RequestPayloadError:
            return Answer(400, f"Date: {http_date()}\r\n", b"", keep_alive=False)
        return await self._handler(request, body)


class BodyTooLarge(Exception):
    """More than MAX_BODY_BYTES were announced or sent."""


async def _read(request: BaseRequest) -> bytes:
    """The whole body. Raises BodyTooLarge, TimeoutError, or aiohttp's RequestPayloadError for bad chunks."""
    content = request.content
    if content.is_eof():
        return content.read_nowait()
    announced = request.content_length
    if announced is not None and announced > MAX_BODY_BYTES:
        raise BodyTooLarge
    if request.headers.get("Expect", "").lower() == "100-continue" and request.transport is not None:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    async with asyncio.timeout(READ_TIMEOUT_S):
        return await _read_slowly(request)


async def _read_slowly(request: BaseRequest) -> bytes:
    parts = bytearray()
    async for part in request.content.iter_any():
        parts += part
        if len(parts) > MAX_BODY_BYTES:
            raise BodyTooLarge
    return bytes(parts)


_date: tuple[int, str] = (0, "")


def http_date() -> str:
    """The Date header's value (RFC 9110 section 5.6.7), made once a second."""
    global _date
    now = int(time.time())
    if now != _date[0]:
        _date = (now, formatdate(now, usegmt=True))
    return _date[1]
