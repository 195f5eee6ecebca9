"""The condition keys that say who asks, and with what (spec 4.7): there, or absent, as policies rely on it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from multidict import CIMultiDict

from stsd.authz import context
from stsd.operations import OPERATIONS
from stsd.principal import Caller
from stsd.view import View
from tests.conftest import seeded
from tests.operations import acting
from tests.operations.acting import NOW
from tests.world.worlds import ACME, account, allow, key, role, user, world

BOB, ROOT = f"arn:aws:iam::{ACME}:user/team/bob", f"arn:aws:iam::{ACME}:root"
DEPLOY = f"arn:aws:iam::{ACME}:role/ops/deploy"
WORLD = world(
    account(
        RootAccessKeys=[key()],
        Users=[user("bob", Path="/team/", Policies={"all": allow("*")})],
        Roles=[role(principal=BOB, Path="/ops/")],
    )
)
CALLS = {
    "GetSessionToken": {},
    "GetFederationToken": {"Name": "ann"},
    "AssumeRole": {"RoleArn": DEPLOY, "RoleSessionName": "s1"},
}


@pytest.fixture
def view() -> View:
    return acting.view_of(WORLD, seeded(1))


def session(view: View, maker: str, action: str) -> Caller:
    call = acting.call(action, **CALLS[action])
    issued = OPERATIONS["sts", action].run(call, acting.user(view, maker), acting.request(), view, NOW)
    return acting.session(view, issued.credentials.session_token)  # type: ignore[union-attr]


def keys_of(view: View, caller: Caller, after_s: int = 60) -> context.Context:
    return context.build(acting.request(), caller, view, NOW + after_s)


@pytest.mark.parametrize("who", [BOB, ROOT])
def test_long_term_keys_have_neither_an_instant_of_issue_nor_a_word_on_mfa(view, who):
    keys = keys_of(view, acting.user(view, who))
    assert not {"aws:tokenissuetime", "aws:multifactorauthpresent", "aws:multifactorauthage"} & keys.keys()


@pytest.mark.parametrize(
    ("maker", "action"),
    [*((BOB, action) for action in CALLS), (ROOT, "GetSessionToken"), (ROOT, "GetFederationToken")],
)
def test_every_session_has_its_instant_of_issue_and_says_that_no_mfa_was_used(view, maker, action):
    keys = keys_of(view, session(view, maker, action))
    assert keys["aws:tokenissuetime"] == "2026-11-23T12:00:00Z"
    assert keys["aws:currenttime"] == "2026-11-23T12:01:00Z"
    assert keys["aws:multifactorauthpresent"] == "false"
    assert "aws:multifactorauthage" not in keys


def test_a_caller_has_the_strings_of_its_kind(view):
    bob_id = acting.user(view, BOB).principal.user_id
    role_id = view.directory.roles[DEPLOY].role_id
    ann = f"arn:aws:sts::{ACME}:federated-user/ann"
    told = {
        ("User", BOB, bob_id, "bob"): [acting.user(view, BOB), session(view, BOB, "GetSessionToken")],
        ("Account", ROOT, ACME, None): [acting.user(view, ROOT), session(view, ROOT, "GetSessionToken")],
        ("AssumedRole", DEPLOY, f"{role_id}:s1", None): [session(view, BOB, "AssumeRole")],
        ("FederatedUser", ann, f"{ACME}:ann", None): [session(view, BOB, "GetFederationToken")],
    }
    for strings, callers in told.items():
        for caller in callers:
            keys = keys_of(view, caller)
            names = ("aws:principaltype", "aws:principalarn", "aws:userid", "aws:username")
            assert tuple(keys.get(name) for name in names) == strings
            assert keys["aws:principalaccount"] == ACME


def test_a_request_says_how_and_from_where_it_came(view):
    plain = acting.request()
    plain.source_ip = "192.0.2.7"
    secure = replace(plain, secure=True, endpoint="global")
    bob, view.region = acting.user(view, BOB), "eu-west-1"
    for request, transport, region in ((plain, "false", "eu-west-1"), (secure, "true", "us-east-1")):
        keys = context.build(request, bob, view, NOW)
        assert (keys["aws:securetransport"], keys["aws:requestedregion"]) == (transport, region)
        assert keys["aws:sourceip"] == "192.0.2.7"
        assert not {"aws:useragent", "aws:referer"} & keys.keys()
    plain.headers = CIMultiDict({"User-Agent": "agent/1", "Referer": "https://example.com/"})
    keys = context.build(plain, bob, view, NOW)
    assert (keys["aws:useragent"], keys["aws:referer"]) == ("agent/1", "https://example.com/")
