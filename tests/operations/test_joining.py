"""A node that joins and has not caught up once refuses whoever shows a credential: any may be revoked."""

from __future__ import annotations

import orjson
import pytest
from multidict import CIMultiDict

from stsd.node import Decided, Node
from stsd.wire.messages import Request
from tests.conftest import NOW
from tests.operations.test_when_stale import call, node, signed

REVOCATION = '{"access_key_id":"ASIARTX3GSDSQAAAAAAA"}'


def verify(node: Node, token: str):
    request = Request("POST", "/v1/verify", "", CIMultiDict(), orjson.dumps({"token": token}), "id")
    request.source_ip = "127.0.0.1"
    return node.respond(request, NOW, NOW)


def revoke(node: Node):
    return node.decide_revocation(signed(NOW, REVOCATION, "/v1/revocations", "application/json"), NOW, NOW)


@pytest.fixture
def joining() -> Node:
    found = node()
    found.view.replica.joined = False
    return found


@pytest.mark.parametrize(
    "asked",
    [
        lambda node: call(node, "GetCallerIdentity", 0),
        lambda node: call(node, "GetSessionToken", 0),
        lambda node: verify(node, "x.y.z"),
        revoke,
    ],
    ids=["GetCallerIdentity", "GetSessionToken", "verify", "revoke"],
)
def test_what_shows_a_credential_waits_until_the_node_has_caught_up(joining, asked):
    refused = asked(joining)
    assert (refused.status, refused.event["reason"]) == (503, "not_joined")
    assert b"ServiceUnavailable" in refused.body
    joining.view.replica.joined = True
    answered = asked(joining)
    assert isinstance(answered, Decided) or answered.status == 200


def test_the_keys_are_published_all_the_same(joining):
    request = Request("GET", "/.well-known/jwks.json", "", CIMultiDict(), b"", "id")
    assert joining.respond(request, NOW, NOW).status == 200
