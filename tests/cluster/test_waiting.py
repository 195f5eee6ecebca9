"""Calls with an ID token whose issuer keeps the region waiting: they get its answer, and harm nobody else."""

from __future__ import annotations

import asyncio
import time

import pytest

from cluster import waiting
from stsd.oidc.known_keys import KEYS_WAIT_S
from tests.cluster.fake_regions import eventually

ACTION = "AssumeRoleWithWebIdentity"
REGION = "us-east-1"
VIEW = {"endpoint": "regional", "location": REGION, "region": REGION}


@pytest.mark.parametrize(
    ("path", "query", "body", "seconds"),
    [
        ("/", "", b"Action=AssumeRoleWithWebIdentity&Version=2011-06-15", KEYS_WAIT_S),
        ("/", "Version=2011-06-15&Action=AssumeRoleWithWebIdentity", b"", KEYS_WAIT_S),
        ("/", "", b"Version=2011-06-15&Action=AssumeRoleWithWeb%49dentity", KEYS_WAIT_S),
        ("/", "", b"%41ction=AssumeRoleWithWebIdentit%79", KEYS_WAIT_S),
        ("/", "Action=%41ssumeRoleWithWebIdentity", b"", KEYS_WAIT_S),
        ("/", "", b"Action=AssumeRole&Policy=%7B%22Statement%22%3A%5B%5D%7D&RoleSessionName=a%40b%60_%5F", 0.0),
        ("/", "", b"Action=GetCallerIdentity&Version=2011-06-15", 0.0),
        ("/", "\udcff", b"", 0.0),
        ("/v1/verify", "", b"AssumeRoleWithWebIdentity", 0.0),
    ],
)
def test_an_action_that_may_wait_for_keys_is_known_however_it_is_spelt(path, query, body, seconds):
    assert waiting.keys_wait_s(path, query, body) == seconds


def begin(setup, count: int) -> list[asyncio.Task[tuple[int, str]]]:
    return [asyncio.create_task(setup.call(ACTION, **VIEW)) for _ in range(count)]


async def hold(setup, count: int) -> list[asyncio.Task[tuple[int, str]]]:
    """So many calls that wait for a hung issuer in the region."""
    region, room = setup.regions[REGION], setup.router.forwarder.rooms[REGION]
    region.held = ACTION.encode()
    tasks = begin(setup, count)
    await eventually(lambda: room.waiting == count)
    return tasks


async def test_the_region_has_more_time_and_its_answer_reaches_the_caller(start):
    setup = await start(answer_timeout_s=0.1)
    tasks = await hold(setup, 6)
    setup.regions[REGION].held = b"A"
    assert (await setup.call(**VIEW))[0] == 503
    assert not any(task.done() for task in tasks)
    setup.regions[REGION].status = 400
    setup.regions[REGION].let_go.set()
    assert await asyncio.gather(*tasks) == [(400, REGION)] * 6


async def test_they_hold_no_place_that_others_need(start):
    setup = await start()
    forwarder = setup.router.forwarder
    forwarder.demand[REGION].limit = 4
    tasks = [*await hold(setup, 3), *begin(setup, 3)]
    await eventually(lambda: forwarder.demand[REGION].in_flight == 3)
    assert await setup.call(**VIEW) == (200, REGION)
    await eventually(lambda: forwarder.rooms[REGION].waiting == 6)
    assert forwarder.demand[REGION].in_flight == 0
    setup.regions[REGION].let_go.set()
    assert await asyncio.gather(*tasks) == [(200, REGION)] * 6
    room = forwarder.rooms[REGION]
    assert (room.arriving, room.waiting, forwarder.demand[REGION].in_flight) == (0, 0, 0)


async def test_a_revocation_that_waits_for_all_regions_leaves_its_place_to_others(start):
    setup = await start()
    forwarder = setup.router.forwarder
    forwarder.demand[REGION].limit = 4
    setup.regions[REGION].held = b"wait"
    revocation = {"access_key_id": "ASIAEXAMPLE", "wait": "all", "timeout_s": 30}

    async def revoke() -> int:
        async with setup.client.post(setup.url("/v1/revocations", **VIEW), json=revocation) as answer:
            return answer.status

    tasks = [asyncio.create_task(revoke()) for _ in range(3)]
    await eventually(lambda: forwarder.rooms[REGION].waiting == 3)
    assert forwarder.demand[REGION].in_flight == 0
    assert await setup.call(**VIEW) == (200, REGION)
    setup.regions[REGION].let_go.set()
    assert await asyncio.gather(*tasks) == [200] * 3


async def test_a_drained_region_is_asked_for_what_it_was_sent_and_not_for_what_is_its_own(start):
    setup = await start()
    setup.regions[REGION].held = ACTION.encode()
    own, sent = begin(setup, 2), [asyncio.create_task(setup.call(ACTION)) for _ in range(3)]
    await eventually(lambda: setup.router.forwarder.rooms[REGION].waiting == 5)
    order = {"verb": "drain", "region": REGION, "draining": True}
    assert setup.router.obey(order) == {"ok": True, "in_flight": 3, "told_for_s": 0.0}
    setup.regions[REGION].let_go.set()
    await asyncio.gather(*own, *sent)
    assert setup.router.obey(order)["in_flight"] == 0


async def test_many_at_once_leave_places_for_others(start, monkeypatch):
    monkeypatch.setattr(waiting, "SOON_S", 3600)
    setup = await start()
    setup.router.forwarder.demand[REGION].limit = 4
    setup.regions[REGION].held = ACTION.encode()
    tasks = begin(setup, 5)
    await eventually(lambda: sum(task.done() for task in tasks) == 2)
    assert [task.result()[0] for task in tasks if task.done()] == [503, 503]
    assert await setup.call(**VIEW) == (200, REGION)
    setup.regions[REGION].let_go.set()
    assert sorted(status for status, _ in await asyncio.gather(*tasks)) == [200, 200, 200, 503, 503]


async def test_how_long_they_take_says_nothing_of_the_region(start):
    setup = await start()
    setup.regions[REGION].let_go.set()
    assert [await task for task in begin(setup, 3)] == [(200, REGION)] * 3
    setup.regions[REGION].let_go.clear()
    tasks = await hold(setup, 30)
    setup.regions[REGION].let_go.set()
    await asyncio.gather(*tasks)
    forwarder = setup.router.forwarder
    assert (forwarder.shedding[REGION]._took_s, forwarder.gates[REGION].took_s) == ([], [])
    assert await setup.call(**VIEW) == (200, REGION)
    assert len(forwarder.gates[REGION].took_s) == 1


async def test_a_full_room_lets_no_other_one_in_and_every_other_call(start, monkeypatch):
    monkeypatch.setattr(waiting, "ROOM", 3)
    setup = await start()
    tasks = await hold(setup, 3)
    seen = len(setup.regions[REGION].requests)
    async with setup.client.post(setup.url(**VIEW), data=f"Action={ACTION}") as refused:
        assert (refused.status, refused.headers["Retry-After"]) == (503, "1")
        assert refused.headers["x-stsd-route"] == f"regional, {REGION};full"
    assert len(setup.regions[REGION].requests) == seen
    assert await setup.call(**VIEW) == (200, REGION)
    setup.regions[REGION].let_go.set()
    assert await asyncio.gather(*tasks) == [(200, REGION)] * 3
    assert await setup.call(ACTION, **VIEW) == (200, REGION)


async def test_who_goes_away_leaves_the_room(start):
    setup = await start()
    for task in await hold(setup, 3):
        task.cancel()
    await eventually(lambda: setup.router.forwarder.rooms[REGION].waiting == 0)
    assert await setup.call(**VIEW) == (200, REGION)
    assert setup.router.forwarder.demand[REGION].in_flight == 0


async def test_a_region_that_is_silent_for_longer_than_that_is_ill(start, monkeypatch):
    monkeypatch.setattr(waiting, "KEYS_WAIT_S", 0.1)
    setup = await start(answer_timeout_s=0.1)
    setup.regions[REGION].held = ACTION.encode()
    assert {status for status, _ in await asyncio.gather(*begin(setup, 5))} == {503}
    assert not setup.router.health[REGION].available(time.monotonic())
