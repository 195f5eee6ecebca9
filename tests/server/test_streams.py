"""The feed as events: everything once and at once, bounded in every direction, and gone at shutdown."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import aclosing, asynccontextmanager
from itertools import pairwise
from types import SimpleNamespace

import pytest

from stsd.revocation import feed
from stsd.revocation.entries import encode_revocation
from stsd.revocation.messages import Batch, Delta, Origin
from stsd.revocation.revocation_set import Revocation
from stsd.server import http, streams
from stsd.server.clock import Clock
from stsd.server.http import HttpServer, Streamed, end_head, render, status_line
from stsd.server.streams import Streams
from tests.revocation.signed import node as replica_of
from tests.revocation.signed import signed

HERE, THERE = Origin("eu-west-1", "1", "a" * 16), Origin("us-east-1", "1", "b" * 16)


def entry(subject: str) -> bytes:
    return encode_revocation(Revocation("role", subject, 1, None))


class Told:
    """A node's replica and its streams."""

    def __init__(self, *subjects: str) -> None:
        self.view = SimpleNamespace(replica=replica_of(HERE, (), time.time()))
        self.streams = Streams(self.view, Clock())
        for subject in subjects:
            self.revoke(subject)

    def revoke(self, subject: str) -> None:
        replica = self.view.replica
        replica.committed(replica.append([entry(subject)], time.time()), time.time())
        self.streams.changed()


async def following(events) -> tuple[str, str, dict]:
    """Name, id and data of the next event."""
    text = (await asyncio.wait_for(anext(events), 5)).decode()
    fields = dict(line.split(": ", 1) for line in text.strip().splitlines())
    return fields["event"], fields["id"], json.loads(fields["data"])


def subjects(data: dict) -> list[str]:
    return [revocation["subject"] for revocation in data["revocations"]]


async def test_a_stream_begins_after_the_cursor_and_goes_on_with_what_comes():
    told = Told("one", "two")
    cursor = feed.after(told.view.replica, "", limit=1).cursor
    async with aclosing(told.streams.events(cursor)) as events:
        name, at, data = await following(events)
        assert (name, subjects(data)) == ("revocations", ["two"])
        assert at == feed.cursor(told.view.replica)
        name, at, data = await following(events)
        assert (name, at, data["staleness_ms"]) == ("heartbeat", feed.cursor(told.view.replica), 0)
        waiting = asyncio.create_task(following(events))
        await asyncio.sleep(0.05)
        began = time.monotonic()
        told.revoke("three")
        name, at, data = await waiting
        assert (name, subjects(data)) == ("revocations", ["three"])
        assert time.monotonic() - began < 0.5


async def test_heartbeats_come_each_second_and_say_how_old_the_stream_is(monkeypatch):
    monkeypatch.setattr(streams, "HEARTBEAT_S", 0.05)
    async with aclosing(Told().streams.events("")) as events:
        beats = [(await following(events))[2]["elapsed_ms"] for _ in range(4)]
    assert beats[0] < 50
    assert all(40 < later - earlier < 1_000 for earlier, later in pairwise(beats))


async def test_what_came_without_a_call_is_told_before_the_next_heartbeat(monkeypatch):
    monkeypatch.setattr(streams, "HEARTBEAT_S", 0.05)
    told = Told()
    async with aclosing(told.streams.events("")) as events:
        await following(events)
        replica = told.view.replica
        replica.committed(replica.append([entry("x")], time.time()), time.time())
        assert (await following(events))[0] == "revocations"


async def test_many_revocations_come_in_pages(monkeypatch):
    monkeypatch.setattr(streams, "PAGE_ENTRIES", 2)
    told = Told(*"abcde")
    async with aclosing(told.streams.events("")) as events:
        pages = [subjects((await following(events))[2]) for _ in range(3)]
        assert (await following(events))[0] == "heartbeat"
    assert pages == [["a", "b"], ["c", "d"], ["e"]]


async def test_readers_that_are_equally_far_share_one_encoding():
    told = Told("one")
    async with aclosing(told.streams.events("")) as first, aclosing(told.streams.events("")) as second:
        assert await anext(first) is await anext(second)


async def test_after_a_reset_a_stream_begins_anew_with_another_epoch(monkeypatch):
    monkeypatch.setattr(streams, "HEARTBEAT_S", 0.05)
    told = Told("one")
    async with aclosing(told.streams.events("")) as events:
        await following(events)
        await following(events)
        told.view.replica = replica_of(HERE, (), time.time(), epoch=7)
        told.streams.changed()
        name, at, _ = await following(events)
        assert (name, feed.epoch(at)) == ("heartbeat", 7)
        told.revoke("new")
        assert subjects((await following(events))[2]) == ["new"]


async def test_staleness_grows_while_the_feed_cannot_tell_what_is_enforced(monkeypatch):
    monkeypatch.setattr(streams, "HEARTBEAT_S", 0.05)
    told = Told()
    replica = told.view.replica = replica_of(HERE, ("us-east-1",), time.time(), knows=(THERE,))
    async with aclosing(told.streams.events("")) as events:
        await following(events)
        ready = replica.receive(
            "us-east-1", Delta(0, (signed(Batch(THERE, 1, (entry("x"),), time.time())),)), time.time()
        )
        assert not replica.all_told
        beats = [(await following(events))[2]["staleness_ms"] for _ in range(4)]
        assert beats[-1] - beats[0] > 100
        replica.saved(ready, time.time())
        assert (await following(events))[0] == "revocations"


async def test_streams_are_counted_while_they_are_open(monkeypatch):
    monkeypatch.setattr(streams, "MAX_STREAMS", 1)
    told = Told()
    assert not told.streams.full
    async with aclosing(told.streams.events("")) as events:
        await anext(events)
        assert told.streams.full
    assert not told.streams.full


async def test_streams_end_when_the_node_stops_and_when_they_are_old(monkeypatch):
    told = Told()
    async with aclosing(told.streams.events("")) as events:
        await anext(events)
        told.streams.close()
        assert [event async for event in events] == []
    monkeypatch.setattr(streams, "HEARTBEAT_S", 0.02)
    monkeypatch.setattr(streams, "MAX_STREAM_S", 0.1)
    old = [event async for event in Told().streams.events("")]
    assert 2 <= len(old) <= 7


class Endless:
    """Streams zeros to whoever asks for `/stream`; `written` counts them."""

    def __init__(self) -> None:
        self.written = 0
        self.ended = asyncio.Event()

    def at_once(self, head, body):
        return None if head.target == "/stream" else render(200, "", b"fine", keep_alive=True)

    async def in_time(self, head, body):
        return Streamed(end_head(status_line(200), None, keep_alive=False), self._parts())

    async def _parts(self):
        try:
            while True:
                self.written += 65_536
                yield bytes(65_536)
        finally:
            self.ended.set()


@asynccontextmanager
async def endless():
    handler = Endless()
    server = HttpServer(handler)
    await server.start("127.0.0.1", 0, None)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1024)
    writer.write(b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n")
    try:
        yield handler, reader, writer
    finally:
        writer.close()
        await server.stop()


async def test_a_reader_that_does_not_read_is_disconnected_and_not_buffered_for(monkeypatch):
    monkeypatch.setattr(http, "SLOW_READER_S", 0.2)
    async with endless() as (handler, _, _):
        await asyncio.wait_for(handler.ended.wait(), 5)
        assert handler.written < 32 * 1024 * 1024  # the kernel's socket buffers, and one part


async def test_a_stream_ends_when_its_reader_goes_away():
    async with endless() as (handler, reader, writer):
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 OK\r\nConnection: close\r\n")
        writer.transport.abort()
        await asyncio.wait_for(handler.ended.wait(), 5)


@pytest.mark.parametrize("count", [3])
async def test_a_stream_that_ends_closes_its_connection(count):
    class Short(Endless):
        async def _parts(self):
            for number in range(count):
                yield f"{number}\n".encode()

    server = HttpServer(Short())
    await server.start("127.0.0.1", 0, None)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await asyncio.wait_for(reader.read(), 5)).endswith(b"\r\n\r\n0\n1\n2\n")
    writer.close()
    await server.stop()
