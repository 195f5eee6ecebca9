"""Links through a real network: namespaces, an IP router, TCP. Needs root; skipped with the reason elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import time

import pytest

from cluster import lateness, namespaces
from cluster.errors import ClusterError
from cluster.faults import Links
from cluster.link_namespaces import GONE, NamespaceLinks
from cluster.link_process import Way
from cluster.topology import RoundTrip
from tests.cluster.conftest import require_namespaces

A, B = "us-east-1", "eu-west-1"
TRIPS = {(A, B): RoundTrip(80, 80), (B, A): RoundTrip(80, 80)}


def test_where_namespaces_are_not_possible_the_reason_is_told(monkeypatch):
    monkeypatch.setattr(namespaces.os, "geteuid", lambda: 1000)
    with pytest.raises(ClusterError, match="--network netns: not possible here: that needs root; --network inproc"):
        namespaces.check("netns")
    namespaces.check("inproc")


def made() -> set[str]:
    return {path.name for path in namespaces.FOLDER.glob("stsd-*")}


def handshake_s(name: str, to: tuple[str, int]) -> float:
    with namespaces.inside(name):
        client = socket.socket()
    with contextlib.closing(client):
        client.settimeout(0.6)
        began = time.monotonic()
        client.connect(to)
        return time.monotonic() - began


@pytest.mark.processes
async def test_a_handshake_takes_a_round_trip_a_cut_stops_it_and_nothing_is_left():
    require_namespaces()
    before = made()
    node = await asyncio.start_server(lambda reader, writer: echo(reader, writer), "127.0.0.1", 0)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    way = Way((A, B), port, node.sockets[0].getsockname()[1])
    links = NamespaceLinks(Links((A, B), TRIPS), TRIPS, [way], 1, shifts=False)
    try:
        await links.start()
        assert len(made() - before) == 2
        ours, to = links.namespaces[A], ("10.77.2.1", 7000)
        assert min([await asyncio.to_thread(handshake_s, ours, to) for _ in range(3)]) >= 0.08
        began = time.monotonic()
        assert await asked(port) == b"hello"
        assert time.monotonic() - began >= 0.16  # a handshake and an answer
        assert links.obey({"verb": "status"})["received"] == {A: 5, B: 5}  # an answer, and a request
        recorded = lateness.read(links.obey({"verb": "lateness"})["lateness"])
        assert {*recorded} == {(A, B), (B, A)}
        assert all(round(one.asked_s / one.messages, 6) >= 0.04 and one.error_s > 0 for one in recorded.values())
        assert links.obey({"verb": "partition", "first": B, "second": A, "one_way": True})["ok"]
        with pytest.raises(TimeoutError):
            await asyncio.to_thread(handshake_s, ours, to)
        assert links.obey({"verb": "heal"})["faults"] == []
        assert await asyncio.to_thread(handshake_s, ours, to) >= 0.08
        assert links._router is not None
        links._router.kill()
        links._router.wait()
        assert links.obey({"verb": "lateness"}) == {"ok": False, "fault": GONE}
    finally:
        await links.stop()
        node.close()
    assert made() <= before


@pytest.mark.processes
def test_what_a_killed_process_left_is_removed_and_what_lives_stays():
    require_namespaces()
    gone, own = "stsd-1-1-1", namespaces.own_name(1)  # process 1 did not start at tick 1
    for name in (gone, own):
        subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        assert gone in namespaces.sweep()
        assert own in made()
        assert gone not in made()
    finally:
        namespaces.remove_own()
    assert own not in made()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(await reader.readexactly(5))
    await writer.drain()
    writer.close()


async def asked(port: int) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"hello")
    try:
        return await reader.readexactly(5)
    finally:
        writer.close()
