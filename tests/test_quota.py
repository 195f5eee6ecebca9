"""The token buckets of accounts (spec 5.5)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

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


def test_a_clock_that_steps_back_gives_nothing_and_takes_nothing_away():
    quota = Quota(2)
    assert passed(quota, "a", 7_200.0) == 2
    assert passed(quota, "a", 3_600.0) == 0
    assert passed(quota, "a", 3_600.5) == 1
    assert passed(quota, "a", 3_660.0) == 2


@given(st.floats(1, 1_000), st.lists(st.floats(0, 3), min_size=1, max_size=60))
def test_no_more_pass_than_a_burst_and_the_rate_and_no_fewer_than_the_rate(per_s, waits):
    quota, now, count, since = Quota(per_s), 1e9, 0, 1e9
    for wait in waits:
        now += wait
        got = passed(quota, "a", now, tries=2_000)
        count += got
        assert count <= per_s + per_s * (now - since) + 1e-3
        assert passed(quota, "a", now + 1 / per_s + 1e-6, tries=1) == 1
        now += 1 / per_s + 1e-6
        count += 1


def test_the_refusal_is_the_one_that_sdks_back_off_on():
    quota = Quota(1)
    quota.take("a", "regional", 0.0)
    with pytest.raises(Throttling, match=r"^Rate exceeded$"):
        quota.take("a", "regional", 0.0)
