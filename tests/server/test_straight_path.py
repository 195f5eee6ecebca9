"""The server's straight path, past aiohttp's task for each request: the same answers, in the same order."""

from __future__ import annotations

import asyncio
import re
from contextlib import asynccontextmanager, suppress

import pytest

from stsd.server import connection, http
from stsd.server.http import HttpServer
from tests.server.raw import request_id, status

pytestmark = pytest.mark.processes


class Echo:
    """Answers with the body; `/wait` on aiohttp's way."""

    def __init__(self):
        self.straight = 0

    def at_once(self, head, body):
        if head.target == "/wait":
            return None
        self.straight += 1
        return http.render(200, "", body, keep_alive=True)

    async def in_time(self, head, body):
        await asyncio.sleep(0)
        return http.render(200, "", b"in time " + body, keep_alive=head.keep_alive)


@asynccontextmanager
async def serving(handler):
    server = HttpServer(handler)
    await server.start("127.0.0.1", 0, None)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        yield reader, writer, server
    finally:
        writer.close()
        await server.stop()


def post(target, content):
    return f"POST {target} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(content)}\r\n\r\n".encode() + content


async def answered(reader):
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    return await reader.readexactly(int(re.search(rb"Content-Length: (\d+)", head)[1]))


def test_the_installed_aiohttp_has_what_the_straight_path_relies_on():
    assert connection.STRAIGHT


async def test_whole_requests_are_answered_on_the_straight_path():
    handler = Echo()
    async with serving(handler) as (reader, writer, _):
        for content in (b"one", b"", b"three"):
            writer.write(post("/", content))
            assert await answered(reader) == content
    assert handler.straight == 3


async def test_a_body_in_pieces_goes_the_other_way_and_the_connection_returns():
    handler = Echo()
    async with serving(handler) as (reader, writer, _):
        writer.write(post("/", b"whole")[:-2])
        await asyncio.sleep(0.05)
        writer.write(b"le")
        assert await answered(reader) == b"in time whole"
        writer.write(post("/", b"again"))
        assert await answered(reader) == b"again"
    assert handler.straight == 1


async def test_the_order_of_pipelined_requests_is_kept_across_both_ways():
    handler = Echo()
    async with serving(handler) as (reader, writer, _):
        writer.write(post("/", b"1") + post("/wait", b"2") + post("/", b"3") + post("/wait", b"4") + post("/", b"5"))
        assert [await answered(reader) for _ in range(5)] == [
            b"1",
            b"in time 2",
            b"in time 3",
            b"in time 4",
            b"in time 5",
        ]
        writer.write(post("/", b"6"))
        assert await answered(reader) == b"6"
    assert handler.straight == 2


async def test_what_arrives_in_one_turn_in_several_pieces_is_answered_in_order():
    handler = Echo()
    async with serving(handler) as (reader, writer, server):
        writer.write(post("/", b"0"))
        assert await answered(reader) == b"0"
        (served,) = server._server.connections
        for piece in (post("/", b"1"), post("/", b"two")[:-1], b"o", post("/wait", b"3") + post("/", b"4")):
            served.data_received(piece)
        assert [await answered(reader) for _ in range(4)] == [b"1", b"two", b"in time 3", b"in time 4"]
        writer.write(post("/", b"5"))
        assert await answered(reader) == b"5"
    assert handler.straight == 4


async def test_a_failure_ends_its_own_connection_and_no_other():
    class Failing(Echo):
        def at_once(self, head, body):
            if body == b"fail":
                raise RuntimeError("a fault of ours")
            return super().at_once(head, body)

    said = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: said.append(context["exception"]))
    async with serving(Failing()) as (reader, writer, server):
        second, writer_of_second = await asyncio.open_connection("127.0.0.1", server.port)
        for one, send in ((reader, writer), (second, writer_of_second)):
            send.write(post("/", b"0"))
            assert await answered(one) == b"0"
        failing, well = server._server.connections
        failing.data_received(post("/", b"fail"))
        well.data_received(post("/", b"1"))
        ended, answering = (
            (reader, second) if failing.peername == writer.get_extra_info("sockname") else (second, reader)
        )
        assert await answered(answering) == b"1"
        with suppress(ConnectionResetError):
            assert await asyncio.wait_for(ended.read(), 5) == b""
        writer_of_second.close()
    assert [str(one) for one in said] == ["a fault of ours"]


async def test_what_was_read_before_the_end_is_answered():
    async with serving(Echo()) as (reader, writer, server):
        writer.write(post("/", b"0"))
        assert await answered(reader) == b"0"
        (served,) = server._server.connections
        served.data_received(post("/", b"1") + post("/wait", b"2"))
        await server.stop()
        assert [await answered(reader) for _ in range(2)] == [b"1", b"in time 2"]


async def test_a_request_whose_body_is_still_arriving_at_the_end_is_answered():
    async with serving(Echo()) as (reader, writer, server):
        idle, writer_of_idle = await asyncio.open_connection("127.0.0.1", server.port)
        writer_of_idle.write(post("/", b"0"))
        assert await answered(idle) == b"0"
        sent = post("/", b"a body in pieces")
        writer.write(sent[:-10])
        await wait_for_a_request(server)
        stopping = asyncio.create_task(server.stop())
        assert await asyncio.wait_for(idle.read(), 5) == b""
        writer_of_idle.close()
        writer.write(sent[-10:])
        answer = await asyncio.wait_for(reader.read(), 5)
        assert b"\r\nConnection: close\r\n" in answer
        assert answer.endswith(b"\r\n\r\nin time a body in pieces")
        await asyncio.wait_for(stopping, 5)


async def test_a_client_that_is_gone_before_its_body_holds_no_end_up():
    async with serving(Echo()) as (_, writer, server):
        writer.write(post("/", b"a body in pieces")[:-10])
        await wait_for_a_request(server)
        stopping = asyncio.create_task(server.stop())
        writer.close()
        await asyncio.wait_for(stopping, 5)


async def wait_for_a_request(server):
    """Until the task of a connection has begun with one."""
    async with asyncio.timeout(5):
        while not any(each._current_request for each in server._server.connections):  # noqa: ASYNC110  it tells nobody
            await asyncio.sleep(0.01)


async def test_what_waits_behind_a_declined_upgrade_is_answered_in_order():
    async with serving(Echo()) as (reader, writer, _):
        upgrade = b"GET /wait HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        writer.write(upgrade + post("/wait", b"2") + post("/", b"3"))
        assert [await answered(reader) for _ in range(3)] == [b"in time ", b"in time 2", b"in time 3"]
        writer.write(post("/wait", b"4") + post("/", b"5"))
        assert [await answered(reader) for _ in range(2)] == [b"in time 4", b"in time 5"]


async def test_malformed_bytes_after_a_straight_answer_end_the_connection():
    async with serving(Echo()) as (reader, writer, _):
        writer.write(post("/", b"fine"))
        assert await answered(reader) == b"fine"
        writer.write(b"\x00 garbage\r\n\r\n")
        assert (await asyncio.wait_for(reader.read(), 5)).startswith(b"HTTP/1.1 400")


async def test_a_client_that_does_not_read_is_not_answered_on_the_straight_path_for_ever():
    handler = Echo()
    async with serving(handler) as (reader, writer, _):
        content = b"x" * 60_000
        sent = 0

        async def flood():
            nonlocal sent
            for _ in range(2_000):
                writer.write(post("/", content))
                await writer.drain()
                sent += 1

        with suppress(TimeoutError):
            await asyncio.wait_for(flood(), 1.0)
        assert sent < 2_000
        for _ in range(sent):
            assert len(await answered(reader)) in (len(content), len(content) + 8)


async def test_without_those_members_every_request_goes_the_other_way(monkeypatch):
    monkeypatch.setattr(connection, "STRAIGHT", False)
    handler = Echo()
    async with serving(handler) as (reader, writer, _):
        writer.write(post("/", b"one"))
        assert await answered(reader) == b"in time one"
    assert handler.straight == 0


async def test_an_idle_connection_is_closed_after_a_straight_answer(monkeypatch):
    monkeypatch.setattr(http, "KEEPALIVE_TIMEOUT_S", 0.05)
    async with serving(Echo()) as (reader, writer, _):
        writer.write(post("/", b"one"))
        assert await answered(reader) == b"one"
        assert await asyncio.wait_for(reader.read(), 5) == b""


async def test_a_body_that_never_comes_ends_the_connection(monkeypatch):
    monkeypatch.setattr(http, "READ_TIMEOUT_S", 0.05)
    async with serving(Echo()) as (reader, writer, server):
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
        answer = await asyncio.wait_for(reader.read(), 5)
        assert status(answer) == 408
        assert request_id(answer)
        silent, quiet = await asyncio.open_connection("127.0.0.1", server.port)
        assert await asyncio.wait_for(silent.read(), 5) == b""
        quiet.close()


async def test_while_it_drains_requests_are_answered_and_each_answer_ends_its_connection():
    handler = Echo()
    async with serving(handler) as (reader, writer, server):
        writer.write(post("/", b"0"))
        assert await answered(reader) == b"0"
        server.drain()
        writer.write(post("/", b"on an open connection"))
        late, writer_of_late = await asyncio.open_connection("127.0.0.1", server.port)
        writer_of_late.write(post("/", b"on a new one"))
        for one, content in ((reader, b"on an open connection"), (late, b"on a new one")):
            answer = await asyncio.wait_for(one.read(), 5)
            assert b"\r\nConnection: close\r\n" in answer
            assert answer.endswith(b"\r\n\r\nin time " + content)
        writer_of_late.close()
    assert handler.straight == 1
