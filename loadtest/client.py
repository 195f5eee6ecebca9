"""A raw HTTP/1.1 client for measuring how much a server can do: keep-alive connections, whole requests as bytes.

Closed loop: each connection sends its next request as soon as the answer to the last one is complete, so the server is
never idle while the client is not. Open-loop load, for latency as users see it, is what experiments do.
A load is bounded in time and in count, and goes to this machine only: this is no tool to point at others.
Answers need a Content-Length; a chunked answer is an error, because the servers measured here never send one.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import cast
from urllib.parse import urlsplit

NextRequest = Callable[[], bytes]
OnAnswer = Callable[[int, bytes], bool]
"""Given the status and the raw answer, says whether it is a good one."""

_HEAD_END = b"\r\n\r\n"
_LENGTH = b"content-length:"
MAX_CONNECTIONS = 512
MAX_DURATION_S = 300.0
GRACE_S = 5.0


class LoadError(Exception):
    """A load that cannot be run; the text says why and what is allowed."""


@dataclass(slots=True)
class Tally:
    """What a load came to. `elapsed_s` is wall-clock time, `cpu_share` the share of one core the client itself used,
    `latencies_s` seconds from sending to the complete answer, `first_failure` the start of the first bad answer.
    """

    done: int = 0
    failed: int = 0
    elapsed_s: float = 0.0
    cpu_share: float = 0.0
    latencies_s: list[float] = field(default_factory=list, repr=False)
    first_failure: str = ""

    @property
    def rate(self) -> float:
        """Good answers per second."""
        return self.done / self.elapsed_s if self.elapsed_s else 0.0


def loopback_target(url: str) -> tuple[str, int]:
    """Host and port of an http URL on this machine. Raises LoadError for any other target."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme != "http" or parts.port is None:
        raise LoadError(f"{url}: not a target; allowed is http://HOST:PORT")
    if not _is_loopback(host):
        raise LoadError(f"{url}: not this machine; load goes to loopback addresses only, such as 127.0.0.1")
    return host, parts.port


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


async def run(
    url: str,
    next_request: NextRequest,
    *,
    connections: int,
    duration_s: float,
    limit: int,
    on_answer: OnAnswer | None = None,
) -> Tally:
    """Loads `url` until `duration_s` seconds are over or `limit` requests are sent, whichever is first.

    `on_answer` is asked about each answer; without it a 200 is good. Raises LoadError when nothing listens there.
    """
    host, port = loopback_target(url)
    if not 1 <= connections <= MAX_CONNECTIONS or not 0 < duration_s <= MAX_DURATION_S or limit < 1:
        raise LoadError(f"a load has 1 to {MAX_CONNECTIONS} connections and lasts at most {MAX_DURATION_S:g} seconds")
    load = _Load(next_request, on_answer or _is_200, limit, time.perf_counter() + duration_s)
    loop = asyncio.get_running_loop()
    began, cpu_began = time.perf_counter(), time.process_time()
    opened: list[_Connection] = []
    try:
        for _ in range(connections):
            opened.append((await loop.create_connection(lambda: _Connection(load), host, port))[1])
        await asyncio.wait([connection.closed for connection in opened], timeout=duration_s + GRACE_S)
    except OSError as error:
        raise LoadError(f"{url}: no connection: {error.strerror or error}") from error
    finally:
        for connection in opened:
            connection.close()
    tally = load.tally
    tally.elapsed_s = max(load.last_answer_at - began, 0.0)
    tally.cpu_share = (time.process_time() - cpu_began) / max(time.perf_counter() - began, 1e-9)
    return tally


def _is_200(status: int, answer: bytes) -> bool:
    return status == 200


@dataclass(slots=True)
class _Load:
    """What all connections of one load share."""

    next_request: NextRequest
    on_answer: OnAnswer
    left: int
    deadline: float
    tally: Tally = field(default_factory=Tally)
    last_answer_at: float = 0.0

    def take(self, now: float) -> bytes | None:
        """The next request, None when the load is over."""
        if self.left <= 0 or now >= self.deadline:
            return None
        self.left -= 1
        return self.next_request()

    def record(self, answer: bytes, latency_s: float, now: float) -> None:
        status = int(answer[9:12])
        self.last_answer_at = now
        if self.on_answer(status, answer):
            self.tally.done += 1
            self.tally.latencies_s.append(latency_s)
        else:
            self.fail(answer[:300].decode("latin-1"))

    def fail(self, why: str) -> None:
        self.tally.failed += 1
        self.tally.first_failure = self.tally.first_failure or why


class _Connection(asyncio.Protocol):
    """One keep-alive connection with at most one request under way."""

    def __init__(self, load: _Load) -> None:
        self._load = load
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._sent_at = 0.0
        self._waiting = False
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are of no class of asyncio's
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._send(time.perf_counter())

    def data_received(self, data: bytes) -> None:
        answer = self._buffer + data if self._buffer else data
        try:
            end = answer_end(answer)
        except ValueError as error:
            self._broken(str(error))
            return
        if end < 0 or len(answer) < end:
            self._buffer = answer
            return
        now = time.perf_counter()
        self._buffer = b""
        self._waiting = False
        self._load.record(answer, now - self._sent_at, now)
        self._send(now)

    def connection_lost(self, error: Exception | None) -> None:
        if self._waiting:
            self._load.fail(f"connection lost: {error or 'closed by the server'}")
        if not self.closed.done():
            self.closed.set_result(None)

    def close(self) -> None:
        """Ends the connection now; a request under way counts as failed."""
        if self._transport is not None:
            self._transport.abort()

    def _send(self, now: float) -> None:
        assert self._transport is not None
        request = self._load.take(now)
        if request is None:
            self._transport.close()
            return
        self._sent_at = now
        self._waiting = True
        self._transport.write(request)

    def _broken(self, why: str) -> None:
        self._load.fail(why)
        self._waiting = False
        self.close()


def answer_end(answer: bytes) -> int:
    """Length of the HTTP answer at the start of `answer`, -1 while its head is incomplete.

    Raises ValueError for what is not an HTTP/1.1 answer with a Content-Length (RFC 9112 section 6.3).
    """
    head = answer.find(_HEAD_END)
    if head < 0:
        return -1
    if not answer.startswith(b"HTTP/1.1 "):
        raise ValueError("not an HTTP/1.1 answer")
    length = answer[:head].lower().find(b"\n" + _LENGTH)
    if length < 0:
        raise ValueError("an answer without Content-Length")
    start = length + 1 + len(_LENGTH)
    stop = answer.find(b"\r\n", start)
    return head + len(_HEAD_END) + int(answer[start:stop])
