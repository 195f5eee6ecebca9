"""Looks names up, each in a thread of its own: a name whose servers are silent keeps no other name waiting.

What the system looks up with, getaddrinfo, can be neither given up nor bounded in time. The event loop and aiohttp ask
it in a few threads that all names share, and which the process waits for when it ends. Here

* a name is looked up once at a time, whoever asks for it, and goes on when nobody waits for it any more;
* MAX_LOOKUPS names at most; one more is refused, not put behind those that hang;
* the threads are daemons: the loop and the process end without them.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from errno import EAGAIN
from threading import Thread
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

MAX_LOOKUPS = 64
"""Higher lets more names hang until the system gives them up (often half a minute), a thread each."""

Found = list[tuple[Any, ...]]
Name = tuple[str, int]
"""A name and an address family."""


class NameLookups(AbstractResolver):
    """The look-ups of one node. It has nothing to close."""

    def __init__(self) -> None:
        self._under_way: dict[Name, asyncio.Future[Found | Exception]] = {}

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
        """The addresses of a name. Raises OSError, and UnicodeError for what can be no name."""
        name = host, int(family)
        found = await asyncio.shield(self._under_way.get(name) or self._begin(name))
        if isinstance(found, Exception):
            raise found
        flags = socket.AI_NUMERICHOST
        return [
            ResolveResult(hostname=host, host=_text(address), port=port, family=kind, proto=proto, flags=flags)
            for kind, _, proto, _, address in found
        ]

    async def close(self) -> None:
        """Look-ups under way end by themselves."""

    def _begin(self, name: Name) -> asyncio.Future[Found | Exception]:
        if len(self._under_way) >= MAX_LOOKUPS:
            raise OSError(EAGAIN, f"{name[0]} is not looked up: {MAX_LOOKUPS} other names are")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Found | Exception] = loop.create_future()

        def done(found: Found | Exception) -> None:
            del self._under_way[name]
            future.set_result(found)

        def look() -> None:
            found = _look_up(*name)
            with suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(done, found)

        try:
            Thread(target=look, name="name look-up", daemon=True).start()
        except RuntimeError as error:  # the system has no room for one more
            raise OSError(EAGAIN, f"{name[0]} is not looked up: {error}") from error
        self._under_way[name] = future
        return future


def _look_up(host: str, family: int) -> Found | Exception:
    try:
        return list(socket.getaddrinfo(host, None, family, socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG))
    except Exception as error:
        return error


def _text(address: tuple[Any, ...]) -> str:
    """An address in figures; one of a link has the link's number (RFC 4007 section 11)."""
    scope = address[3] if len(address) == 4 else 0
    return f"{address[0]}%{scope}" if scope else str(address[0])
