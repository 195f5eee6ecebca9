"""The router's own pages, and the test hooks that reach every node through it."""

from __future__ import annotations

import time

import pytest

from cluster.admission import LIMIT_MIN
from cluster.hedging import Usual
from cluster.spare import AT_ONCE

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


async def test_after_a_reset_limits_and_budgets_are_the_first_ones_and_what_is_in_flight_still_counts(start):
    setup = await start(unsafe_test_hooks=True, policy="dns")
    forwarder, region = setup.router.forwarder, "us-east-1"
    gate, budget, order = forwarder.gates[region], forwarder._budget, forwarder.chooser.order("eu-west-1")
    gate.demand.limit, gate.refused, gate.demand.in_flight = LIMIT_MIN, 3, 2
    while budget.take(1):
        budget.done()
    budget.active = 1
    forwarder._hedges.called()
    forwarder._usual["eu-west-1", region] = Usual(p95_s=0.001)
    forwarder.health[order[0]].up = False
    assert forwarder.chooser.first("eu-west-1", "sts", time.monotonic())[0] == order[1]
    async with setup.client.post(setup.url("/_test/reset")) as answer:
        assert answer.status == 200
    gate.tick()
    assert (gate.demand.limit, gate.demand.in_flight) == (AT_ONCE, 2)
    assert (budget.tokens, budget.active) == (budget.tokens_max, 1)
    assert (forwarder._hedges.tokens, forwarder._usual) == (0.0, {})
    assert forwarder.chooser.policy.name == "dns"
    assert forwarder.chooser.first("eu-west-1", "sts", time.monotonic())[0] == order[0]


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
