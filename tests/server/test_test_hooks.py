"""The test hooks without a node around them."""

from __future__ import annotations

import json

import pytest
from multidict import CIMultiDict

from stsd.capacity import Capacity
from stsd.revocation.messages import Origin
from stsd.revocation.revocation_set import Revocation
from stsd.server import test_hooks
from stsd.server.clock import Clock
from stsd.server.copies import Recorded
from stsd.wire import xml
from stsd.wire.messages import Request


class ClockMover:
    """What the clock hook asks of a replicator."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    async def move_clock(self, offset_s: float) -> None:
        self.clock.offset_s = offset_s


class Limited:
    """What the capacity hook asks of a gateway."""

    capacity: Capacity | None = None


async def move(body: bytes, source_ip: str = "127.0.0.1") -> tuple[int, Clock]:
    clock = Clock()
    hooks = test_hooks.TestHooks(clock, ClockMover(clock), Limited())
    request = Request("POST", "/_test/clock", "", CIMultiDict[str](), body, "id", source_ip)
    return (await hooks.clock(request)).status, clock


async def test_the_clock_stops_before_a_session_could_end_in_a_year_of_five_digits():
    assert (await move(json.dumps({"now": test_hooks.MAX_INSTANT}).encode()))[0] == 200
    status, clock = await move(json.dumps({"now": test_hooks.MAX_INSTANT + 1}).encode())
    assert (status, clock.offset_s) == (400, 0.0)
    assert b"9999-12-31T" in xml.render("X", (("At", xml.Timestamp(test_hooks.MAX_INSTANT + 129_600)),), "id")


@pytest.mark.parametrize(
    "body", [b"[]", b"null", b'{"now": "1"}', b'{"now": true}', b'{"now": 1, "advance": 1}', b'{"now": 1, "now": 2}']
)
async def test_an_order_that_is_not_understood_moves_nothing(body):
    status, clock = await move(body)
    assert (status, clock.offset_s) == (400, 0.0)


async def test_only_this_machine_may_move_the_clock():
    status, clock = await move(b'{"advance": 60}', source_ip="192.0.2.1")
    assert (status, clock.offset_s) == (403, 0.0)


async def limit(body: bytes, gateway: Limited) -> int:
    clock = Clock()
    hooks = test_hooks.TestHooks(clock, ClockMover(clock), gateway)
    return (await hooks.capacity(Request("POST", "/_test/capacity", "", CIMultiDict[str](), body, "id"))).status


async def test_a_capacity_is_lowered_and_freed():
    gateway = Limited()
    assert await limit(b'{"per_s": 40, "queue_ms": 200}', gateway) == 200
    assert gateway.capacity == Capacity(40, 0.2)
    assert await limit(b"{}", gateway) == 200
    assert gateway.capacity is None


@pytest.mark.parametrize(
    "body", [b'{"per_s": 0}', b'{"per_s": "1"}', b'{"per_s": true}', b'{"queue_ms": 5}', b'{"per_s": 1, "queue": 5}']
)
async def test_a_capacity_that_is_not_understood_changes_nothing(body):
    gateway = Limited()
    assert await limit(body, gateway) == 400
    assert gateway.capacity is None


class Recording:
    """What the hook for entries of a later version asks of a replicator."""

    def __init__(self) -> None:
        self.recorded: list[Revocation] = []

    async def revoke(self, revocation: Revocation) -> Recorded:
        self.recorded.append(revocation)
        return Recorded(Origin("us-east-1", "1", "0" * 16), len(self.recorded), "token", ("us-east-1",), ())


async def record(body: bytes) -> tuple[int, list[str]]:
    recording = Recording()
    hooks = test_hooks.TestHooks(Clock(), recording, Limited())
    answer = await hooks.entry(Request("POST", "/_test/entry", "", CIMultiDict[str](), body, "id"))
    return answer.status, [one.kind for one in recording.recorded]


async def test_an_entry_of_a_later_version_is_recorded_as_it_would():
    assert await record(b'{"kind": "of-a-later-version"}') == (200, ["of-a-later-version"])


@pytest.mark.parametrize(
    "body", [b"{}", b'{"kind": ""}', b'{"kind": 1}', b'{"kind": "role"}', b'{"kind": "x", "y": 1}']
)
async def test_what_this_version_knows_is_no_entry_of_a_later_one(body):
    assert await record(body) == (400, [])
