"""A running router: what each policy does with real connections, what the answer tells of its way, and the switch."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime

import pytest

from cluster import routing
from cluster.hedging import Usual
from cluster.spare import AT_ONCE
from tests.cluster.fake_regions import eventually, raw
from tests.cluster.test_router import request


async def route(setup, action: str = "GetCallerIdentity", **view: str) -> str:
    async with setup.client.post(setup.url(**view), data=f"Action={action}") as answer:
        return answer.headers["x-stsd-route"]


def goes_down(setup) -> None:
    """What three health checks of the stopped region find."""
    for _ in range(3):
        setup.router.health["us-east-1"].check("silent", time.monotonic())


async def test_the_answer_tells_its_way(start):
    setup = await start()
    assert await route(setup) == "nearest-failover, us-east-1;status=200"
    view = {"endpoint": "regional", "location": "us-east-1", "region": "eu-west-1"}
    assert await route(setup, **view) == "regional, eu-west-1;status=200"
    setup.regions["us-east-1"].status = 503
    assert await route(setup) == "nearest-failover, us-east-1;status=503, eu-west-1;status=200;retry"
    assert await route(setup, "CreateUser") == "nearest-failover, us-east-1;status=503"
    await setup.regions["us-east-1"].stop()
    assert await route(setup) == "nearest-failover, us-east-1;no-connection, eu-west-1;status=200;retry"
    goes_down(setup)
    assert await route(setup) == "nearest-failover, us-east-1;down, eu-west-1;status=200"


async def test_a_503_of_the_routers_own_tells_it_too(start):
    setup = await start(policy="nearest")
    await setup.regions["us-east-1"].stop()
    assert await route(setup) == "nearest, us-east-1;no-connection"


async def test_a_route_that_a_client_sends_ends_at_the_router(start):
    setup = await start()
    await raw(setup.port(), request(fields="X-Stsd-Route: nearest, eu-west-1;status=200\r\n"))
    assert not setup.regions["us-east-1"].requests[0].all("x-stsd-route")


async def test_a_request_in_flight_is_told_the_policy_that_chose_for_it(start):
    setup = await start()
    setup.regions["us-east-1"].delay_s = 0.2
    asked = asyncio.create_task(route(setup))
    await eventually(lambda: len(setup.regions["us-east-1"].requests) == 1)
    setup.router.forwarder.chooser.use("home-2011")
    assert await asked == "nearest-failover, us-east-1;status=200"


async def test_a_policy_counts_from_the_next_request_on(start):
    setup = await start()
    told = await route(setup, location="eu-west-1")
    assert told == "nearest-failover, us-east-1;status=200"  # all are equally far here
    setup.router.forwarder.chooser.use("nearest")
    assert await route(setup) == "nearest, us-east-1;status=200"
    assert setup.router.obey({"verb": "policy", "policy": "home-2011"}) == {"ok": True, "before": "nearest"}
    assert await route(setup) == "home-2011, us-east-1;status=200"
    for wrong in ({"verb": "policy", "policy": "fastest"}, {"verb": "policy"}, {"verb": "dance"}, {}):
        assert setup.router.obey(wrong)["ok"] is False
    assert await route(setup) == "home-2011, us-east-1;status=200"


@pytest.mark.parametrize("policy", sorted(routing.POLICIES))
async def test_under_every_policy_a_healthy_cluster_answers_from_the_nearest_or_from_home(start, policy):
    setup = await start(policy=policy, far=True)
    for place in setup.topology.locations:
        status, region = await setup.call(location=place)
        assert (status, region) == (200, "us-east-1" if policy == "home-2011" else place)


async def test_dns_does_not_move_a_call_before_the_ttl_ends(start):
    setup = await start(policy="dns", dns_ttl_s=60)
    assert await route(setup) == "dns, us-east-1;status=200"
    await setup.regions["us-east-1"].stop()
    assert await route(setup) == "dns, us-east-1;no-connection"
    goes_down(setup)
    assert await route(setup) == "dns, us-east-1;no-connection"


async def test_dns_with_a_ttl_of_nothing_follows_the_health_check(start):
    setup = await start(policy="dns", dns_ttl_s=0)
    await setup.regions["us-east-1"].stop()
    goes_down(setup)
    assert await setup.call() == (200, "eu-west-1")


async def usual(setup, calls: int = 64) -> None:
    """So many calls that the router knows how long they usually take."""
    for _ in range(calls):
        await setup.call()


async def test_a_late_call_is_hedged_and_the_first_answer_counts(start):
    setup = await start(policy="hedged")
    await usual(setup)
    setup.regions["us-east-1"].delay_s = 1.0
    seen = [await route(setup) for _ in range(3)]
    assert "hedged, eu-west-1;status=200;hedge, us-east-1;abandoned" in seen
    async with setup.client.get(setup.url("/metrics")) as answer:
        assert "router_hedges_total 0" not in await answer.text()


async def test_what_issues_credentials_is_not_hedged(start):
    setup = await start(policy="hedged")
    await usual(setup)
    setup.regions["us-east-1"].delay_s = 0.2
    assert await route(setup, "AssumeRole") == "hedged, us-east-1;status=200"


async def test_hedges_stay_within_their_budget(start):
    setup = await start(policy="hedged")
    await usual(setup)
    before = sum(len(region.requests) for region in setup.regions.values())
    setup.regions["us-east-1"].delay_s = 0.02
    for _ in range(60):
        await setup.call()
    after = sum(len(region.requests) for region in setup.regions.values())
    assert 60 < after - before <= 60 + (64 + 60) * 0.05 + 1


async def test_a_hedged_call_whose_first_region_breaks_is_tried_again(start):
    setup = await start(policy="hedged")
    setup.regions["us-east-1"].drops = True
    assert await route(setup) == "hedged, us-east-1;no-answer, eu-west-1;status=200;retry"


async def test_when_both_regions_of_a_hedged_call_fail_an_answer_counts_more_than_none(start):
    setup = await start(policy="hedged")
    await usual(setup)
    home, other, third = setup.regions.values()
    home.status, home.delay_s, other.held = 503, 0.1, b"Action"
    await third.stop()
    asked = asyncio.create_task(setup.call())
    await eventually(lambda: len(other.requests) == 1)
    await asyncio.sleep(2 * home.delay_s)
    await other.stop()
    assert await asked == (503, "us-east-1")


async def test_what_the_model_added_to_a_hedged_call_is_that_of_the_answer_that_counted(start):
    setup = await start(policy="hedged", far=True)
    for usual_of in setup.topology.regions:
        setup.router.forwarder._usual["ap-southeast-1", usual_of] = Usual(p95_s=0.1)
    setup.router.forwarder._hedges.tokens = 5.0
    setup.regions["ap-southeast-1"].delay_s = 3.0
    view = {"location": "ap-southeast-1"}
    async with setup.client.post(setup.url(**view), data="Action=GetCallerIdentity") as answer:
        assert answer.headers["x-stsd-region"] == "eu-west-1"
        assert float(answer.headers["x-stsd-added-ms"]) > 120  # both ways, of 180 ms


async def test_a_hedge_that_may_not_be_takes_nobodys_probe(start):
    setup = await start(policy="hedged")
    await usual(setup)
    setup.router.forwarder._hedges.tokens = -100.0
    breaker = setup.router.health["eu-west-1"].breakers["sts"]
    for _ in range(5):
        breaker.request(time.monotonic() - 10, failed=True, gateway=True)
    setup.regions["us-east-1"].delay_s = 0.1
    await setup.call()
    assert breaker.take_probe(time.monotonic())


@pytest.mark.parametrize(("status", "left"), [(200, 495 + 1), (400, 495 + 1), (503, 495)])
async def test_an_error_of_a_region_gives_nothing_back_to_the_budget(start, status, left):
    setup = await start()
    setup.router.forwarder._budget.tokens = 495
    for region in setup.regions.values():
        region.status = status
    await setup.call("CreateUser")
    assert setup.router.forwarder._budget.tokens == left


async def test_a_policy_without_another_region_for_a_place_cannot_drain_it(start):
    setup = await start(policy="nearest", far=True)
    order = {"verb": "drain", "region": "eu-west-1", "draining": True}
    told = setup.router.obey(order)
    assert told["fault"] == "eu-west-1: nearest sends calls from eu-west-1 there in any case; choose another policy"
    assert not setup.router.health["eu-west-1"].draining
    setup.router.forwarder.chooser.use("home-2011")
    assert setup.router.obey(order)["ok"]
    setup.router.forwarder.chooser.use("dns")
    assert setup.router.obey(order) == {"ok": True, "in_flight": 0, "told_for_s": 60.0}


# -- admission, draining, parts left out -------------------------------------------------------------------------------


def fill(setup, *regions: str) -> None:
    """As many calls in flight as each region may have."""
    for region in regions:
        demand = setup.router.forwarder.demand[region]
        demand.in_flight = int(demand.limit)


async def test_a_full_region_sends_its_own_clients_on_and_refuses_when_all_are_full(start):
    setup = await start()
    fill(setup, "us-east-1")
    assert await route(setup) == "nearest-failover, us-east-1;full, eu-west-1;status=200;retry"
    assert await route(setup, "CreateUser") == "nearest-failover, us-east-1;full, eu-west-1;status=200;retry"
    fill(setup, "eu-west-1")
    async with setup.client.post(setup.url(), data="Action=GetCallerIdentity") as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
        assert answer.headers["x-stsd-route"] == "nearest-failover, us-east-1;full, eu-west-1;full;retry"
        assert "<Code>ServiceUnavailable</Code>" in await answer.text()
    assert setup.router.health["us-east-1"].available(time.monotonic())


async def test_a_regional_call_waits_for_a_place(start):
    setup = await start()
    fill(setup, "eu-west-1")
    forwarder = setup.router.forwarder
    view = {"endpoint": "regional", "location": "us-east-1", "region": "eu-west-1"}
    call = asyncio.create_task(setup.call(**view))
    await asyncio.sleep(0.01)
    forwarder.demand["eu-west-1"].ends()
    forwarder.gates["eu-west-1"].ended(None)
    assert await call == (200, "eu-west-1")


async def test_a_draining_region_gets_no_new_global_calls_and_keeps_its_own(start):
    setup = await start()
    order = {"verb": "drain", "region": "us-east-1", "draining": True}
    assert setup.router.obey(order) == {"ok": True, "in_flight": 0, "told_for_s": 0.0}
    assert await route(setup) == "nearest-failover, us-east-1;draining, eu-west-1;status=200"
    view = {"endpoint": "regional", "location": "eu-west-1", "region": "us-east-1"}
    assert await setup.call(**view) == (200, "us-east-1")
    async with setup.client.get(setup.url("/readyz")) as answer:
        assert (await answer.json())["regions"]["us-east-1"] == "draining"
    assert setup.router.obey(order | {"draining": False})["ok"]
    assert await setup.call() == (200, "us-east-1")
    assert setup.router.obey(order | {"region": "mars-north-1"})["ok"] is False


async def test_a_router_that_ends_says_so_first_and_answers_what_it_has(start):
    setup = await start(drain_s=0.2)
    setup.regions["us-east-1"].delay_s = 0.3
    call = asyncio.create_task(setup.call())
    await asyncio.sleep(0.05)
    drained = asyncio.create_task(setup.router.drain())
    await asyncio.sleep(0.05)
    async with setup.client.get(setup.url("/readyz")) as answer:
        assert (answer.status, (await answer.json())["ready"]) == (503, False)
    async with setup.client.post(setup.url(), data="Action=GetCallerIdentity") as answer:
        assert (answer.status, answer.headers["Connection"]) == (200, "close")
    await drained
    assert await call == (200, "us-east-1")


async def test_without_breakers_nothing_is_ejected_and_without_retries_nothing_moves(start):
    setup = await start(without=frozenset({"breakers", "retries"}))
    setup.regions["us-east-1"].status = 503
    assert {await route(setup) for _ in range(8)} == {"nearest-failover, us-east-1;status=503"}
    assert setup.router.health["us-east-1"].available(time.monotonic())


async def test_without_admission_a_full_region_is_sent_more(start):
    setup = await start(without=frozenset({"admission"}))
    fill(setup, "us-east-1")
    assert await setup.call() == (200, "us-east-1")


async def test_a_region_that_refuses_is_not_ill_and_gets_fewer_calls_at_once(start):
    setup = await start()
    setup.regions["us-east-1"].refuses = True
    for _ in range(12):
        assert await setup.call() == (200, "eu-west-1")
    assert setup.router.health["us-east-1"].available(time.monotonic())
    gate = setup.router.forwarder.gates["us-east-1"]
    assert gate.refused > 0 or gate.demand.limit < AT_ONCE


def deadline_in(seconds: float) -> dict[str, str]:
    told = datetime.fromtimestamp(time.time() + seconds, UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    return {"amz-sdk-request": f"ttl={told}; attempt=1; max=3"}


async def test_what_is_left_of_the_clients_time_is_passed_on_with_every_try(start):
    setup = await start()
    setup.regions["us-east-1"].drops = True
    headers = deadline_in(60) | {"x-stsd-remaining-ms": "5"}
    async with setup.client.post(setup.url(), data="Action=GetCallerIdentity", headers=headers) as answer:
        assert answer.status == 200
    first, second = (setup.regions[region].requests[0] for region in ("us-east-1", "eu-west-1"))
    assert first.one("amz-sdk-request") == second.one("amz-sdk-request") == headers["amz-sdk-request"]
    assert 50_000 < int(second.one("x-stsd-remaining-ms")) <= int(first.one("x-stsd-remaining-ms")) <= 60_000
    assert await setup.call() == (200, "eu-west-1")
    assert setup.regions["eu-west-1"].requests[-1].all("x-stsd-remaining-ms") == []


async def test_a_second_try_that_the_client_would_not_wait_for_is_not_begun(start):
    setup = await start()
    setup.regions["us-east-1"].drops = True
    async with setup.client.post(setup.url(), data="Action=GetCallerIdentity", headers=deadline_in(-1)) as answer:
        assert answer.status == 503
    assert setup.regions["eu-west-1"].requests == []
    assert setup.router.forwarder._budget.active == 0
