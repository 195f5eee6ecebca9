"""Connections to NATS servers that end badly: whoever holds one gets away from it."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager

import pytest

from stsd.nats_user import User
from stsd.revocation.identity import Signer
from stsd.server import tasks
from stsd.server.backbone import BackboneUnavailable
from stsd.server.backbone.nats import backbone, connection, snapshots
from stsd.server.backbone.nats.connection import Connection
from tests.backbone.regions import World, eventually

HOME = "us-east-1"
USER = User.of(Signer(b"a node of the tests".ljust(32)))


class Held:
    """A connection whose answers come when the test says; they are waited for as the library waits."""

    def __init__(self, fault: str = "") -> None:
        self.ended, self.answers, self.fault, self.server = asyncio.Event(), [], fault, {}

    async def over(self) -> None:
        await self.ended.wait()

    async def subscribe(self, subject, heard) -> None:
        if self.fault:
            raise BackboneUnavailable(self.fault)

    async def publish(self, subject, payload) -> None:
        pass

    async def ask(self, subject, question):
        self.answers.append(asyncio.get_running_loop().create_future())
        return await asyncio.wait_for(self.answers[-1], 60)

    async def close(self) -> None:
        self.ended.set()


@pytest.fixture
async def region(tmp_path, monkeypatch):
    """A node that gets the connections of `opened`, one after the other."""
    monkeypatch.setattr(tasks, "AGAIN_S", 0.01)
    monkeypatch.setattr(backbone, "RETRY_S", 0.01)
    region = World(tmp_path / "data", "nats-current").regions[HOME]
    region.opened = iter(())

    async def opened(*_):
        return next(region.opened, None) or Held()

    monkeypatch.setattr(backbone.Connection, "open", opened)
    yield region
    await region.stop()


async def test_a_node_stops_though_an_answer_comes_while_it_does(region):
    held = Held()
    region.opened = iter([held])
    await region.start()
    await eventually(lambda: held.answers, "a question")
    held.answers[0].set_result({"config": {}})
    async with asyncio.timeout(10):
        await region.stop()


async def test_a_node_connects_anew_though_an_answer_comes_while_its_connection_ends(region):
    first, second = Held(), Held()
    region.opened = iter([first, second])
    await region.start()
    await eventually(lambda: first.answers, "a question")
    first.answers[0].set_result({"config": {}})
    first.ended.set()
    await eventually(lambda: second.answers, "a question on the next connection", 10)


async def test_a_node_connects_anew_after_a_connection_that_ended_before_anything_was_heard_on_it(region):
    second = Held()
    region.opened = iter([Held("closed"), second])
    await region.start()
    await eventually(lambda: second.answers, "a question on the next connection", 10)
    assert [each["reason"] for each in region.named("backbone_failed")] == ["closed"]


async def test_a_server_that_takes_nothing_any_more_is_left(monkeypatch):
    """What is to be sent to it fills every buffer on the way, so the end of the connection cannot be sent either."""
    monkeypatch.setattr(connection, "PING_INTERVAL_S", 0.05)
    async with deaf_server() as url:
        opened = await Connection.open(url, HOME, USER, lambda error: None)
        sending = asyncio.create_task(send_for_ever(opened))
        try:
            async with asyncio.timeout(10):
                await opened.over()
                await opened.close()
        finally:
            await tasks.end((sending,))


@asynccontextmanager
async def deaf_server():
    """Says hello, and reads no more; its URL."""
    info = {"server_id": "x", "server_name": "deaf", "version": "2.15.1", "headers": True, "max_payload": 1 << 23}
    writers = []

    async def serve(reader, writer):
        writers.append(writer)
        writer.write(b"INFO " + json.dumps(info).encode() + b"\r\n")
        while not (await reader.readline()).startswith(b"PING"):
            pass
        writer.write(b"PONG\r\n")
        writer.transport.pause_reading()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"nats://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        for writer in writers:
            writer.transport.abort()


async def send_for_ever(opened: Connection) -> None:
    while True:
        await opened.publish("anything", bytes(1 << 20))


async def test_a_list_of_snapshots_that_gets_lost_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(snapshots, "TIMEOUT_S", 0.01)
    bucket = Bucket()
    monkeypatch.setattr(snapshots, "_bucket", bucket.given)
    for asked in (snapshots.get(Held(), HOME), snapshots.put(Held(), HOME, b"snapshot")):
        with pytest.raises(BackboneUnavailable, match="TimeoutError"):
            await asked


async def test_a_snapshot_of_which_a_part_gets_lost_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(snapshots, "TRANSFER_TIMEOUT_S", 0.01)
    monkeypatch.setattr(snapshots, "_bucket", Bucket(kept=[Snapshot("place-0", "1", 9)]).given)
    with pytest.raises(BackboneUnavailable, match="TimeoutError"):
        await snapshots.get(Held(), HOME)


async def test_a_snapshot_whose_connection_ends_in_the_middle_is_none(monkeypatch):
    monkeypatch.setattr(snapshots, "_bucket", Bucket(kept=[Snapshot("place-0", "1", 9)], content=b"snap").given)
    with pytest.raises(BackboneUnavailable, match="cut_off"):
        await snapshots.get(Held(), HOME)


class Snapshot:
    """What an object store says of one."""

    def __init__(self, name: str, description: str, size: int) -> None:
        self.name, self.description, self.size = name, description, size


class Bucket:
    """An object store; what it does not have it never answers."""

    def __init__(self, kept: list[Snapshot] | None = None, content: bytes | None = None) -> None:
        self.kept, self.content = kept, content

    async def given(self, *_, **__):
        return self

    async def list(self, **_):
        return self.kept if self.kept is not None else await asyncio.Event().wait()

    async def get(self, name):
        self.info, self.data = self.kept[0], self.content
        return self if self.content is not None else await asyncio.Event().wait()
