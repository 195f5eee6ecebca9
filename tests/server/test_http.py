"""HTTP at the edge: whatever bytes arrive, the answer is the specification's, and the node goes on."""

from __future__ import annotations

import socket

import pytest
import requests

from tests.running import wait_for
from tests.server.raw import body, request, request_id, send, status

pytestmark = pytest.mark.processes
FORM = "Content-Type: application/x-www-form-urlencoded\r\n"


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
