"""The router's sockets: aiohttp's parser, our limits, whole answers as one bytes object. (I/O)

Limits are those of a node (spec 1.1): 10,000,000 bytes of body, 16 kB of head per line and field, 30 s for a head or
a body to arrive. Whatever is wrong with the bytes is answered with a 4xx, an id and an empty body, and the connection
ends.
The node has the same code in `stsd.server`, which nothing in `cluster` may import: a router is not a node.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from http import HTTPStatus
from typing import Any

from aiohttp import HttpVersion11, web
from aiohttp.web_protocol import RequestHandler
from aiohttp.web_request import BaseRequest

BODY_BYTES_MAX = 10_000_000
HEAD_BYTES_MAX = 16_384
READ_TIMEOUT_S = 30.0
KEEP_ALIVE_S = 75.0
SHUTDOWN_TIMEOUT_S = 6.0

Handler = Callable[[BaseRequest, bytes], Awaitable["Reply"]]

_REASONS = {status.value: status.phrase for status in HTTPStatus}
_CONNECTION = {True: b"Connection: keep-alive\r\n\r\n", False: b"Connection: close\r\n\r\n"}


class Reply:
    """A complete response; `fields` are header lines with their ends, Content-Length and Connection come on top.

    `length` is said in its place where the body is absent by rule (an answer to HEAD, a 304). The connection is kept
    when `keep_alive` holds and the client wants it.
    """

    __slots__ = ("_body", "_head", "body_length", "keep_alive", "status")

    def __init__(
        self,
        status: int,
        fields: bytes = b"",
        body: bytes = b"",
        *,
        reason: str = "",
        keep_alive: bool = True,
        length: bytes | None = None,
    ) -> None:
        start = f"HTTP/1.1 {status} {reason or _REASONS.get(status, '')}\r\n".encode("utf-8", "surrogateescape")
        unsaid = status == 204 or (status == 304 and length is None)
        said = b"" if unsaid else b"Content-Length: %s\r\n" % (length or b"%d" % len(body))
        self.status = status
        self.keep_alive = keep_alive
        self.body_length = len(body)
        self._head = start + fields + said
        self._body = body

    async def prepare(self, request: BaseRequest) -> None:
        """Writes everything; waits only when the client does not read."""
        transport = request.transport
        if transport is None:
            raise ConnectionResetError("the client is gone")
        self.keep_alive = self.keep_alive and request.keep_alive
        end = b"\r\n" if self.keep_alive and request.version == HttpVersion11 else _CONNECTION[self.keep_alive]
        transport.write(self._head + end + self._body)
        await request.writer.drain()

    async def write_eof(self) -> None:
        """Nothing is left to write after `prepare`."""


def plain(
    status: int,
    body: bytes = b"",
    content_type: str = "",
    *,
    fields: str = "",
    bodiless: bool = False,
    keep_alive: bool = True,
) -> Reply:
    """An answer of the router's own; `fields` are further header lines with their ends."""
    kind = f"Content-Type: {content_type}\r\n" if content_type else ""
    head = f"Date: {formatdate(usegmt=True)}\r\n{kind}{fields}".encode()
    if bodiless:
        return Reply(status, head, keep_alive=keep_alive, length=b"%d" % len(body))
    return Reply(status, head, body, keep_alive=keep_alive)


def _failure(status: int) -> Reply:
    """An answer without a body that ends the connection."""
    return plain(status, fields=f"x-amzn-RequestId: {new_request_id()}\r\n", keep_alive=False)


def new_request_id() -> str:
    """A fresh random UUID (RFC 9562 version 4)."""
    digits = os.urandom(16).hex()
    return (
        f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{'89ab'[int(digits[16], 16) & 3]}{digits[17:20]}-{digits[20:]}"
    )


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
        """An empty body whatever happened (spec 1.1); a fault of ours is logged."""
        if status >= 500 and exc is not None:
            self.log_exception("Error handling request", exc_info=exc)
        return _failure(status)


class Server(web.Server):
    """aiohttp's server, making our connections."""

    def __call__(self) -> Connection:
        return Connection(self, loop=self._loop, **self._kwargs)


class Listener:
    """One port; every request goes to `handler(request, body)`. A client that leaves cancels its handler."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._server: Server | None = None
        self._sockets: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> None:
        """Binds and listens. Raises OSError when the address is not to be had."""
        self._server = Server(
            self._respond,
            handler_cancellation=True,
            access_log=None,
            auto_decompress=False,
            max_line_size=HEAD_BYTES_MAX,
            max_field_size=HEAD_BYTES_MAX,
            keepalive_timeout=KEEP_ALIVE_S,
            lingering_time=2.0,
        )
        loop = asyncio.get_running_loop()
        self._sockets = await loop.create_server(self._server, host, port, backlog=1024)

    @property
    def port(self) -> int:
        """The port that is listened on; tells what port 0 became."""
        assert self._sockets is not None
        return int(self._sockets.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Stops accepting, finishes what is in flight, closes."""
        if self._server is not None and self._sockets is not None:
            self._sockets.close()
            self._server.pre_shutdown()
            await self._server.shutdown(SHUTDOWN_TIMEOUT_S)

    async def _respond(self, request: BaseRequest) -> Any:
        if request.method == "CONNECT":
            return _failure(405)
        try:
            body = await _read(request)
        except BodyTooLarge:
            return _failure(413)
        except TimeoutError:
            return _failure(408)
        except web.RequestPayloadError:
            return _failure(400)
        return await self._handler(request, body)


class BodyTooLarge(Exception):
    """More than BODY_BYTES_MAX were announced or sent."""


async def _read(request: BaseRequest) -> bytes:
    """The whole body. Raises BodyTooLarge, TimeoutError, or aiohttp's RequestPayloadError for bad chunks."""
    content = request.content
    announced = request.content_length
    if announced is not None and announced > BODY_BYTES_MAX:
        raise BodyTooLarge
    if not content.is_eof():
        if request.headers.get("Expect", "").lower() == "100-continue" and request.transport is not None:
            request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        async with asyncio.timeout(READ_TIMEOUT_S):
            return await _read_slowly(request)
    return content.read_nowait()


async def _read_slowly(request: BaseRequest) -> bytes:
    parts = bytearray()
    async for part in request.content.iter_any():
        parts += part
        if len(parts) > BODY_BYTES_MAX:
            raise BodyTooLarge
    return bytes(parts)
