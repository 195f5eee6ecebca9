"""Fake regions on loopback for the router: real sockets, answers and faults on demand, and a memory of what came."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from aiohttp import web

HEADERS = {"x-amzn-RequestId": "5f0f3a6e-1c0f-4a0e-9f2d-0c3b2b1a9d11", "Content-Type": "text/xml"}


@dataclass
class Seen:
    """One request as a region received it."""

    method: str
    target: str
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes

    def all(self, name: str) -> list[str]:
        return [value.decode() for key, value in self.headers if key.lower() == name.lower().encode()]

    def one(self, name: str) -> str:
        (value,) = self.all(name)
        return value


@dataclass
class Region:
    """A region that does as it is told; `requests` leaves out health checks."""

    name: str
    port: int = 0
    status: int = 200
    ready: bool = True
    answers: bool = True
    """False: it accepts and never answers."""
    drops: bool = False
    """True: it reads the request and closes the connection."""
    refuses: bool = False
    """True: it answers 503 and says when to come again."""
    delay_s: float = 0.0
    """How long it takes to answer anything but a health check."""
    held: bytes = b""
    """Requests whose body has it are answered when they are let go."""
    let_go: asyncio.Event = field(default_factory=asyncio.Event)
    now: float = 1000.0
    requests: list[Seen] = field(default_factory=list)
    _runner: web.ServerRunner | None = None
    _ports: set[int] = field(default_factory=set)

    @property
    def connections(self) -> int:
        """Over how many connections `requests` came."""
        return len(self._ports)

    async def start(self) -> Region:
        server = web.Server(self._respond, access_log=None, auto_decompress=False)
        self._runner = web.ServerRunner(server, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def stop(self) -> None:
        """As if the process were killed: its port refuses."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _respond(self, request: web.BaseRequest) -> web.StreamResponse:
        if not self.answers:
            await asyncio.sleep(3600)
        if request.path == "/readyz":
            return web.Response(status=200 if self.ready else 503)
        self._ports.add(request.transport.get_extra_info("peername")[1] if request.transport else 0)
        body = await request.content.read()
        self.requests.append(Seen(request.method, request.raw_path, request.raw_headers, body))
        if self.drops:
            assert request.transport is not None
            request.transport.close()
        if self.held and self.held in body:
            await self.let_go.wait()
        await asyncio.sleep(self.delay_s)
        if self.refuses:
            return web.Response(status=503, headers=HEADERS | {"Retry-After": "1", "x-stsd-region": self.name})
        if request.path == "/_test/clock":
            return web.json_response({"now": self.now}, status=self.status)
        return web.Response(
            status=self.status, body=f"<{self.name}/>".encode(), headers=HEADERS | {"x-stsd-region": self.name}
        )


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def eventually(holds: Callable[[], bool | Awaitable[bool]], within_s: float = 8.0) -> None:
    """Returns as soon as it holds. Raises TimeoutError."""
    async with asyncio.timeout(within_s):
        while True:
            result = holds()
            if result is True or (isinstance(result, Awaitable) and await result):
                return
            await asyncio.sleep(0.01)


async def raw(port: int, request: bytes, timeout_s: float = 5.0) -> bytes:
    """Everything that the peer answers to these bytes until it closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        async with asyncio.timeout(timeout_s):
            return await reader.read()
    finally:
        writer.close()
