from __future__ import annotations

from random import Random

import pytest

from cluster import retry
from cluster.retry import RetryBudget, hedgeable, repeatable


@pytest.mark.parametrize(
    ("method", "path", "query", "body"),
    [
        ("POST", "/", "", b"Action=GetCallerIdentity&Version=2011-06-15"),
        ("POST", "/", "", b"Version=2011-06-15&Action=AssumeRole&RoleArn=r"),
        ("GET", "/", "Action=GetSessionToken&Version=2011-06-15", b""),
        ("POST", "/", "", b"Action=AssumeRoleWithSAML&SAMLAssertion=a"),
        ("POST", "/", "", b"Action=AssumeRoleWithWebIdentity&WebIdentityToken=t"),
        ("POST", "/", "", b"Action=GetFederationToken&Name=ann"),
        ("POST", "/", "", b"Action=DecodeAuthorizationMessage&EncodedMessage=m"),
        ("POST", "/v1/verify", "", b'{"token":"t"}'),
        ("POST", "/v1/revocations", "", b"{}"),
        ("GET", "/.well-known/jwks.json", "", b""),
        ("HEAD", "/.well-known/openid-configuration", "", b""),
        ("GET", "/0c5e7b1e-6a55-4b8e-9d3b-2f1d5e0a7c11/.well-known/openid-configuration", "", b""),
        ("GET", "/0c5e7b1e-6a55-4b8e-9d3b-2f1d5e0a7c11/.well-known/jwks.json", "", b""),
        ("GET", "/v1/revocations", "after=3", b""),
    ],
)
def test_calls_that_do_no_harm_twice_are_repeatable(method, path, query, body):
    assert repeatable(method, path, query, body)


@pytest.mark.parametrize(
    ("method", "path", "query", "body"),
    [
        ("POST", "/", "", b"Action=GetSessionToken&SerialNumber=s&TokenCode=123456"),
        ("POST", "/", "TokenCode=123456", b"Action=AssumeRole"),
        ("POST", "/", "", b"Action=AssumeRole&Token%43ode=123456"),
        ("POST", "/", "", b"Action=GetDelegatedAccessToken&TradeInToken=t"),
        ("POST", "/", "", b"Action=CreateUser&Version=2010-05-08"),
        ("POST", "/", "", b"Action=CreateUser&Action=GetCallerIdentity"),
        ("POST", "/", "", b"Action=getcalleridentity"),
        ("POST", "/", "", b"\xff\xfe"),
        ("POST", "/", "", b""),
        ("POST", "/v1/authorize", "", b"{}"),
        ("DELETE", "/v1/revocations", "", b""),
        ("POST", "/_test/reset", "", b"{}"),
        ("POST", "/0c5e7b1e-6a55-4b8e-9d3b-2f1d5e0a7c11/.well-known/jwks.json", "", b""),
        ("GET", "/0c5e7b1e/.well-known/jwks.json", "", b""),
        ("GET", "/_test/.well-known/jwks.json", "", b""),
        ("GET", "/0c5e7b1e-6a55-4b8e-9d3b-2f1d5e0a7c11/v1/revocations", "", b""),
    ],
)
def test_what_may_count_twice_or_is_not_understood_is_not_repeated(method, path, query, body):
    assert not repeatable(method, path, query, body)


def test_three_retries_at_a_time_are_always_allowed_and_a_fifth_of_a_big_load():
    budget = RetryBudget()
    assert [budget.take(1) for _ in range(4)] == [True, True, True, False]
    assert budget.take(100)
    budget.done()
    budget.done()
    assert budget.take(1)


def test_a_long_outage_empties_the_bucket_and_successes_fill_it():
    budget = RetryBudget()
    taken = 0
    while budget.take(1):
        budget.done()
        taken += 1
    assert taken == 100
    for _ in range(5):
        budget.succeeded()
    assert budget.take(1)


@pytest.mark.parametrize(
    ("method", "path", "body", "hedged"),
    [
        ("POST", "/", b"Action=GetCallerIdentity", True),
        ("POST", "/", b"Action=GetAccessKeyInfo&AccessKeyId=AKIA", True),
        ("POST", "/v1/verify", b"{}", True),
        ("POST", "/v1/revocations", b"{}", True),
        ("GET", "/.well-known/jwks.json", b"", True),
        ("GET", "/0c5e7b1e-6a55-4b8e-9d3b-2f1d5e0a7c11/.well-known/jwks.json", b"", True),
        ("POST", "/", b"Action=DecodeAuthorizationMessage&EncodedMessage=m", True),
        ("POST", "/", b"Action=AssumeRole", False),
        ("POST", "/", b"Action=AssumeRoleWithWebIdentity&WebIdentityToken=t", False),
        ("POST", "/", b"Action=GetSessionToken", False),
        ("POST", "/", b"Action=GetCallerIdentity&TokenCode=123456", False),
        ("POST", "/", b"\xff", False),
        ("POST", "/v1/authorize", b"{}", False),
        ("DELETE", "/v1/revocations", b"", False),
    ],
)
def test_only_what_reads_or_denies_goes_to_two_regions_at_once(method, path, body, hedged):
    assert hedgeable(method, path, "", body) == hedged


def test_what_a_region_broke_off_is_spread_and_what_nobody_began_is_not():
    pauses = [retry.pause_s(Random(seed), definite=False) for seed in range(200)]
    assert 0 <= min(pauses) < 0.002
    assert retry.JITTER_S * 0.9 < max(pauses) <= retry.JITTER_S
    assert retry.pause_s(Random(1), definite=True) == 0.0


@pytest.mark.parametrize(("left_s", "needs_s", "in_time"), [(None, 9.0, True), (0.2, 0.1, True), (0.1, 0.1, False)])
def test_a_retry_has_to_end_before_the_client_stops_to_wait(left_s, needs_s, in_time):
    assert retry.in_time(left_s, needs_s) is in_time
