"""The token buckets of accounts (spec 5.5)."""

from __future__ import annotations

import pytest

from stsd.errors import Throttling
from stsd.quota import Quota


def passed(quota: Quota, account: str, now: float, tries: int = 100, endpoint: str = "regional") -> int:
    count = 0
    for _ in range(tries):
        try:
            quota.take(account, endpoint, now)
        except Throttling:
            break
        count += 1
    return count


def test_a_burst_passes_once_and_then_the_rate():
    quota = Quota(10)
    assert passed(quota, "a", 0.0) == 10
    assert passed(quota, "a", 0.0) == 0
    assert passed(quota, "a", 0.5) == 5
    assert passed(quota, "a", 60.0) == 10


def test_accounts_and_the_global_endpoint_are_counted_apart():
    quota = Quota(3)
    assert passed(quota, "a", 0.0) == 3
    assert passed(quota, "b", 0.0) == 3
    assert passed(quota, "a", 0.0, endpoint="global") == 3


def test_a_clock_that_steps_back_gives_nothing():
    quota = Quota(2)
    assert passed(quota, "a", 100.0) == 2
    assert passed(quota, "a", 50.0) == 0
    assert passed(quota, "a", 100.5) == 1


def test_the_refusal_is_the_one_that_sdks_back_off_on():
    quota = Quota(1)
    quota.take("a", "regional", 0.0)
    with pytest.raises(Throttling, match=r"^Rate exceeded$"):
        quota.take("a", "regional", 0.0)
