"""What a node that may have missed revocations still does: all it did, with short sessions, and it says so.

A node whose peer was never heard of is as stale as it is old, so real time alone makes these nodes stale.
"""

from __future__ import annotations

import time
from base64 import urlsafe_b64decode
from datetime import datetime
from xml.etree import ElementTree

import orjson
import pytest
from multidict import CIMultiDict

from stsd import world as worlds
from stsd.authn import sigv4
from stsd.node import Decided, Node
from stsd.revocation.messages import Origin
from stsd.revocation.replica import Replica
from stsd.revocation.revocation_set import RevocationSet
from stsd.revocation.staleness import Limits
from stsd.tokens.keyset import new_key_set
from stsd.view import LOOK_EVERY_S, View
from stsd.wire.messages import Request
from tests.conftest import NOW, seeded
from tests.revocation.signed import digest, heartbeat
from tests.revocation.signed import node as replica_of
from tests.world.worlds import ACME, KEY_OF_ACME, account, allow, key, role, trust, user, world

NS = "{https://sts.amazonaws.com/doc/2011-06-15/}"
PEER = "eu-west-1"
FRESH = {"NumericLessThan": {"stsd:RevocationStaleness": "60"}}
BOB = f"arn:aws:iam::{ACME}:user/bob"
WORLD = world(
    account(
        Users=[user(AccessKeys=[key()], Administrator=True)],
        Roles=[
            role("deploy", MaxSessionDuration=7200),
            role("careful", RequireFresh=True),
            {"RoleName": "closed", "AssumeRolePolicyDocument": trust(BOB, Condition=FRESH)},
        ],
    )
)


def node(world=WORLD, **limits: float) -> Node:
    entropy = seeded(1)
    directory = worlds.directory(worlds.materialise(world, entropy))
    replica = replica_of(Origin("us-east-1", "1", "0" * 16), (PEER,), NOW)
    view = View("us-east-1", "", directory, new_key_set(entropy, NOW), replica, RevocationSet(), entropy,
                Limits(**limits))  # fmt: skip
    return Node(view, b"r" * 32)


def signed(wall_now: float, body: str, path: str = "/", content_type: str = "application/x-www-form-urlencoded"):
    headers = {"Host": "sts.example", "Content-Type": content_type}
    added = sigv4.sign(
        "POST", path, "", headers, body.encode(), access_key_id=KEY_OF_ACME, secret_access_key="x" * 40,
        region="us-east-1", amz_date=time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(wall_now)),
    )  # fmt: skip
    return Request("POST", path, "", CIMultiDict(headers | added), body.encode(), "id")


def call(node: Node, action: str, after_s: float, **parameters: object):
    """The answer, by a node that heard from nobody for so long. Service time stands still: it is not what counts."""
    form = "&".join(f"{name}={value}" for name, value in parameters.items())
    body = f"Action={action}&Version=2011-06-15&{form}"
    return node.respond(signed(NOW + after_s, body), NOW, NOW + after_s)


def assume(node: Node, name: str, after_s: float, **parameters: object):
    arn = f"arn:aws:iam::{ACME}:role/{name}"
    return call(node, "AssumeRole", after_s, RoleArn=arn, RoleSessionName="session", **parameters)


def lifetime_s(response) -> float:
    """Seconds from NOW to the Expiration that the answer tells; the token says the same."""
    assert response.status == 200, response.body
    root = ElementTree.fromstring(response.body)
    expiration = datetime.fromisoformat(root.findtext(f".//{NS}Expiration")).timestamp()
    token = root.findtext(f".//{NS}SessionToken")
    claims = orjson.loads(b64url(token.split(".")[1]))
    assert claims["exp"] == expiration
    return expiration - NOW


def b64url(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


@pytest.mark.parametrize(("after_s", "granted_s"), [(0, 3600), (10, 3600), (899.9, 3600), (900, 900), (4000, 900)])
def test_after_fifteen_minutes_roles_give_sessions_of_900_seconds_and_say_when_they_end(after_s, granted_s):
    assert lifetime_s(assume(node(), "deploy", after_s)) == granted_s


@pytest.mark.parametrize(("after_s", "granted_s"), [(899.9, 43200), (900, 900)])
def test_the_users_own_sessions_are_short_too(after_s, granted_s):
    assert lifetime_s(call(node(), "GetSessionToken", after_s)) == granted_s


@pytest.mark.parametrize("asked_s", [900, 3600, 7200])
def test_a_duration_that_was_asked_for_is_cut_as_well(asked_s):
    assert lifetime_s(assume(node(), "deploy", 900, DurationSeconds=asked_s)) == 900
    assert lifetime_s(call(node(), "GetSessionToken", 900, DurationSeconds=asked_s)) == 900


def test_what_a_role_never_allows_is_an_error_as_before():
    response = assume(node(), "deploy", 900, DurationSeconds=7201)
    assert (response.status, response.code) == (400, "ValidationError")


def test_a_role_that_requires_freshness_is_refused_as_if_its_trust_policy_said_so():
    fresh = node()
    assert assume(fresh, "careful", 899.9).status == 200
    refused = assume(fresh, "careful", 900)
    missing = assume(fresh, "missing", 900)
    assert (refused.status, refused.code) == (403, "AccessDenied")
    assert refused.event["reason"] == "require_fresh"
    assert refused.body == missing.body.replace(b"role/missing", b"role/careful")
    assert assume(fresh, "deploy", 900).status == 200


def test_a_role_opens_again_when_the_peer_is_heard_of():
    stale = node()
    assert assume(stale, "careful", 1000).status == 403
    sender = Origin(PEER, "1", "0" * 15 + "2")
    stale.view.replica.receive(PEER, digest(sender, {}, {sender: heartbeat(sender, NOW + 1001)}), NOW + 1001)
    assert assume(stale, "careful", 1002).status == 200
    assert lifetime_s(assume(stale, "deploy", 1002)) == 3600


@pytest.mark.parametrize(("after_s", "status"), [(0, 200), (59.9, 200), (60.1, 403)])
def test_a_policy_may_ask_for_freshness(after_s, status):
    assert assume(node(), "closed", after_s).status == status


@pytest.mark.parametrize(("after_s", "allowed"), [(0, True), (61, False)])
def test_the_condition_key_is_there_when_somebody_revokes(after_s, allowed):
    statement = allow("stsd:Revoke")["Statement"][0] | {"Condition": FRESH}
    policies = {"p": {"Version": "2012-10-17", "Statement": [statement]}}
    users = [user(AccessKeys=[key()], Policies=policies), user("admin", Administrator=True)]
    revoking = node(world(account(Users=users)))
    request = signed(NOW + after_s, f'{{"account_id": "{ACME}"}}', "/v1/revocations", "application/json")
    decided = revoking.decide_revocation(request, NOW, NOW + after_s)
    assert isinstance(decided, Decided) == allowed


def test_verifying_and_revoking_go_on():
    stale = node()
    request = Request("POST", "/v1/verify", "", CIMultiDict(), b'{"token": "x"}', "id")
    assert stale.respond(request, NOW, NOW + 5000).body == b'{"active":false,"reason":"malformed"}'
    revoking = signed(NOW + 5000, f'{{"account_id": "{ACME}"}}', "/v1/revocations", "application/json")
    assert isinstance(stale.decide_revocation(revoking, NOW, NOW + 5000), Decided)


def test_the_limits_are_the_views():
    assert lifetime_s(assume(node(soft_s=1, hard_s=2), "deploy", 1.9)) == 3600
    assert lifetime_s(assume(node(soft_s=1, hard_s=2), "deploy", 2)) == 900


def test_staleness_is_worked_out_at_most_every_ten_milliseconds(monkeypatch):
    asked = []
    oldest = Replica.oldest_staleness
    monkeypatch.setattr(Replica, "oldest_staleness", lambda self, now: asked.append(now) or oldest(self, now))
    view = node().view
    for moment in range(100):
        view.look(NOW + moment / 1000)
    assert len(asked) <= 0.1 / LOOK_EVERY_S + 1
    view.look(NOW - 60)  # a clock that was set back is followed at once
    assert asked[-1] == NOW - 60


@pytest.mark.parametrize(
    ("options", "wait_s", "tell"),
    [
        ({}, None, False),
        ({"wait": "none"}, None, True),
        ({"wait": "all"}, 2.0, True),
        ({"wait": "all", "timeout_s": 0.1}, 0.1, True),
        ({"wait": "all", "timeout_s": 30}, 30.0, True),
    ],
)
def test_a_revocation_says_for_whom_it_waits(options, wait_s, tell):
    decided = node().decide_revocation(revoking(options), NOW, NOW)
    assert isinstance(decided, Decided)
    assert (decided.wanted.wait_s, decided.wanted.tell) == (wait_s, tell)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"wait": "some"}, "wait"),
        ({"wait": True}, "wait"),
        ({"wait": None}, "wait"),
        ({"wait": ["all"]}, "wait"),
        ({"wait": "all", "timeout_s": 0.09}, "timeout_s"),
        ({"wait": "all", "timeout_s": 30.1}, "timeout_s"),
        ({"wait": "all", "timeout_s": "2"}, "timeout_s"),
        ({"wait": "all", "timeout_s": True}, "timeout_s"),
        ({"wait": "all", "timeout_s": None}, "timeout_s"),
        ({"timeout_s": 2}, "timeout_s"),
        ({"wait": "none", "timeout_s": 2}, "timeout_s"),
    ],
)
def test_a_wait_that_is_none_is_refused_by_name(options, named):
    refused = node().decide_revocation(revoking(options), NOW, NOW)
    assert not isinstance(refused, Decided)
    assert refused.status == 400
    assert orjson.loads(refused.body)["error"]["message"].startswith(f"{named} ")


def revoking(options: dict[str, object]) -> Request:
    body = orjson.dumps({"account_id": ACME} | options).decode()
    return signed(NOW, body, "/v1/revocations", "application/json")
