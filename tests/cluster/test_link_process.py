"""Streams through the links, on loopback and without distance. What does not arrive is asked for after what does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from cluster import lateness, link_process
from cluster.faults import Links
from cluster.link_process import LinkProcess, Way
from cluster.topology import RoundTrip
from tests.cluster.fake_regions import eventually

REGIONS = ("a", "b")
PAIRS = (("a", "b"), ("b", "a"))
TIMEOUT_S = 10.0


class Echo:
    """A region's node: says back what it hears, and remembers it."""

    def __init__(self) -> None:
        self.heard = b""
        self.ended = asyncio.Event()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(65_536):
            self.heard += piece
            writer.write(piece)
        self.ended.set()
        writer.close()


@asynccontextmanager
async def linked(*dead: str, rtt_ms: float = 0) -> AsyncIterator[tuple[LinkProcess, dict[str, Echo]]]:
    """Two regions and the links between them, without jitter; a dead region's port refuses."""
    nodes = {region: Echo() for region in REGIONS}
    servers = {region: await asyncio.start_server(node, "127.0.0.1", 0) for region, node in nodes.items()}
    upstreams = {region: server.sockets[0].getsockname()[1] for region, server in servers.items()}
    for region in dead:
        servers[region].close()
        await servers[region].wait_closed()
    links = Links(REGIONS, dict.fromkeys(PAIRS, RoundTrip(rtt_ms, rtt_ms)))
    process = LinkProcess(links, [Way(pair, 0, upstreams[pair[1]]) for pair in PAIRS], seed=1)
    await process.start()
    try:
        yield process, nodes
    finally:
        await process.stop()
        for server in servers.values():
            server.close()


async def connect(process: LinkProcess, first: str, second: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(
        "127.0.0.1", next(way.port for way in process.ways if way.pair == (first, second))
    )


async def says(reader: asyncio.StreamReader, text: bytes) -> None:
    async with asyncio.timeout(TIMEOUT_S):
        assert await reader.readexactly(len(text)) == text


async def test_a_whole_stream_passes_both_ways_in_order_and_its_end_too():
    async with linked() as (process, nodes):
        reader, writer = await connect(process, "a", "b")
        text = bytes(range(256)) * 4000
        writer.write(text)
        await says(reader, text)
        writer.write_eof()
        async with asyncio.timeout(TIMEOUT_S):
            await nodes["b"].ended.wait()
            assert await reader.read() == b""
        assert nodes["a"].heard == b""
        writer.close()


async def test_a_cut_is_a_black_hole_for_old_and_new_connections_and_what_it_held_arrives_after_it():
    async with linked() as (process, nodes):
        old_reader, old = await connect(process, "a", "b")
        old.write(b"before")
        await says(old_reader, b"before")
        process.obey({"verb": "partition", "first": "a", "second": "b"})
        new_reader, new = await connect(process, "a", "b")
        for writer in (old, new):
            writer.write(b"during")
        await asyncio.sleep(0.05)
        assert nodes["b"].heard == b"before"
        process.obey({"verb": "heal"})
        await says(old_reader, b"during")
        await says(new_reader, b"during")
        old.close()
        new.close()


async def test_a_one_way_cut_holds_the_bytes_of_its_direction_on_whatever_connection():
    async with linked() as (process, nodes):
        process.obey({"verb": "partition", "first": "a", "second": "b", "one_way": True})
        reader, writer = await connect(process, "b", "a")
        writer.write(b"request")
        await eventually(lambda: nodes["a"].heard == b"request")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await reader.read(1)
        process.obey({"verb": "heal"})
        await says(reader, b"request")
        writer.close()


async def test_what_a_cut_holds_too_long_is_broken_off(monkeypatch):
    monkeypatch.setattr(link_process, "GIVE_UP_S", 0.02)
    async with linked() as (process, nodes):
        process.obey({"verb": "partition", "first": "a", "second": "b"})
        reader, writer = await connect(process, "a", "b")
        writer.write(b"lost")
        async with asyncio.timeout(TIMEOUT_S):
            assert await reader.read() == b""
        process.obey({"verb": "heal"})
        assert nodes["b"].heard == b""
        writer.close()


async def test_the_loss_of_a_node_is_told_to_who_speaks_with_it():
    async with linked("b") as (process, _):
        reader, writer = await connect(process, "a", "b")
        writer.write(b"hello")
        async with asyncio.timeout(TIMEOUT_S):
            assert await reader.read() == b""
        writer.close()


class Time:
    """Time that stands still until somebody waits, and then goes a little too far."""

    def __init__(self, too_late_s: float) -> None:
        self.now, self.too_late_s, self.asked = 1000.0, too_late_s, 0

    def monotonic(self) -> float:
        self.asked += 1
        return self.now

    async def sleep_until(self, deadline: float) -> None:
        self.now = max(self.now, deadline + self.too_late_s)


async def test_it_is_told_how_much_later_than_asked_for_pieces_came(monkeypatch):
    time = Time(0.007)
    monkeypatch.setattr(link_process, "monotonic", time.monotonic)
    monkeypatch.setattr(link_process, "sleep_until", time.sleep_until)
    async with linked(rtt_ms=80) as (process, _):
        assert process.obey({"verb": "lateness"}) == {"ok": True, "lateness": []}
        reader, writer = await connect(process, "a", "b")
        writer.write(b"hello")
        await says(reader, b"hello")
        writer.close()
        told = lateness.read(process.obey({"verb": "lateness"})["lateness"])
    assert {pair: one.messages for pair, one in told.items()} == {("a", "b"): 2, ("b", "a"): 1}  # one is to connect
    for one in told.values():
        assert one.asked_s == pytest.approx(0.04 * one.messages)
    assert told["b", "a"].error_s == pytest.approx(0.007 * told["b", "a"].messages)


class Gate(Time):
    """Nothing wakes up while it is shut."""

    def __init__(self, too_late_s: float) -> None:
        super().__init__(too_late_s)
        self.opened = asyncio.Event()
        self.opened.set()

    async def sleep_until(self, deadline: float) -> None:
        await self.opened.wait()
        await super().sleep_until(deadline)


async def test_each_of_the_pieces_that_one_late_waking_made_late_is_told_as_late(monkeypatch):
    time = Gate(0.0)
    monkeypatch.setattr(link_process, "monotonic", time.monotonic)
    monkeypatch.setattr(link_process, "sleep_until", time.sleep_until)
    async with linked(rtt_ms=80) as (process, _):
        reader, writer = await connect(process, "a", "b")
        writer.write(b"0")
        await says(reader, b"0")
        time.opened.clear()
        for piece in (b"1", b"2", b"3"):
            until = time.asked + 1
            writer.write(piece)
            await eventually(lambda until=until: time.asked >= until)
        time.now += 0.04 + 0.05
        time.opened.set()
        await says(reader, b"123")
        told = lateness.read(process.obey({"verb": "lateness"})["lateness"])
        assert told["a", "b"].error_s == pytest.approx(3 * 0.05)
        writer.close()


async def test_what_a_cut_held_is_not_late_nor_what_waited_behind_it(monkeypatch):
    time = Time(0.0)
    monkeypatch.setattr(link_process, "monotonic", time.monotonic)
    monkeypatch.setattr(link_process, "sleep_until", time.sleep_until)
    async with linked(rtt_ms=80) as (process, _):
        reader, writer = await connect(process, "a", "b")
        writer.write(b"held")
        await says(reader, b"held")
        process.obey({"verb": "partition", "first": "a", "second": "b", "one_way": True})
        for piece, questions in ((b"held", 2), (b"behind", 1)):  # when it came, and the first one when it arrived
            until = time.asked + questions
            writer.write(piece)
            await eventually(lambda until=until: time.asked >= until)
        time.now += 3.0
        process.obey({"verb": "heal"})
        await says(reader, b"heldbehind")
        told = lateness.read(process.obey({"verb": "lateness"})["lateness"])
        assert [one.error_s for one in told.values()] == [0.0, 0.0]
        writer.close()


async def test_orders_are_answered_with_what_is_wrong_now():
    async with linked() as (process, _):
        cut = {"ok": True, "faults": [{"from": "b", "to": "a", "fault": "cut"}], "received": {"a": 0, "b": 0}}
        assert process.obey({"verb": "partition", "first": "b", "second": "a", "one_way": True}) == cut
        assert process.obey({"verb": "status"}) == cut
        refused = process.obey({"verb": "partition", "first": "a", "second": "mars"})
        assert (refused["ok"], "choose from a, b" in refused["fault"]) == (False, True)
