"""Which region the router asks, which one next, and how far away it lets it be."""

from __future__ import annotations

import asyncio
import time
from statistics import median

import pytest

from tests.cluster.fake_regions import eventually, raw

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


async def test_no_region_is_said_without_a_body_to_head(start):
    setup = await start()
    for region in setup.regions.values():
        await region.stop()
    answer = await raw(setup.port(), b"HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert answer.endswith(b"\r\n\r\n")
