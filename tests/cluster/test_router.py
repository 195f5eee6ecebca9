from __future__ import annotations

import asyncio
import time
from io import BytesIO
from statistics import median

import pytest

from stsd.wire import forwarded
from tests.cluster.conftest import CLUSTER_KEY, THREE
from tests.cluster.fake_regions import eventually, raw

KEY = forwarded.router_key(CLUSTER_KEY)
AUTHORIZATION = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261123/us-east-1/sts/aws4_request"


def request(method: str = "POST", target: str = "/", fields: str = "", body: bytes = b"", close: bool = True) -> bytes:
    connection = "Connection: close\r\n" if close else ""
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    return f"{method} {target} HTTP/1.1\r\nHost: sts.example\r\n{fields}{length}{connection}\r\n".encode() + body


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


# -- where it goes ---------------------------------------------------------------------------------------------------


async def test_global_goes_to_the_nearest_and_regional_to_its_region(start):
    setup = await start(far=True)
    assert await setup.call() == (200, "us-east-1")
    for place in setup.topology.regions:
        assert await setup.call(location=place) == (200, place)
    view = {"endpoint": "regional", "location": "eu-west-1"}
    for region in setup.topology.regions:
        assert await setup.call(**view, region=region) == (200, region)


async def test_home_2011_sends_every_global_call_home_and_leaves_regional_ones(start):
    setup = await start(policy="home-2011")
    assert await setup.call(location="ap-southeast-1") == (200, "us-east-1")
    view = {"endpoint": "regional", "location": "eu-west-1", "region": "eu-west-1"}
    assert await setup.call(**view) == (200, "eu-west-1")
    await setup.regions["us-east-1"].stop()
    status, body = await setup.call(location="ap-southeast-1")
    assert (status, "ServiceUnavailable" in body) == (503, True)
    assert await setup.call(**view) == (200, "eu-west-1")


# -- failover --------------------------------------------------------------------------------------------------------


async def test_a_dead_region_costs_no_global_call(start):
    setup = await start()
    await setup.regions["us-east-1"].stop()
    for _ in range(20):
        assert (await setup.call("AssumeRole"))[0] == 200
    assert not setup.router.health["us-east-1"].available(time.monotonic())


async def test_a_refused_connection_moves_even_what_may_not_happen_twice(start):
    setup = await start()
    await setup.regions["us-east-1"].stop()
    assert await setup.call("GetSessionToken", "&TokenCode=123456") == (
        200,
        setup.router.forwarder.chooser.order("us-east-1")[1],
    )


async def test_a_regional_call_is_never_moved(start):
    setup = await start()
    await setup.regions["eu-west-1"].stop()
    status, body = await setup.call(endpoint="regional", location="us-east-1", region="eu-west-1")
    assert status == 503
    assert "<Type>Receiver</Type>" in body
    assert not setup.regions["us-east-1"].requests


async def test_a_broken_exchange_is_repeated_where_it_does_no_harm(start):
    setup = await start()
    setup.regions["us-east-1"].drops = True
    status, region = await setup.call("AssumeRole")
    assert (status, region != "us-east-1") == (200, True)


@pytest.mark.parametrize(
    ("action", "more"), [("AssumeRole", "&TokenCode=123456"), ("CreateUser", ""), ("GetSessionToken", "&TokenCode=1")]
)
async def test_a_broken_exchange_is_not_repeated_where_it_may_count_twice(start, action, more):
    setup = await start()
    setup.regions["us-east-1"].drops = True
    status, _ = await setup.call(action, more)
    assert status == 503
    assert sum(len(region.requests) for region in setup.regions.values()) == 1


async def test_a_region_that_hangs_is_left_after_the_timeout(start):
    setup = await start(answer_timeout_s=0.2)
    setup.regions["us-east-1"].answers = False
    began = time.monotonic()
    status, region = await setup.call()
    assert (status, region != "us-east-1") == (200, True)
    assert time.monotonic() - began < 2


async def test_a_region_that_was_asked_to_wait_for_the_others_is_given_the_time(start):
    setup = await start(answer_timeout_s=0.2)
    setup.regions["us-east-1"].delay_s = 0.5
    url = setup.url("/v1/revocations")
    for content, patient in (({"wait": "all", "timeout_s": 0.5}, True), ({"wait": "none"}, False)):
        async with setup.client.post(url, json={"account_id": "111122223333"} | content) as answer:
            assert answer.status == 200
            assert (answer.headers["x-stsd-region"] == "us-east-1") == patient


async def test_a_503_of_a_region_is_answered_by_another_one(start):
    setup = await start()
    setup.regions["us-east-1"].status = 503
    assert (await setup.call())[0] == 200
    assert (await setup.call("CreateUser"))[0] == 503


async def test_errors_of_the_caller_neither_move_nor_eject(start):
    setup = await start()
    setup.regions["us-east-1"].status = 403
    for _ in range(30):
        assert await setup.call() == (403, "us-east-1")


async def test_a_503_that_a_verifier_asked_for_does_not_eject(start):
    setup = await start()
    setup.regions["us-east-1"].status = 503
    for _ in range(30):
        async with setup.client.post(setup.url("/v1/verify"), json={"token": "t", "at_least": "far"}) as answer:
            assert answer.status == 503
    assert setup.router.health["us-east-1"].available(time.monotonic())


async def test_with_no_region_left_the_answer_is_the_specs_503(start):
    setup = await start()
    for region in setup.regions.values():
        await region.stop()
    async with setup.client.post(setup.url(), data=b"Action=GetCallerIdentity") as answer:
        body = await answer.text()
        assert answer.status == 503
        assert answer.content_type == "text/xml"
        assert "<Type>Receiver</Type>" in body
        assert "<Code>ServiceUnavailable</Code>" in body
        assert f"<RequestId>{answer.headers['x-amzn-RequestId']}</RequestId>" in body


async def test_the_last_living_region_serves_everybody(start):
    setup = await start()
    for name in ("us-east-1", "eu-west-1"):
        await setup.regions[name].stop()
    await eventually(lambda: setup.answers_from("ap-southeast-1"))
    for place in setup.topology.locations:
        for _ in range(10):
            assert await setup.call(location=place) == (200, "ap-southeast-1")


async def test_a_region_that_returns_is_used_again(start):
    setup = await start()
    region = setup.regions["us-east-1"]
    await region.stop()
    for _ in range(6):
        await setup.call()
    await eventually(lambda: not setup.router.health["us-east-1"].up)
    await region.start()
    await eventually(lambda: setup.answers_from("us-east-1"))


async def test_a_region_that_says_it_is_not_ready_gets_nothing_more(start):
    setup = await start()
    setup.regions["us-east-1"].ready = False
    assert await setup.answers_from("us-east-1")
    second = setup.router.forwarder.chooser.order("us-east-1")[1]
    await eventually(lambda: setup.answers_from(second))


# -- latency ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("place", "region", "p50_ms"), [("us-east-1", "eu-west-1", 69.6)])
async def test_a_far_region_is_as_far_as_the_table_says(start, place, region, p50_ms):
    setup = await start(far=True)
    took_ms = []
    for _ in range(15):
        began = time.monotonic()
        await setup.call(endpoint="regional", location=place, region=region)
        took_ms.append((time.monotonic() - began) * 1000)
    assert 0.95 < median(took_ms) / p50_ms < 1.3  # the upper bound leaves room for a busy machine
    assert min(took_ms) > p50_ms - 10


async def test_the_request_is_held_before_and_the_answer_after(start):
    setup = await start(far=True)
    region, view = setup.regions["ap-southeast-1"], {"location": "us-east-1", "region": "ap-southeast-1"}
    call = asyncio.create_task(setup.call(endpoint="regional", **view))
    await asyncio.sleep(0.08)
    assert not region.requests
    await eventually(lambda: bool(region.requests))
    await asyncio.sleep(0.05)
    assert not call.done()
    assert (await call)[0] == 200


async def test_the_routers_own_port_adds_nothing(start):
    setup = await start(far=True)
    await setup.call()
    async with setup.client.post(setup.url()) as answer:
        assert "x-stsd-added-ms" not in answer.headers


async def test_requested_and_achieved_delay_are_counted(start):
    setup = await start(far=True)
    view = {"endpoint": "regional", "location": "us-east-1", "region": "eu-west-1"}
    async with setup.client.post(setup.url(**view)) as answer:
        assert float(answer.headers["x-stsd-added-ms"]) == pytest.approx(69.6, abs=25)
    async with setup.client.get(setup.url("/metrics")) as answer:
        text = await answer.text()
    labels = 'location="us-east-1",region="eu-west-1"'
    assert f"router_delay_requested_seconds_count{{{labels}}} 2.0" in text
    assert f"router_delay_error_seconds_count{{{labels}}} 2.0" in text


# -- the router's own pages ------------------------------------------------------------------------------------------


async def test_metrics_have_the_contracts_names(start):
    setup = await start()
    await setup.call()
    await setup.regions["eu-west-1"].stop()
    await setup.call(endpoint="regional", location="us-east-1", region="eu-west-1")
    async with setup.client.get(setup.url("/metrics")) as answer:
        text = await answer.text()
    assert 'router_requests_total{endpoint="global",outcome="ok",region="us-east-1"} 1.0' in text
    assert 'router_requests_total{endpoint="regional",outcome="unavailable",region="none"} 1.0' in text
    assert 'router_request_seconds_count{endpoint="global",location="direct"} 1.0' in text
    assert 'router_region_healthy{region="us-east-1"} 1.0' in text


async def test_health_and_readiness_are_the_routers_own(start):
    setup = await start()
    async with setup.client.get(setup.url("/healthz")) as answer:
        assert answer.status == 200
    async with setup.client.get(setup.url("/readyz")) as answer:
        assert (answer.status, (await answer.json())["regions"]) == (200, dict.fromkeys(setup.regions, "up"))
    async with setup.client.post(setup.url("/readyz")) as answer:
        assert answer.status == 405
    async with setup.client.get(setup.url("/ui/")) as answer:
        assert (answer.status, answer.content_type) == (404, "text/xml")
        assert await answer.read() == b"<UnknownOperationException/>"
    assert not any(region.requests for region in setup.regions.values())


async def test_a_router_is_ready_when_every_region_failed_once(start):
    setup = await start()
    for region in setup.regions.values():
        await region.stop()
    async with setup.client.get(setup.url("/readyz")) as answer:
        assert answer.status == 200


# -- test hooks ------------------------------------------------------------------------------------------------------


async def test_reset_gives_every_node_the_same_epoch(start):
    setup = await start(unsafe_test_hooks=True)
    async with setup.client.post(setup.url("/_test/reset")) as answer:
        assert answer.status == 200
    bodies = {seen.body for region in setup.regions.values() for seen in region.requests}
    assert len(bodies) == 1
    assert b'"epoch"' in bodies.pop()


async def test_after_a_reset_nothing_is_held_against_a_region_but_that_it_drains(start):
    setup = await start(unsafe_test_hooks=True)
    forwarder, now = setup.router.forwarder, time.monotonic()
    first, second, third = (forwarder.health[region] for region in setup.regions)
    first.drain(True, now)
    first.drain(False, now)
    assert first.full_at > now
    second.check("bad", now)
    second.shed(0.25)
    second.deep_streak = 1
    for _ in range(20):
        second.request(now, failed=True, gateway=True)
    assert second.ejected(now)
    third.drain(True, now)
    before = forwarder.shedding["us-east-1"]
    async with setup.client.post(setup.url("/_test/reset")) as answer:
        assert answer.status == 200
    assert (first.full_at, second.share, second.deep_streak, second.up) == (0.0, 1.0, 0, True)
    assert [health.objection("sts", now) for health in (first, second, third)] == ["", "", "draining"]
    assert second.steady
    assert forwarder.shedding["us-east-1"] is not before


async def test_clock_answers_with_the_time_of_every_region(start):
    setup = await start(unsafe_test_hooks=True)
    async with setup.client.post(setup.url("/_test/clock"), json={"advance": 60}) as answer:
        content = await answer.json()
    assert content["now"] == 1000.0
    assert set(content["regions"]) == set(setup.regions)
    assert all(seen.body == b'{"advance": 60}' for region in setup.regions.values() for seen in region.requests)


async def test_a_node_that_does_not_follow_is_named(start):
    setup = await start(unsafe_test_hooks=True)
    await setup.regions["eu-west-1"].stop()
    async with setup.client.post(setup.url("/_test/reset")) as answer:
        assert answer.status == 502
        error = (await answer.json())["error"]
    assert "eu-west-1" in error["message"]
    assert error["request_id"]


@pytest.mark.parametrize("body", [b"[]", b"{", b'{"advanced": 3}'])
async def test_a_wrong_hook_body_is_refused_before_any_node_hears_of_it(start, body):
    setup = await start(unsafe_test_hooks=True)
    async with setup.client.post(setup.url("/_test/clock"), data=body) as answer:
        assert answer.status == 400
    assert not any(region.requests for region in setup.regions.values())


async def test_a_web_page_cannot_use_the_hooks(start):
    setup = await start(unsafe_test_hooks=True)
    async with setup.client.post(setup.url("/_test/reset"), headers={"Origin": "https://evil.example"}) as answer:
        assert answer.status == 403


async def test_without_the_flag_a_hook_is_a_path_like_any_other(start):
    setup = await start()
    await setup.client.post(setup.url("/_test/reset"))
    assert [len(region.requests) for region in setup.regions.values()] == [1, 0, 0]


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
async def test_bad_http_is_a_4xx_with_an_empty_body(start, garbage):
    setup = await start()
    answer = await raw(setup.port(), garbage)
    assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 405", b"HTTP/1.1 501"))
    assert answer.endswith(b"\r\n\r\n")
    assert not any(region.requests for region in setup.regions.values())


async def test_ten_million_bytes_pass_and_one_more_does_not(start):
    setup = await start()
    async with setup.client.post(setup.url(), data=BytesIO(b"a" * 10_000_000)) as answer:
        assert answer.status == 200
    assert len(setup.regions["us-east-1"].requests[0].body) == 10_000_000
    async with setup.client.post(setup.url(), data=BytesIO(b"a" * 10_000_001)) as answer:
        assert (answer.status, await answer.read()) == (413, b"")


async def test_a_chunked_body_over_the_limit_is_refused(start):
    setup = await start()

    async def chunks():
        for _ in range(11):
            yield b"a" * 1_000_000

    async with setup.client.post(setup.url(), data=chunks()) as answer:
        assert answer.status == 413


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
