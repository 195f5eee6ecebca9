"""One region's connections, where another program than ours is at the other end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from cluster.upstream import ExchangeFailure, Upstream

REQUEST = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"


@asynccontextmanager
async def answering(*parts: bytes) -> AsyncIterator[tuple[str, int]]:
    """Where a server says these bytes to the one who asks, and no more, until it leaves."""
    left = asyncio.Event()

    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0.02)
        await reader.read()
        writer.close()
        await writer.wait_closed()
        left.set()

    async with await asyncio.start_server(say, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()
        await asyncio.wait_for(left.wait(), 5)


async def test_an_interim_answer_is_not_the_answer():
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    async with answering(b"HTTP/1.1 100 Continue\r\n\r\n", whole) as where:
        upstream = Upstream(*where, connect_timeout_s=1, answer_timeout_s=1)
        answer = await upstream.send(REQUEST, b"")
        upstream.close()
    assert (answer.status, answer.body) == (200, b"ok")


async def test_who_says_continue_and_falls_silent_is_given_up():
    async with answering(b"HTTP/1.1 100 Continue\r\n\r\n") as where:
        upstream = Upstream(*where, connect_timeout_s=1, answer_timeout_s=0.2)
        with pytest.raises(ExchangeFailure):
            await asyncio.wait_for(upstream.send(REQUEST, b""), 5)
