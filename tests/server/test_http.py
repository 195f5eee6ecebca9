"""HTTP at the edge: whatever bytes arrive, the answer is the specification's, and the node goes on."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from contextlib import asynccontextmanager, suppress

import pytest
import requests

from stsd.server import connection, http
from stsd.server.http import HttpServer
from tests.running import RunningNode, wait_for

pytestmark = pytest.mark.processes
FORM = "Content-Type: application/x-www-form-urlencoded\r\n"


def send(node: RunningNode, *parts: bytes, timeout_s: float = 5.0) -> bytes:
    """Everything that the node answers to raw bytes on one connection, until it closes it."""
    host, port = node.url.removeprefix("http://").split(":")
    received = b""
    with socket.create_connection((host, int(port)), timeout=timeout_s) as connection:
        for part in parts:
            connection.sendall(part)
        while chunk := connection.recv(65_536):
            received += chunk
    return received


def request(target: str, head: str = "", body: bytes = b"", method: str = "POST") -> bytes:
    start = f"{method} {target} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n{head}Connection: close\r\n\r\n"
    return start.encode() + body


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def body(answer: bytes) -> bytes:
    return answer.partition(b"\r\n\r\n")[2]


def request_id(answer: bytes) -> str:
    """Of the answer that begins here; no other is accepted than a UUID."""
    found = re.search(rb"\r\nx-amzn-RequestId: ([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\r\n", answer)
    assert found is not None, answer[:500]
    return found[1].decode()


@pytest.mark.parametrize("target", ["/x", "//", "/v1", "/index.html?Action=GetCallerIdentity"])
def test_another_path_is_not_found_before_anything_else(node, target):
    answer = send(node, request(target, FORM, b"Action=GetCallerIdentity&Version=2011-06-15"))
    assert status(answer) == 404
    assert body(answer) == b"<UnknownOperationException/>"


def test_no_action_is_sent_to_the_documentation(node):
    answer = send(node, request("/?a=b", method="GET"))
    assert status(answer) == 302
    assert b"Location: https://aws.amazon.com/iam?a=b\r\n" in answer
    assert body(answer) == b""


def test_another_content_type_is_sent_there_too(node):
    answer = send(node, request("/", "Content-Type: application/json\r\n", b'{"Action": "GetCallerIdentity"}'))
    assert status(answer) == 302
    assert b"Location: https://aws.amazon.com/iam\r\n" in answer


def test_an_unsigned_call_is_refused_in_the_words_of_the_protocol(node):
    answer = requests.post(node.url, {"Action": "GetCallerIdentity", "Version": "2011-06-15"}, timeout=5)
    assert answer.status_code == 403
    assert answer.headers["Content-Type"] == "text/xml"
    request_id = answer.headers["x-amzn-RequestId"]
    assert answer.text == (
        '<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">\n  <Error>\n    <Type>Sender</Type>\n'
        "    <Code>MissingAuthenticationToken</Code>\n    <Message>Request is missing Authentication Token</Message>\n"
        f"  </Error>\n  <RequestId>{request_id}</RequestId>\n</ErrorResponse>\n"
    )


def test_errors_come_as_json_to_who_asks_for_json(node):
    headers = {"Accept": "application/json"}
    answer = requests.post(node.url, {"Action": "Nonsense", "Version": "2011-06-15"}, headers=headers, timeout=5)
    assert answer.status_code == 400
    assert answer.json()["Error"] == {
        "Code": "InvalidAction",
        "Message": "Could not find operation Nonsense for version 2011-06-15",
        "Type": "Sender",
    }


@pytest.mark.parametrize("action", ["CreateRole", "LookupEvents", "AssumeRoleWithClientGrants"])
def test_actions_that_sts_does_not_have_are_unknown(node, action):
    answer = requests.post(node.url, {"Action": action, "Version": "2011-06-15"}, timeout=5)
    assert answer.status_code == 400
    assert "<Code>InvalidAction</Code>" in answer.text
    assert 'xmlns="http://webservices.amazon.com/AWSFault/2005-15-09"' in answer.text


def test_every_answer_says_who_answered_and_how_fresh_it_is(node):
    for path in ("/", "/healthz", "/x", "/v1/revocations"):
        headers = requests.get(node.url + path, timeout=5, allow_redirects=False).headers
        assert headers["x-stsd-region"] == "us-east-1"
        assert headers["x-stsd-staleness-ms"] == "0"
        assert len(headers["x-amzn-RequestId"]) == 36


@pytest.mark.parametrize(
    ("path", "accept"),
    [
        ("/healthz", "*/*"),
        ("/readyz", "*/*"),
        ("/.well-known/jwks.json", "*/*"),
        ("/v1/revocations", "*/*"),
        ("/v1/revocations", "text/event-stream"),
        ("/v1/revocations?after=x", "*/*"),
    ],
)
def test_a_head_is_that_of_the_get(node, path, accept):
    with requests.Session() as session:
        whole = session.get(node.url + path, headers={"Accept": accept}, timeout=5, stream=True)
        head = session.head(node.url + path, headers={"Accept": accept}, timeout=5)
        again = session.head(node.url + path, headers={"Accept": accept}, timeout=5)
        whole.close()
    assert head.content == again.content == b""
    told = ("Content-Type", "ETag", "Cache-Control", "x-stsd-region")
    assert head.status_code == again.status_code == whole.status_code
    assert [head.headers.get(name) for name in told] == [whole.headers.get(name) for name in told]


def test_a_head_of_the_query_api_does_nothing(node):
    answer = send(node, request("/?Action=GetCallerIdentity&Version=2011-06-15", method="HEAD"))
    assert status(answer) >= 300
    assert body(answer) == b""


def test_a_browser_may_call(node):
    asked = requests.options(node.url, headers={"Origin": "https://app.example"}, timeout=5)
    assert asked.status_code == 200
    assert asked.headers["Access-Control-Allow-Origin"] == "*"
    assert "authorization" in asked.headers["Access-Control-Allow-Headers"]


def test_a_body_of_ten_million_bytes_is_read(node):
    answer = send(node, request("/", FORM, b"a" * 10_000_000))
    assert status(answer) == 302


def test_one_byte_more_is_too_large(node):
    head = f"POST / HTTP/1.1\r\nHost: x\r\n{FORM}Content-Length: 10000001\r\n\r\n"
    answer = send(node, head.encode())
    assert status(answer) == 413
    assert body(answer) == b""
    log = node.data_dir.parent / f"{node.data_dir.name}.log"
    wait_for(lambda: f"request_id={request_id(answer)} " in log.read_text(), "the log event of that request")


def test_a_body_that_is_too_large_is_counted_and_for_other_nodes_as_their_message(node):
    def counted() -> set[str]:
        return set(requests.get(f"{node.url}/metrics", timeout=5).text.splitlines())

    before, head = counted(), b"Host: x\r\nContent-Length: 10000001\r\n\r\n"
    for path in (b"/?Action=x", b"/_peer/messages"):
        assert status(send(node, b"POST " + path + b" HTTP/1.1\r\n" + head)) == 413
    new = counted() - before
    assert 'stsd_peer_messages_total{result="oversized"} 1.0' in new
    assert 'stsd_requests_total{code="BodyTooLarge",operation="peer_messages"} 1.0' in new
    assert any(line.startswith('stsd_requests_total{code="BodyTooLarge",operation="unknown"}') for line in new)


def test_a_chunked_body_is_limited_too(node):
    chunk = b"%x\r\n" % 1_000_000 + b"a" * 1_000_000 + b"\r\n"
    head = f"POST / HTTP/1.1\r\nHost: x\r\n{FORM}Transfer-Encoding: chunked\r\n\r\n"
    host, port = node.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(head.encode())
        try:
            for _ in range(11):
                connection.sendall(chunk)
        except ConnectionError:
            pass
        answer = connection.recv(4096)
        assert status(answer) == 413
        assert request_id(answer)


def test_a_head_that_is_too_long_is_a_bad_request(node):
    answer = send(node, request("/?" + "a" * 20_000, method="GET"))
    assert status(answer) == 400
    assert body(answer) == b""
    assert request_id(answer)


@pytest.mark.parametrize(
    "sent",
    [
        b"\x00\xff garbage\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nBad Header\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\na",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
        b"GET /%zz?Action=GetCallerIdentity HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    ],
)
def test_malformed_http_is_a_bad_request_without_a_body_and_with_an_id_of_its_own(node, sent):
    answer, again = send(node, sent), send(node, sent)
    assert status(answer) == status(again) == 400
    assert body(answer) == body(again) == b""
    assert request_id(answer) != request_id(again)
    assert requests.get(f"{node.url}/healthz", timeout=5).ok


def test_pipelined_requests_are_answered_in_order(node):
    one = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    answer = send(node, one, one, request("/x", method="GET"))
    assert answer.count(b"HTTP/1.1 200") == 2
    assert answer.endswith(b"<UnknownOperationException/>")


def test_a_client_that_asks_to_continue_is_told_to(node):
    content = b"Action=Nonsense&Version=2011-06-15"
    head = f"POST / HTTP/1.1\r\nHost: x\r\n{FORM}Expect: 100-continue\r\nContent-Length: {len(content)}\r\n\r\n"
    host, port = node.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(head.encode())
        assert connection.recv(4096) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(content)
        assert status(connection.recv(4096)) == 400


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "The body is not JSON"),
        (b"[]", "The body is not a JSON object"),
        (b'{"token": 1}', "token must hold text"),
        (b"{}", "Exactly one of token and tokens is required"),
        (b'{"token": "a", "tokens": []}', "Exactly one of token and tokens is required"),
        (b'{"token": "a", "colour": "red"}', "Unknown member 'colour'; allowed: token, tokens, at_least"),
        (b'{"token": "a", "at_least": "x"}', "at_least is not a revocation token"),
        (b'{"token": "a", "at_least": 5}', "at_least is not a revocation token"),
        (json.dumps({"tokens": ["a"] * 1001}).encode(), "tokens must be a list of at most 1000"),
    ],
)
def test_verify_refuses_what_it_does_not_understand(node, content, message):
    answer = requests.post(f"{node.url}/v1/verify", content, timeout=5)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == message
    assert answer.json()["error"]["request_id"] == answer.headers["x-amzn-RequestId"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/verify", "POST"),
        ("HEAD", "/v1/verify", "POST"),
        ("DELETE", "/v1/revocations", "GET, POST"),
        ("POST", "/.well-known/jwks.json", "GET"),
    ],
)
def test_a_path_of_ours_says_which_methods_it_takes(node, method, path, allowed):
    answer = requests.request(method, f"{node.url}{path}", timeout=5)
    assert (answer.status_code, answer.headers["Allow"]) == (405, allowed)
    if method != "HEAD":
        assert answer.json()["error"]["message"] == f"{path} takes {allowed}"


def test_what_is_served_below_v1_is_told_to_who_asks_for_anything_else(node):
    answer = requests.get(f"{node.url}/v1/verifyy", timeout=5)
    assert answer.status_code == 404
    assert answer.json()["error"] == {
        "code": "NotFound",
        "message": "Served here: /v1/verify, /v1/revocations",
        "request_id": answer.headers["x-amzn-RequestId"],
    }


def test_verify_judges_many_tokens_in_order(node):
    answer = requests.post(f"{node.url}/v1/verify", json={"tokens": ["a", "b.c.d"]}, timeout=5)
    assert answer.json() == {"results": [{"active": False, "reason": "malformed"}] * 2}


def test_a_cursor_that_is_none_is_refused(node):
    answer = requests.get(f"{node.url}/v1/revocations", {"after": "x"}, timeout=5)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == "after is not a cursor of this feed"


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
