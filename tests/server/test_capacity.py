"""A lowered capacity: its queue, and what it refuses."""

from __future__ import annotations

import json

import pytest
from multidict import CIMultiDict

from stsd.capacity import Capacity
from stsd.server.capacity import admit
from stsd.wire import deadline
from stsd.wire.messages import Request


def test_calls_are_served_one_after_the_other_and_an_idle_server_at_once():
    capacity = Capacity(per_s=10)
    assert [capacity.turn(5.0, None) for _ in range(3)] == pytest.approx([0.1, 0.2, 0.3])
    assert capacity.turn(6.0, None) == pytest.approx(0.1)


def test_without_a_bound_everybody_waits_also_who_gave_up():
    capacity = Capacity(per_s=10)
    waits = [capacity.turn(0.0, left_s=1.0) for _ in range(100)]
    assert waits[-1] == pytest.approx(10)


def test_who_would_wait_too_long_or_past_its_deadline_is_refused_and_takes_nothing():
    capacity = Capacity(per_s=10, queue_s=0.25)
    assert [capacity.turn(0.0, None) for _ in range(3)] == pytest.approx([0.1, 0.2, 0.3])
    assert [capacity.turn(0.0, None) for _ in range(3)] == [None, None, None]
    assert capacity.turn(0.2, left_s=0.15) is None
    assert capacity.turn(0.2, left_s=0.3) == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("path", "accept", "content_type"),
    [("/", "*/*", "text/xml"), ("/", "application/json", "application/json"), ("/v1/verify", "", "application/json")],
)
async def test_a_refusal_has_the_form_of_its_call_and_says_when_to_come_again(path, accept, content_type):
    capacity = Capacity(per_s=1, queue_s=0.1)
    capacity.turn(1e12, None)
    request = Request("POST", path, "", CIMultiDict({"Accept": accept}), b"", "id")
    refusal = await admit(capacity, request, 0.0)
    assert refusal is not None
    assert (refusal.status, refusal.content_type, refusal.code) == (503, content_type, "ServiceUnavailable")
    assert ("Retry-After", "1") in refusal.headers
    assert b"ServiceUnavailable" in refusal.body
    assert path == "/" or json.loads(refusal.body)["error"]["request_id"] == "id"


async def test_what_is_no_call_never_waits():
    capacity = Capacity(per_s=1, queue_s=0.1)
    capacity.turn(1e12, None)
    keys = Request("GET", "/.well-known/jwks.json", "", CIMultiDict[str](), b"", "id")
    assert await admit(capacity, keys, 0.0) is None


@pytest.mark.parametrize(
    ("value", "instant"),
    [
        ("attempt=1; max=3; ttl=20260921T141320Z", 1_790_000_000.0),
        ("ttl=20260921T141320.250Z; attempt=2", 1_790_000_000.25),
        ("attempt=1", None),
        ("ttl=tomorrow", None),
        ("", None),
        (None, None),
    ],
)
def test_a_deadline_is_read_as_the_sdks_write_it(value, instant):
    assert deadline.read(value) == instant


@pytest.mark.parametrize(
    ("headers", "left_s"),
    [
        ({"amz-sdk-request": "ttl=20260921T141320Z"}, 20.0),
        ({"amz-sdk-request": "ttl=20260921T141320Z", "x-stsd-remaining-ms": "1500"}, 1.5),
        ({"amz-sdk-request": "ttl=20260921T141320Z", "x-stsd-remaining-ms": "-1"}, 20.0),
        ({"x-stsd-remaining-ms": "9" * 5000}, None),
        ({"x-stsd-remaining-ms": "0"}, 0.0),
        ({}, None),
    ],
)
def test_what_the_router_counted_wins_over_the_instant_that_the_client_told(headers, left_s):
    assert deadline.left_s(CIMultiDict(headers), 1_789_999_980.0) == left_s
