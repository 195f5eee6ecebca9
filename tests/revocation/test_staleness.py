"""Which staleness means what, and when a change of it is told."""

from __future__ import annotations

import pytest

from stsd.revocation.staleness import DEGRADED, SHORT_SESSION_S, Alarms, Change, Limits


@pytest.mark.parametrize(
    ("staleness_s", "level"),
    [(0.0, "fresh"), (9.999, "fresh"), (10.0, "soft"), (899.999, "soft"), (900.0, "hard"), (1e9, "hard")],
)
def test_ten_seconds_are_told_and_fifteen_minutes_shorten_sessions(staleness_s, level):
    assert Limits().level(staleness_s) == level


def test_only_the_hard_level_says_how_short_sessions_are():
    assert DEGRADED["fresh"] == ""
    assert str(SHORT_SESSION_S) not in DEGRADED["soft"]
    assert DEGRADED["hard"].endswith("=900")


def test_each_change_is_told_once_and_for_its_origin_alone():
    alarms = Alarms(Limits(soft_s=10, hard_s=20))
    assert alarms.changes({"a": 1.0, "b": 1.0}) == []
    assert alarms.changes({"a": 11.0, "b": 1.0}) == [Change("a", "soft", 11.0)]
    assert alarms.changes({"a": 12.0, "b": 1.0}) == []
    assert alarms.changes({"a": 21.0, "b": 10.0}) == [Change("a", "hard", 21.0), Change("b", "soft", 10.0)]
    assert alarms.changes({"a": 0.5, "b": 11.0}) == [Change("a", "fresh", 0.5)]
    assert alarms.changes({"a": 0.5, "b": 11.0}) == []


def test_an_origin_that_is_not_waited_for_any_more_has_recovered():
    alarms = Alarms(Limits())
    alarms.changes({"eu-west-1": 30.0})
    assert alarms.changes({"eu-west-1/1/0000000000000001": 0.1}) == [Change("eu-west-1", "fresh", 0.0)]
    assert alarms.changes({"eu-west-1/1/0000000000000001": 0.1}) == []
