"""What passes through the router on loopback, the mark that it sets, and clients that misbehave."""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import replace
from io import BytesIO
from uuid import UUID

import pytest

from cluster import listener
from cluster.router import Router, RouterConfig
from stsd.wire import forwarded
from tests.cluster.conftest import CLUSTER_KEY, THREE, any_ports
from tests.cluster.fake_regions import raw

KEY = forwarded.router_key(CLUSTER_KEY)
AUTHORIZATION = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261123/us-east-1/sts/aws4_request"


def request(method: str = "POST", target: str = "/", fields: str = "", body: bytes = b"", close: bool = True) -> bytes:
    connection = "Connection: close\r\n" if close else ""
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    return f"{method} {target} HTTP/1.1\r\nHost: sts.example\r\n{fields}{length}{connection}\r\n".encode() + body


def request_id(answer: bytes) -> UUID:
    """Of an answer; fails where there is none, or one that is no UUID."""
    found = re.search(rb"\r\nx-amzn-RequestId: (\S+)\r\n", answer)
    assert found is not None, answer[:500]
    return UUID(found[1].decode())


# -- what passes -----------------------------------------------------------------------------------------------------


async def test_target_fields_and_body_arrive_as_they_were_sent(start):
    setup = await start()
    body = b"Action=GetCallerIdentity&x=%zz\xff"
    fields = f"Authorization: {AUTHORIZATION}\r\nX-Odd:  two  spaces\r\n"
    answer = await raw(setup.port(), request(target="//%7Ea/..;b?q=%2F&q=+", fields=fields, body=body))
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    (seen,) = setup.regions["us-east-1"].requests
    assert (seen.target, seen.body) == ("//%7Ea/..;b?q=%2F&q=+", body)
    assert seen.one("host") == "sts.example"
    assert seen.one("x-odd") == "two  spaces"
    assert not seen.all("connection")


async def test_a_compressed_body_is_not_opened(start):
    setup = await start()
    await raw(setup.port(), request(fields="Content-Encoding: gzip\r\n", body=b"not gzip at all"))
    assert setup.regions["us-east-1"].requests[0].body == b"not gzip at all"


async def test_the_regions_fields_reach_the_client(start):
    setup = await start()
    async with setup.client.post(setup.url()) as answer:
        assert answer.headers["x-stsd-region"] == "us-east-1"
        assert answer.headers["x-amzn-RequestId"] == "5f0f3a6e-1c0f-4a0e-9f2d-0c3b2b1a9d11"
        assert await answer.read() == b"<us-east-1/>"


async def test_an_answer_that_nothing_has_changed_passes_without_a_length(start):
    setup = await start()
    setup.regions["us-east-1"].status = 304
    for _ in range(2):  # on one connection: whoever waited for a body would hear nothing of the second
        async with setup.client.post(setup.url()) as answer:
            assert (answer.status, await answer.read()) == (304, b"")
            assert "Content-Length" not in answer.headers
    assert setup.regions["us-east-1"].connections == 1


def test_a_route_shifts_in_one_direction_alone():
    topology = replace(THREE, path_shifts=True)
    router = Router(RouterConfig(topology, {}, any_ports(topology), CLUSTER_KEY, seed=1))
    shifts = [path.shift for path in router._paths("us-east-1", "eu-west-1")]
    courses = [[shift.ms(second) for second in range(20_000)] for shift in shifts if shift is not None]
    assert [any(course) for course in courses] == [True, True]
    assert any(bool(there) is not bool(back) for there, back in zip(*courses, strict=True))


async def test_connections_are_kept_on_both_sides(start):
    setup = await start()
    for _ in range(5):
        assert (await setup.call())[0] == 200
    assert setup.regions["us-east-1"].connections == 1


# -- the mark --------------------------------------------------------------------------------------------------------


async def test_each_port_says_truly_what_it_is(start):
    setup = await start()
    fields = {"Authorization": AUTHORIZATION}
    await setup.client.post(setup.url(), headers=fields)
    await setup.client.post(setup.url(endpoint="regional", location="eu-west-1", region="us-east-1"), headers=fields)
    marks = [seen.one(forwarded.HEADER) for seen in setup.regions["us-east-1"].requests]
    read = [forwarded.read(KEY, mark, time.time(), AUTHORIZATION) for mark in marks]
    assert [(mark.endpoint, mark.client_ip, mark.secure) for mark in read if mark] == [
        ("global", "127.0.0.1", False),
        ("regional", "127.0.0.1", False),
    ]


async def test_a_presigned_request_is_marked_over_its_query(start):
    setup = await start()
    query = "Action=GetCallerIdentity&X-Amz-Signature=aa"
    await raw(setup.port(), request("GET", "/?" + query))
    mark = setup.regions["us-east-1"].requests[0].one(forwarded.HEADER)
    assert forwarded.read(KEY, mark, time.time(), query)


@pytest.mark.parametrize("name", ["x-stsd-forwarded", "X-Stsd-Forwarded", "X-STSD-FORWARDED"])
async def test_a_mark_that_a_client_sends_never_gets_through(start, name):
    setup = await start()
    forged = forwarded.mark(bytes(32), "global", "9.9.9.9", True, time.time(), "")
    regional = setup.port(endpoint="regional", location="eu-west-1", region="eu-west-1")
    await raw(regional, request(fields=f"{name}: {forged}\r\nx-stsd-extra: 1\r\n"))
    (seen,) = setup.regions["eu-west-1"].requests
    assert forwarded.read(KEY, seen.one(forwarded.HEADER), time.time(), "").endpoint == "regional"
    assert not seen.all("x-stsd-extra")


async def test_a_pinned_port_is_the_global_endpoint_and_goes_to_its_region_alone(start):
    pairs = [(place, region) for place in THREE.locations for region in THREE.regions]
    setup = await start(pinned=dict.fromkeys(pairs, 0))
    view = {"location": "us-east-1", "region": "eu-west-1"}
    assert await setup.call(**view) == (200, "eu-west-1")
    mark = setup.regions["eu-west-1"].requests[0].one(forwarded.HEADER)
    assert forwarded.read(KEY, mark, time.time(), "").endpoint == "global"
    async with setup.client.get(setup.url("/readyz", **view)) as answer:
        assert answer.headers["x-stsd-route"] == "pinned, eu-west-1;status=200"
    await setup.regions["eu-west-1"].stop()
    status, _ = await setup.call(**view)
    assert status == 503
    assert not any(setup.regions[other].requests for other in ("us-east-1", "ap-southeast-1"))


async def test_there_are_no_pinned_ports_unless_they_are_asked_for(start):
    setup = await start()
    assert not any(endpoint == "global" and region for endpoint, _, region in setup.router.ports)


# -- clients that misbehave ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
        b"GET /?" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nBad Name: a\r\n\r\n",
        b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\nConnection: close\r\n\r\n",
    ],
)
async def test_bad_http_is_a_4xx_with_an_empty_body_and_an_id_of_its_own(start, garbage):
    setup = await start()
    answer = await raw(setup.port(), garbage)
    assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 405", b"HTTP/1.1 501"))
    assert answer.endswith(b"\r\n\r\n")
    assert request_id(answer) != request_id(await raw(setup.port(), garbage))
    assert not any(region.requests for region in setup.regions.values())


async def test_a_body_that_comes_too_late_is_answered_with_an_id(start, monkeypatch):
    monkeypatch.setattr(listener, "READ_TIMEOUT_S", 0.05)
    setup = await start()
    answer = await raw(setup.port(), b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\na")
    assert answer.startswith(b"HTTP/1.1 408")
    assert answer.endswith(b"\r\n\r\n")
    assert request_id(answer)


async def test_ten_million_bytes_pass_and_one_more_does_not(start):
    setup = await start()
    async with setup.client.post(setup.url(), data=BytesIO(b"a" * 10_000_000)) as answer:
        assert answer.status == 200
    assert len(setup.regions["us-east-1"].requests[0].body) == 10_000_000
    async with setup.client.post(setup.url(), data=BytesIO(b"a" * 10_000_001)) as answer:
        assert (answer.status, await answer.read()) == (413, b"")
        assert UUID(answer.headers["x-amzn-RequestId"])


async def test_a_chunked_body_over_the_limit_is_refused(start):
    setup = await start()

    async def chunks():
        for _ in range(11):
            yield b"a" * 1_000_000

    async with setup.client.post(setup.url(), data=chunks()) as answer:
        assert answer.status == 413
        assert UUID(answer.headers["x-amzn-RequestId"])


async def test_expect_continue_is_answered_at_once(start):
    setup = await start()
    reader, writer = await asyncio.open_connection("127.0.0.1", setup.port())
    writer.write(
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
    )
    async with asyncio.timeout(2):
        assert await reader.readline() == b"HTTP/1.1 100 Continue\r\n"
        await reader.readline()
        writer.write(b"abc")
        assert (await reader.read()).startswith(b"HTTP/1.1 200")
    writer.close()


async def test_pipelined_requests_are_answered_in_order(start):
    setup = await start()
    answer = await raw(setup.port(), request(close=False) + request(target="/healthz", method="GET"))
    assert answer.index(b"<us-east-1/>") < answer.index(b'"status"')


async def test_head_has_no_body_and_a_keepalive_connection_survives_it(start):
    setup = await start()
    for path in ("/healthz", "/"):
        async with setup.client.head(setup.url(path)) as answer:
            assert answer.status == 200
    assert (await setup.call())[0] == 200


async def test_a_client_that_leaves_ends_its_request_and_harms_nobody(start):
    setup = await start(far=True)
    region = setup.regions["ap-southeast-1"]
    view = {"endpoint": "regional", "location": "us-east-1", "region": "ap-southeast-1"}
    for _ in range(10):
        _, writer = await asyncio.open_connection("127.0.0.1", setup.port(**view))
        writer.write(request())
        await asyncio.sleep(0.005)
        writer.close()
    await asyncio.sleep(0.2)
    assert not region.requests
    assert not any(demand.in_flight for demand in setup.router.forwarder.demand.values())
    assert await setup.call(**view) == (200, "ap-southeast-1")


async def test_an_upgrade_that_nobody_offers_is_an_ordinary_request(start):
    setup = await start()
    fields = "Upgrade: websocket\r\nSec-WebSocket-Key: a\r\nSec-WebSocket-Version: 13\r\n"
    answer = await raw(
        setup.port(), b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, close\r\n" + fields.encode() + b"\r\n"
    )
    assert answer.startswith(b"HTTP/1.1 200")
    assert not setup.regions["us-east-1"].requests[0].all("upgrade")
