"""How late messages came: counted, told as JSON, and subtracted."""

from __future__ import annotations

import json
import math

import pytest

from cluster import lateness
from cluster.lateness import Delays

AB, BA = ("a", "b"), ("b", "a")


def counted(*late_ms: float, asked_s: float = 0.1) -> Delays:
    one = Delays()
    for late in late_ms:
        one.add(asked_s, late / 1000)
    return one


def sent(reading: dict[tuple[str, str], Delays]) -> dict[tuple[str, str], Delays]:
    return lateness.read(json.loads(json.dumps(lateness.told(reading), allow_nan=False)))


def test_what_came_between_two_readings_that_were_sent_is_told_pair_by_pair_and_together():
    before = sent({AB: counted(90, 90), BA: Delays()})
    after = sent({AB: counted(90, 90, *[1] * 98, 7, 7), BA: counted(*[3] * 900, asked_s=0.05)})
    together, (first, second) = lateness.between(before, after)
    assert (first.location, first.region, first.messages, first.error_ms_p99) == ("a", "b", 100, 8)
    assert first.asked_ms_mean == pytest.approx(100)
    assert first.achieved_ms_mean == pytest.approx(101.12)
    assert (second.messages, second.error_ms_p99, second.asked_ms_mean) == (900, 3, pytest.approx(50))
    assert together == 3


def test_what_is_later_than_every_bound_is_told_as_infinite_and_nothing_as_none():
    assert lateness.between({}, {AB: counted(600)})[0] == math.inf
    assert lateness.between({AB: counted(1)}, {AB: counted(1)}) == (None, ())
