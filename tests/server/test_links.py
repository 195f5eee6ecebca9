"""Calls between regions, as sockets carry them: in pieces, too large, by somebody else."""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import asynccontextmanager

import pytest

from stsd import provision
from stsd.revocation.identity import Signer
from stsd.server.backbone.links import PeerLinks
from stsd.server.backbone.sealing import Sealing
from stsd.wire import envelope
from stsd.wire.envelope import EnvelopeError, UnknownSender

KEY = b"k" * 32
US, EU = "us-east-1", "eu-west-1"
SEEDS = {US: b"u" * 32, EU: b"e" * 32}


def sealing(region: str, seed: bytes | None = None) -> Sealing:
    nodes = {name: (key, "http://127.0.0.1:1") for name, key in SEEDS.items()}
    peers = provision.founders(Signer(b"r" * 32), nodes, 0)
    return Sealing(KEY, region, Signer(seed or SEEDS[region]), peers)


@asynccontextmanager
async def answering(*pieces):
    """A peer that answers any call with what `pieces` make of it, one after the other; yields its URL."""

    served = []

    async def serve(reader, writer):
        served.append(asyncio.current_task())
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        body = await reader.readexactly(int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0]))
        parts = [piece(body) for piece in pieces]
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % sum(map(len, parts)))
        with contextlib.suppress(OSError):  # who calls may have had enough
            for part in parts:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(0.05)  # the next piece is another read of the caller's
        writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        await asyncio.gather(*served)


@asynccontextmanager
async def calling():
    links = PeerLinks(sealing(US))
    try:
        yield links
    finally:
        await links.close()


def answer_of(peer: Sealing, messages: list[bytes]):
    """What a peer answers to a sealed call."""

    def answer(sealed: bytes) -> bytes:
        header, said = peer.open(sealed)
        assert said == [b"question"]
        return peer.seal(US, messages, answers=header.number)[1]

    return answer


async def test_an_answer_in_pieces_is_read_whole():
    answer, sent = answer_of(sealing(EU), [b"a" * 300_000, b"b"]), []

    def first(body: bytes) -> bytes:
        sent.append(answer(body))
        return sent[0][:1_000]

    async with calling() as links, answering(first, lambda body: sent[0][1_000:]) as url:
        assert await links.call(EU, url, [b"question"]) == [b"a" * 300_000, b"b"]


async def test_an_answer_that_is_too_large_is_not_read_to_its_end():
    async with calling() as links, answering(lambda body: bytes(envelope.MAX_BYTES), lambda body: b"x") as url:
        with pytest.raises(EnvelopeError, match="oversized"):
            await links.call(EU, url, [b"question"])


async def test_an_answer_by_one_that_is_no_peer_is_not_believed():
    removed = sealing(EU, b"of a node that was removed".ljust(32))
    async with calling() as links, answering(answer_of(removed, [b"answer"])) as url:
        with pytest.raises(UnknownSender, match="not_a_peer"):
            await links.call(EU, url, [b"question"])


async def test_an_answer_to_another_call_is_not_believed():
    peer = sealing(EU)
    async with calling() as links, answering(lambda body: peer.seal(US, [b"answer"], answers=99)[1]) as url:
        with pytest.raises(EnvelopeError, match="wrong_answer"):
            await links.call(EU, url, [b"question"])
