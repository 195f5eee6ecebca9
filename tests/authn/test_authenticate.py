"""Who is calling: the checks of specification 2.4, each where its order has it, and the endpoint's scope (2.2.4)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from stsd import world as worlds
from stsd.authn.authenticate import authenticate
from stsd.authn.sigv4 import SigningKeys
from stsd.errors import StsError
from stsd.operations.sts import assume_role, get_session_token
from stsd.principal import Caller
from stsd.revocation.revocation_set import Revocation
from stsd.tokens.credentials import Credentials
from stsd.view import View
from stsd.wire.messages import Endpoint, Request
from tests.authn import requests
from tests.conftest import seeded
from tests.operations import acting
from tests.operations.acting import NOW
from tests.world.worlds import ACME, account, key, role, user, world

BOB = f"arn:aws:iam::{ACME}:user/bob"
ACTIVE, INACTIVE = "AKIARTX3GSDSQBBBBBBB", "AKIARTX3GSDSQCCCCCCC"
SECRET, WRONG = "x" * 40, "y" * 40
KEYS = [key(ACTIVE), key(INACTIVE, Status="Inactive")]
WORLD = world(account(Users=[user("bob", AccessKeys=KEYS)], Roles=[role(principal=BOB)]))
LONG_TERM = {"access_key_id": ACTIVE, "secret_access_key": SECRET}


@pytest.fixture
def view() -> View:
    return acting.view_of(WORLD, seeded(1))


def issued(view: View, endpoint: Endpoint = "regional") -> dict[str, Any]:
    """A session of the role, made by BOB with the key ACTIVE, as signing keywords."""
    request = replace(acting.request(), endpoint=endpoint)
    call = acting.call("AssumeRole", RoleArn=f"arn:aws:iam::{ACME}:role/deploy", RoleSessionName="s1")
    bob = Caller(acting.user(view, BOB).principal, ACTIVE)
    return keywords(assume_role.run(call, bob, request, view, NOW).credentials)


def of_the_user(view: View) -> dict[str, Any]:
    call = acting.call("GetSessionToken")
    return keywords(get_session_token.run(call, acting.user(view, BOB), acting.request(), view, NOW).credentials)


def keywords(made: Credentials) -> dict[str, Any]:
    names = ("access_key_id", "secret_access_key", "session_token")
    return {name: getattr(made, name) for name in names}


def judged(view: View, request: Request, now: float = NOW) -> tuple[str, str]:
    """Code and reason of the refusal; empty for a caller who is known. `now` is what moves the expiry of tokens."""
    try:
        authenticate(request, view, SigningKeys(), now, NOW)
    except StsError as error:
        return error.code, error.reason
    return "", ""


def outcome(view: View, signer: dict[str, Any], now: float = NOW, endpoint: Endpoint = "regional") -> tuple[str, str]:
    return judged(view, replace(requests.signed(**signer), endpoint=endpoint), now)


def wrongly(signer: dict[str, Any]) -> dict[str, Any]:
    """The same, signed with another secret."""
    return {**signer, "secret_access_key": WRONG}


def test_the_scope_is_judged_before_the_key_is_looked_up(view):
    unknown = {**LONG_TERM, "access_key_id": "AKIARTX3GSDSQZZZZZZZ"}
    assert outcome(view, unknown) == ("InvalidClientTokenId", "unknown_access_key")
    assert outcome(view, {**unknown, "region": "eu-west-1"}) == ("SignatureDoesNotMatch", "credential_scope")


@pytest.mark.parametrize("token", [None, "a.b.c"])
def test_a_long_term_key_is_judged_before_its_signature_and_any_token(view, token):
    signer = wrongly({**LONG_TERM, "session_token": token})
    inactive = {**signer, "access_key_id": INACTIVE}
    assert outcome(view, inactive) == ("InvalidClientTokenId", "inactive_access_key")
    view.revocations.add(Revocation("access_key", ACTIVE, 0, None), "us-east-1", NOW)
    assert outcome(view, signer) == ("InvalidClientTokenId", "revoked_access_key")


def test_a_temporary_key_wants_its_own_token_unchanged_before_its_signature(view):
    signer, other = issued(view), issued(view)
    changed = signer["session_token"][:-6] + "AAAAAA"
    foreign = issued(acting.view_of(WORLD, seeded(2)))["session_token"]
    refusals = {
        None: "session_token_missing",
        other["session_token"]: "session_token_of_another_key",
        changed: "bad_signature",
        foreign: "unknown_key",
        "a.b.c": "malformed",
    }
    for token, reason in refusals.items():
        for sent in (signer, wrongly(signer)):
            assert outcome(view, {**sent, "session_token": token}) == ("InvalidClientTokenId", reason)
    assert outcome(view, signer) == ("", "")


@pytest.mark.parametrize("service", ["iam", "s3", "STS", ""])
def test_the_scope_is_of_the_service_that_is_asked_and_no_other(view, service):
    for signer in (LONG_TERM, issued(view)):
        assert outcome(view, {**signer, "service": service}) == ("SignatureDoesNotMatch", "credential_scope")
    request = requests.signed(**LONG_TERM, service="iam")
    assert authenticate(request, view, SigningKeys(), NOW, NOW, "iam").principal.arn == BOB


@pytest.mark.parametrize(
    ("kind", "subject", "code"),
    [
        ("access_key", "its own", "InvalidClientTokenId"),
        ("access_key", ACTIVE, "InvalidClientTokenId"),
        ("session", f"arn:aws:sts::{ACME}:assumed-role/deploy/s1", "InvalidClientTokenId"),
        ("role", f"arn:aws:iam::{ACME}:role/deploy", "ExpiredToken"),
        ("account", ACME, "ExpiredToken"),
    ],
)
def test_a_revoked_session_is_told_after_its_expiry_and_before_a_wrong_signature(view, kind, subject, code):
    signer = issued(view)
    subject = signer["access_key_id"] if subject == "its own" else subject
    cutoff_ms = 0 if kind == "access_key" else int(NOW * 1000) + 1
    view.revocations.add(Revocation(kind, subject, cutoff_ms, int(NOW) + 129_600), "us-east-1", NOW)
    for sent in (signer, wrongly(signer)):
        assert outcome(view, sent) == (code, f"revoked_{kind}")
        assert outcome(view, sent, NOW + 3600) == ("ExpiredToken", "expired")


def test_an_expired_token_is_told_before_a_wrong_signature(view):
    signer = issued(view)
    assert outcome(view, signer, NOW + 3599) == ("", "")
    assert outcome(view, signer, NOW + 3600) == ("ExpiredToken", "expired")
    assert outcome(view, wrongly(signer), NOW + 3600) == ("ExpiredToken", "expired")


def test_a_session_whose_role_was_deleted_or_made_anew_is_told_before_a_wrong_signature(view):
    signer = issued(view)
    again = worlds.directory(worlds.materialise(WORLD, seeded(3)))
    (role_arn,) = again.roles
    assert again.roles[role_arn].role_id != view.directory.roles[role_arn].role_id
    for directory in (again, replace(again, roles={}, roles_by_id={})):
        view.directory = directory
        for sent in (signer, wrongly(signer)):
            assert outcome(view, sent) == ("InvalidClientTokenId", "principal_gone")
        assert outcome(view, wrongly(signer), NOW + 3600) == ("ExpiredToken", "expired")


def test_neither_the_key_nor_a_session_of_a_deleted_user_is_of_use(view):
    signer = of_the_user(view)
    assert outcome(view, signer) == ("", "")
    view.directory = worlds.directory(worlds.materialise(world(account()), seeded(4)))
    assert outcome(view, signer) == ("InvalidClientTokenId", "principal_gone")
    assert outcome(view, LONG_TERM) == ("InvalidClientTokenId", "unknown_access_key")


def test_a_wrong_signature_is_told_of_keys_that_hold(view):
    for signer in (LONG_TERM, issued(view), of_the_user(view)):
        assert outcome(view, signer) == ("", "")
        assert outcome(view, wrongly(signer)) == ("SignatureDoesNotMatch", "hmac")


def test_a_surplus_token_is_judged_after_the_signature(view):
    for token in ("a.b.c", of_the_user(view)["session_token"]):
        surplus = {**LONG_TERM, "session_token": token}
        assert outcome(view, wrongly(surplus)) == ("SignatureDoesNotMatch", "hmac")
        assert outcome(view, surplus) == ("InvalidClientTokenId", "surplus_session_token")


def test_the_tokens_version_is_judged_after_the_signature_and_the_region_last(view):
    of_version_1, of_version_2 = issued(view, "global"), issued(view)
    view.region = "af-south-1"
    refusals = [
        (of_version_1, ("InvalidClientTokenId", "token_version")),
        (of_version_2, ("RegionDisabledException", "region_disabled")),
        (LONG_TERM, ("RegionDisabledException", "region_disabled")),
    ]
    for signer, refused in refusals:
        there = {**signer, "region": "af-south-1"}
        assert outcome(view, there) == refused
        assert outcome(view, wrongly(there)) == ("SignatureDoesNotMatch", "hmac")


def test_a_token_that_was_added_after_signing_counts(view):
    signer = issued(view)
    request = requests.signed(**{**signer, "session_token": None})
    request.headers["X-Amz-Security-Token"] = signer["session_token"]  # type: ignore[index]
    assert judged(view, request) == ("", "")


@pytest.mark.parametrize(
    ("region", "endpoint", "scope"),
    [
        ("us-east-1", "regional", "us-east-1"),
        ("eu-west-1", "regional", "eu-west-1"),
        ("us-east-1", "global", "us-east-1"),
        ("eu-west-1", "global", "us-east-1"),
    ],
)
def test_the_scope_is_that_of_the_endpoint_whatever_the_host_is_called(view, region, endpoint, scope):
    view.region = region
    for host in ("sts.amazonaws.com", "sts.us-east-1.amazonaws.com", "sts.eu-west-1.amazonaws.com"):
        for named in ("us-east-1", "eu-west-1", "aws-global"):
            request = requests.signed({"Host": host}, **{**LONG_TERM, "region": named})
            refused = ("", "") if named == scope else ("SignatureDoesNotMatch", "credential_scope")
            assert judged(view, replace(request, endpoint=endpoint)) == refused
