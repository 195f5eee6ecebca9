from __future__ import annotations

import asyncio
import math

import pytest

from cluster.admission import LIMIT_MIN, QUEUE_S, Gate
from cluster.spare import AT_ONCE, Demand


def gate(limit: float = 10.0, in_flight: int = 0) -> Gate:
    return Gate(Demand(None, limit=limit, in_flight=in_flight))


def ends(one: Gate) -> None:
    one.demand.ends()
    one.ended(0.01)


def test_the_last_places_are_for_the_regions_own_clients():
    found = [(gate(in_flight=n).is_open(own=True), gate(in_flight=n).is_open(own=False)) for n in (6, 7, 9, 10)]
    assert found == [(True, True), (True, False), (True, False), (False, False)]


async def test_who_waits_begins_when_a_call_ends_in_the_order_of_arrival():
    one = gate(in_flight=10)
    begun: list[int] = []

    async def wait(number: int) -> None:
        if await one.turn():
            one.demand.begins(0.0)
            begun.append(number)

    tasks = [asyncio.create_task(wait(number)) for number in range(3)]
    await asyncio.sleep(0)
    assert not one.is_open(own=True)
    ends(one)
    ends(one)
    await asyncio.gather(*tasks)
    assert begun == [0, 1]
    assert one.demand.in_flight == 10


async def test_a_limit_that_is_forgotten_lets_those_in_who_wait_for_it_and_takes_its_lessons_along():
    one = gate(limit=LIMIT_MIN, in_flight=4)
    one.took_s, one.refused = [0.5] * 20, 2
    tasks = [asyncio.create_task(one.turn()) for _ in range(3)]
    await asyncio.sleep(0)
    one.forget()
    assert await asyncio.gather(*tasks) == [True] * 3
    one.tick()
    assert (one.demand.limit, one.demand.in_flight) == (AT_ONCE, 4)
    one.took_s = [1.0] * 20
    one.tick()
    assert one.demand.limit == AT_ONCE  # there is no better window that these were compared with


async def test_who_finds_no_place_in_time_is_refused_and_forgotten():
    one = gate(in_flight=10)
    loop = asyncio.get_running_loop()
    began = loop.time()
    assert await one.turn() is False
    assert loop.time() - began >= QUEUE_S * 0.9
    ends(one)
    assert one.is_open(own=True)


async def test_who_leaves_while_waiting_takes_no_place():
    one = gate(in_flight=10)
    task = asyncio.create_task(one.turn())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    ends(one)
    assert one.is_open(own=True)


async def test_who_leaves_when_a_place_was_just_given_to_it_passes_it_on():
    one = gate(in_flight=10)
    leaving, next_one = (asyncio.create_task(one.turn()) for _ in range(2))
    await asyncio.sleep(0)
    ends(one)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert await next_one is True
    assert one.demand.in_flight == 9


def second(one: Gate, took_s: float, most: int) -> float:
    """One second of calls; the limit after it."""
    for _ in range(20):
        one.ended(took_s)
    one.most = most
    one.tick()
    return one.demand.limit


def test_calls_that_queue_in_a_region_lower_its_limit_and_it_grows_again():
    one = gate(limit=64.0)
    assert second(one, 0.01, 10) == 64
    assert second(one, 0.10, 40) == pytest.approx(28)
    assert second(one, 0.10, 28) == pytest.approx(19.6)
    assert second(one, 0.02, 19) == pytest.approx(24.5)
    assert second(one, 0.02, 5) == pytest.approx(24.5)


def test_the_limit_has_a_floor_and_a_region_that_always_was_slow_keeps_its_own():
    one, slow = gate(limit=5.0), gate(limit=64.0)
    second(one, 0.01, 2)
    for _ in range(9):
        second(one, one.demand.limit / 5, math.ceil(one.demand.limit))
        second(slow, 1.0, 30)
    assert (one.demand.limit, slow.demand.limit) == (LIMIT_MIN, 64.0)


def test_a_region_that_is_no_faster_with_fewer_calls_is_slow_and_keeps_its_limit():
    one = gate(limit=64.0)
    second(one, 0.01, 10)
    limits = [second(one, 0.3, math.ceil(one.demand.limit)) for _ in range(6)]
    assert limits[:3] == pytest.approx([64 * 0.7, 64 * 0.7**2, 64 * 0.7**3], abs=1)
    assert limits[3:] == [64.0, 80.0, 100.0]


def test_a_long_queue_is_not_taken_for_slowness_before_it_had_time_to_shorten():
    one = gate(limit=64.0)
    second(one, 0.01, 10)
    served_per_s, in_flight = 20, 200
    for _ in range(30):
        second(one, in_flight / served_per_s, in_flight)
        in_flight = max(math.ceil(one.demand.limit), in_flight - served_per_s)
    assert one.demand.limit == LIMIT_MIN


def test_a_few_calls_change_nothing_until_there_are_enough_of_them():
    one = gate(limit=64.0)
    second(one, 0.01, 2)
    for _ in range(9):
        one.ended(1.0)
    one.tick()
    assert one.demand.limit == 64.0
    one.ended(1.0)
    one.tick()
    assert one.demand.limit < 64.0


def test_a_region_that_refuses_lowers_its_limit_whatever_the_others_took():
    one = gate(limit=64.0)
    second(one, 0.01, 40)
    one.refused = 3
    assert second(one, 0.01, 40) == pytest.approx(28)
    assert second(one, 0.01, 10) == pytest.approx(28)
    one.refused, one.most = 1, 2
    one.tick()
    assert one.demand.limit == LIMIT_MIN
