from __future__ import annotations

from random import Random

import pytest

from cluster.behaviour import BEHAVIOURS, Client, Failure, retry_after_s

BUSY = Failure(503, retry_after_s=1.0)
SILENT = Failure()


def client(name: str) -> Client:
    return Client(BEHAVIOURS[name], Random(1))


@pytest.mark.parametrize(("name", "attempts"), [("plain", 1), ("naive-retries", 4), ("jitter", 4), ("budget", 3)])
def test_each_behaviour_makes_so_many_attempts(name, attempts):
    one = client(name)
    made = next(attempt for attempt in range(1, 10) if one.pause_s(attempt, SILENT, left_s=60) is None)
    assert made == attempts


@pytest.mark.parametrize("status", [400, 403])
def test_what_fails_again_surely_is_not_called_again(status):
    assert client("naive-retries").pause_s(1, Failure(status), left_s=60) is None


def test_naive_clients_call_again_at_once_and_jitter_spreads_them():
    assert client("naive-retries").pause_s(1, BUSY, left_s=60) == 0
    one = client("jitter")
    pauses = [one.pause_s(3, BUSY, left_s=60) for _ in range(200)]
    assert 0 <= min(pauses) < 0.05
    assert 0.35 < max(pauses) <= 0.4


def test_a_budget_keeps_retries_a_tenth_of_the_calls():
    one = client("budget")
    retries = 0
    for _ in range(1000):
        one.begins()
        retries += one.pause_s(1, SILENT, left_s=60) is not None
    assert retries == pytest.approx(100, abs=6)


def test_a_503_is_waited_for_unless_the_deadline_comes_first():
    assert client("budget").pause_s(1, BUSY, left_s=60) >= 1.0
    assert client("budget").pause_s(1, BUSY, left_s=0.9) is None
    assert client("jitter").pause_s(1, BUSY, left_s=0.9) < 0.9


def test_a_deadline_bounds_every_attempt_and_is_told_as_the_sdks_tell_it():
    one = client("budget")
    assert one.timeout_s(3.0, left_s=0.4) == 0.4
    assert one.headers(2, deadline=1_790_000_000.25) == {
        "amz-sdk-request": "ttl=20260921T141320.250Z; attempt=2; max=3"
    }
    assert 0 < one.timeout_s(3.0, left_s=0.0) < 0.01  # none at all would be no bound to aiohttp
    assert 0 < one.timeout_s(3.0, left_s=-0.2) < 0.01
    assert client("jitter").timeout_s(3.0, left_s=0.4) == 3.0
    assert client("jitter").headers(2, deadline=1_790_000_000.25) == {}


@pytest.mark.parametrize(("value", "seconds"), [(None, 0), ("2", 2), ("-3", 0), ("Thu, 26 Nov 2026 11:00:00 GMT", 0)])
def test_a_retry_after_is_seconds(value, seconds):
    assert retry_after_s(value) == seconds
