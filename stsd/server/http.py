"""HTTP between sockets and the node: read bytes, call a plain function, write bytes.

aiohttp's low-level server parses; its routing and response objects, which cost more than a signature check, are left
out. Limits: 10,000,000 bytes of body (spec 1.1), 16 kB of head per line and field, 30 s for a head or a body to
arrive. Whatever is wrong with the bytes is answered with a 4xx, an id and an empty body, and the connection is closed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from email.utils import formatdate
from http import HTTPStatus
from ssl import SSLContext
from typing import Any, Protocol

from aiohttp import web
from aiohttp.web_request import BaseRequest

from stsd.server.clock import request_id
from stsd.server.connection import Connection, Head
from stsd.server.turn import Turn

MAX_BODY_BYTES = 10_000_000
MAX_HEAD_BYTES = 16_384
READ_TIMEOUT_S = 30.0
SHUTDOWN_TIMEOUT_S = 10.0
KEEPALIVE_TIMEOUT_S = 75.0
SLOW_READER_S = 5.0

_REASONS = {status.value: status.phrase for status in HTTPStatus}


class Handler(Protocol):
    """Who answers. Both get the head as it arrived and return the bytes of a whole answer (`render`)."""

    def at_once(self, head: Head, body: bytes) -> bytes | None:
        """The answer, or None when it has to wait for something."""

    async def in_time(self, head: Head, body: bytes) -> bytes | Streamed:
        """The answer to any request."""


def render(status: int, lines: str, body: bytes, *, keep_alive: bool) -> bytes:
    """A whole answer; `lines` are header lines, each with its line end."""
    return end_head(status_line(status) + lines, len(body), keep_alive=keep_alive) + body


def status_line(status: int) -> str:
    """The first line of an answer."""
    return f"HTTP/1.1 {status} {_REASONS.get(status, '')}\r\n"


def end_head(start: str, length: int | None, *, keep_alive: bool) -> bytes:
    """A head that begins with `start`, ended; `length` is that of the body, None when it ends with its connection
    (RFC 9112 section 6.3)."""
    size = "" if length is None else f"Content-Length: {length}\r\n"
    connection = "" if keep_alive else "Connection: close\r\n"
    return f"{start}{size}{connection}\r\n".encode("latin-1", "replace")


class Streamed:
    """An answer that goes on, on aiohttp's way: parts are written as they come, until they end or the client is gone.

    Nothing is buffered for a client beyond the transport's high-water mark and one part: one that does not read for
    SLOW_READER_S is disconnected.
    """

    __slots__ = ("_parts", "_start", "body_length", "keep_alive", "status")

    def __init__(self, start: bytes, parts: AsyncGenerator[bytes, None]) -> None:
        self.status = int(start[9:12])
        self.keep_alive = False
        self.body_length = 0
        self._start, self._parts = start, parts

    async def prepare(self, request: BaseRequest) -> None:
        """Write everything."""
        async with aclosing(self._parts) as parts:
            try:
                await self._write(request, self._start)
                async for part in parts:
                    await self._write(request, part)
            except (OSError, TimeoutError):
                if request.transport is not None:
                    request.transport.abort()

    async def write_eof(self) -> None:
        """Nothing is left to write after `prepare`."""

    async def _write(self, request: BaseRequest, part: bytes) -> None:
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client is gone")
        transport.write(part)
        self.body_length += len(part)
        async with asyncio.timeout(SLOW_READER_S):
            await request.writer.drain()


class Answer:
    """A whole answer on aiohttp's way; what aiohttp asks of a response, and nothing else."""

    __slots__ = ("_bytes", "body_length", "keep_alive", "status")

    def __init__(self, answer: bytes, *, keep_alive: bool) -> None:
        self.status = int(answer[9:12])
        self.keep_alive = keep_alive
        self.body_length = len(answer)
        self._bytes = answer

    async def prepare(self, request: BaseRequest) -> None:
        """Write the whole answer; wait only when the client does not read (backpressure)."""
        transport = request.transport
        if transport is None:
            raise ConnectionResetError("the client is gone")
        transport.write(self._bytes)
        await request.writer.drain()

    async def write_eof(self) -> None:
        """Nothing is left to write after `prepare`."""


def failure(status: int, named: str = "") -> Answer:
    """An answer without a body that ends the connection; its id is `named`, or a fresh one (contract 4)."""
    lines = f"Date: {http_date()}\r\nx-amzn-RequestId: {named or request_id()}\r\n"
    return Answer(render(status, lines, b"", keep_alive=False), keep_alive=False)


class Server(web.Server):
    """aiohttp's server, making our connections."""

    def __call__(self) -> Connection:
        return Connection(self, loop=self._loop, **self._kwargs)

    async def finish(self, timeout_s: float) -> None:
        """End every connection; aiohttp would hear no more of a body that is still arriving."""
        connections = (each for each in self.connections if isinstance(each, Connection))
        tasks = [task for each in connections if (task := each.finish()) is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=timeout_s)


Unread = Callable[[str, str, int], str]
"""Told the path, the client's address and the status of a request whose body did not arrive as it should; its id."""


class HttpServer:
    """Sockets of one listener; `handler` answers every request, but for those that `unread` is told of."""

    def __init__(self, handler: Handler, unread: Unread = lambda path, address, status: request_id()) -> None:
        self._handler, self._unread = handler, unread
        self._server: Server | None = None
        self._listener: asyncio.Server | None = None

    async def start(self, host: str, port: int, tls: SSLContext | None) -> None:
        """Bind and listen. Raises OSError when the address is not to be had."""
        loop = asyncio.get_running_loop()
        self._turn = Turn(loop)
        self._server = Server(
            self._respond,
            access_log=None,
            auto_decompress=False,
            max_line_size=MAX_HEAD_BYTES,
            max_field_size=MAX_HEAD_BYTES,
            keepalive_timeout=KEEPALIVE_TIMEOUT_S,
            lingering_time=2.0,
            at_once=self._handler.at_once,
            failure=failure,
            head_timeout_s=READ_TIMEOUT_S,
            turn=self._turn,
        )
        self._listener = await loop.create_server(self._server, host, port, ssl=tls, backlog=1024)

    @property
    def port(self) -> int:
        """The port that is listened on; tells what port 0 became."""
        assert self._listener is not None
        return int(self._listener.sockets[0].getsockname()[1])

    def drain(self) -> None:
        """Go on accepting and answering, but end each connection with its next answer (RFC 9112 section 9.6)."""
        self._turn.draining = True

    async def stop(self) -> None:
        """Stop accepting, finish what is in flight, also what is still arriving, close."""
        if self._listener is not None and self._server is not None:
            self._listener.close()
            self._turn.finish()
            self.drain()
            await self._server.finish(SHUTDOWN_TIMEOUT_S)
            self._server.pre_shutdown()
            await self._server.shutdown(SHUTDOWN_TIMEOUT_S)

    async def _respond(self, request: BaseRequest) -> Any:
        try:
            body = await _read(request)
        except (BodyTooLarge, TimeoutError, web.RequestPayloadError) as error:
            status = 413 if isinstance(error, BodyTooLarge) else 408 if isinstance(error, TimeoutError) else 400
            return failure(status, self._unread(request.raw_path.partition("?")[0], request.remote or "", status))
        keep_alive = request.keep_alive and not self._turn.draining
        head = Head(request.method, request.raw_path, request.headers, request.remote or "", keep_alive)
        answer = await self._handler.in_time(head, body)
        return answer if isinstance(answer, Streamed) else Answer(answer, keep_alive=head.keep_alive)


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
