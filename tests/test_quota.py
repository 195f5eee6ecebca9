"""The token buckets of accounts (spec 5.5)."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stsd.errors import Throttling
from stsd.node import Node
from stsd.quota import COUNTED, Quota
from tests.authn import requests
from tests.conftest import seeded
from tests.operations import acting
from tests.operations.acting import NOW
from tests.world.worlds import ACME, GLOBEX, KEY_OF_ACME, account, key, role, user, world


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


KEY_OF_GLOBEX = "AKIAWO645SY5OAAAAAAA"
WORLD = world(
    account(Users=[user("bob", Administrator=True, AccessKeys=[key()])]),
    account(GLOBEX, Users=[user("erin", AccessKeys=[key(KEY_OF_GLOBEX)])], Roles=[role(principal=ACME)]),
)
ASSUME = {"Action": "AssumeRole", "RoleArn": f"arn:aws:iam::{GLOBEX}:role/deploy", "RoleSessionName": "s1"}
WHO = {"Action": "GetCallerIdentity"}


def codes(node: Node, access_key_id: str, *calls: dict[str, str]) -> list[str]:
    """What becomes of calls that come at once: their codes."""
    signer = {"access_key_id": access_key_id, "secret_access_key": "x" * 40}
    forms = [urlencode({"Version": "2011-06-15", **call}).encode() for call in calls]
    answers = [node.respond(requests.signed(body=form, **signer), NOW, NOW) for form in forms]
    return [answer.code for answer in answers if answer is not None]


def test_the_account_that_calls_pays_and_not_that_of_the_role():
    node = Node(acting.view_of(WORLD, seeded(1)), b"k" * 32, quota=Quota(1))
    assert codes(node, KEY_OF_ACME, ASSUME, WHO) == ["", "Throttling"]
    assert codes(node, KEY_OF_GLOBEX, WHO, WHO) == ["", "Throttling"]


def test_what_is_refused_counts_too_and_operations_outside_the_quota_do_not():
    node = Node(acting.view_of(WORLD, seeded(1)), b"k" * 32, quota=Quota(1))
    outside = {"Action": "GetWebIdentityToken"}
    assert codes(node, KEY_OF_ACME, outside, outside, WHO, outside) == ["ValidationError"] * 2 + ["", "ValidationError"]
    for action in sorted(COUNTED):
        assert codes(node, KEY_OF_ACME, {"Action": action}) == ["Throttling"]
    assert codes(node, KEY_OF_GLOBEX, {"Action": "AssumeRole"}, WHO) == ["ValidationError", "Throttling"]


def test_the_operations_that_share_the_quota_are_those_of_the_specification():
    names = (
        "AssumeRole DecodeAuthorizationMessage GetAccessKeyInfo GetCallerIdentity GetFederationToken GetSessionToken"
    )
    assert set(names.split()) == COUNTED
