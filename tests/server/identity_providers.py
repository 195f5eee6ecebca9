"""Identity providers over HTTP on loopback, which can be told to misbehave."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from tests.oidc.issuing import jwk, jwks, rsa

Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
CONFIGURATION = "/.well-known/openid-configuration"


@dataclass
class Provider:
    """One provider: what it publishes, what it answers instead, and what it was asked (path and address)."""

    url: str = ""
    keys: dict[str, Any] = field(default_factory=lambda: jwks(jwk(rsa())))
    metadata: dict[str, Any] = field(default_factory=dict)
    instead: dict[str, Answer] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        assert request.transport is not None
        self.asked.append((request.path, request.transport.get_extra_info("sockname")[0]))
        if request.path in self.instead:
            return await self.instead[request.path](request)
        if request.path == CONFIGURATION:
            return web.json_response(self.configuration())
        return web.json_response(self.keys, headers=self.headers)

    def configuration(self) -> dict[str, Any]:
        return {
            "issuer": self.url, "jwks_uri": f"{self.url}/keys", "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"], "id_token_signing_alg_values_supported": ["RS256"],
        } | self.metadata  # fmt: skip


@asynccontextmanager
async def serving(
    *, host: str = "127.0.0.1", name: str = "", tls: ssl.SSLContext | None = None, port: int = 0
) -> AsyncIterator[Provider]:
    """A provider that listens on `host` and whose issuer is of `name`."""
    provider = Provider()
    runner = web.ServerRunner(web.Server(provider.answer, handler_cancellation=True), shutdown_timeout=0.01)
    await runner.setup()
    site = web.TCPSite(runner, host, port, ssl_context=tls)
    await site.start()
    try:
        bound = runner.addresses[0][1]
        provider.url = f"{'https' if tls else 'http'}://{name or host}:{bound}"
        yield provider
    finally:
        await runner.shutdown()
        await runner.cleanup()


class Names(AbstractResolver):
    """Looks names up in a list: each look takes the next addresses, the last ones stay."""

    def __init__(self, *addresses: str) -> None:
        self.addresses, self.looks = list(addresses), 0

    async def resolve(self, host: str, port: int = 0, family: Any = 0) -> list[ResolveResult]:
        self.looks += 1
        address = self.addresses.pop(0) if len(self.addresses) > 1 else self.addresses[0]
        return [{"hostname": host, "host": address, "port": port, "family": 2, "proto": 0, "flags": 0}]

    async def close(self) -> None:
        """Nothing is open."""


async def hang(_: web.BaseRequest) -> web.StreamResponse:
    """Never answers."""
    await asyncio.Event().wait()
    raise AssertionError
