"""GetWebIdentityToken: what it refuses, what the token says, and that discovery leads to its keys (spec 3.11)."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from stsd.errors import (
    AccessDenied,
    InvalidAction,
    InvalidParameterValue,
    JWTPayloadSizeExceededException,
    OutboundWebIdentityFederationDisabledException,
    SessionDurationEscalationException,
    ValidationError,
)
from stsd.node import Node
from stsd.operations import find
from stsd.operations.sts import assume_role, get_web_identity_token
from stsd.principal import Caller
from stsd.view import View
from tests.operations import acting
from tests.world.worlds import ACME, GLOBEX, Entropy, account, allow, role, user, world

BOB = f"arn:aws:iam::{ACME}:user/bob"
WORLD = world(
    account(
        OutboundWebIdentityFederation=True,
        Users=[
            user("bob", Tags={"Dept": "hr"}, Policies={"all": allow("*")}),
            user("dave", Policies={"t": allow("sts:GetWebIdentityToken")}),
            user("eve"),
        ],
        Roles=[role(principal=BOB, Path="/ops/", Policies={"all": allow("*")}, Tags={"Dept": "x", "Tier": "1"})],
    ),
    account(GLOBEX, Users=[user("erin", Policies={"all": allow("*")})]),
)
WORLD["Accounts"][0]["Roles"][0]["AssumeRolePolicyDocument"]["Statement"][0]["Action"] = [
    "sts:AssumeRole",
    "sts:TagSession",
    "sts:SetSourceIdentity",
]


@pytest.fixture(scope="module")
def view():
    return acting.view_of(WORLD, Entropy())


def caller(view: View, name: str, account_id: str = ACME) -> Caller:
    return acting.user(view, f"arn:aws:iam::{account_id}:user/{name}")


def ask(view: View, who: Caller, **more: str) -> get_web_identity_token.Result:
    sent = {"Audience.member.1": "https://api.example.com", "SigningAlgorithm": "ES384", **more}
    call = acting.call("GetWebIdentityToken", **sent)
    return get_web_identity_token.run(call, who, acting.request(), view, acting.NOW)


def published(view: View, name: str) -> dict:
    issuer = view.directory.accounts[ACME].token_issuer
    assert issuer is not None
    request = acting.request()
    request.method, request.path = "GET", f"/{issuer.id}/.well-known/{name}"
    answer = Node(view, b"k" * 32).respond(request, acting.NOW, acting.NOW)
    assert answer.status == 200
    return json.loads(answer.body)


def claims_of(view: View, token: str, algorithm: str = "ES384") -> dict:
    """As a relying party reads a token: with the keys that discovery leads to and nothing else."""
    configuration, keys = published(view, "openid-configuration"), published(view, "jwks.json")
    assert algorithm in configuration["id_token_signing_alg_values_supported"]
    assert configuration["jwks_uri"] == configuration["issuer"] + "/.well-known/jwks.json"
    decoded = jwt.decode(token, KeySet.import_key_set(keys), algorithms=[algorithm])
    assert decoded.claims["iss"] == configuration["issuer"]
    return decoded.claims


@pytest.mark.parametrize("algorithm", ["RS256", "ES384"])
def test_a_relying_party_verifies_the_token_through_discovery(view, algorithm):
    result = ask(view, caller(view, "bob"), SigningAlgorithm=algorithm)
    claims = claims_of(view, result.token, algorithm)
    assert claims["iss"].startswith("https://sts.test/")
    assert (claims["sub"], claims["aud"]) == (BOB, "https://api.example.com")
    assert (claims["iat"], claims["exp"]) == (int(acting.NOW), result.expiration) == (acting.NOW, acting.NOW + 300)
    assert claims["https://sts.amazonaws.com/"] == {
        "aws_account": ACME, "source_region": "us-east-1", "principal_id": BOB, "principal_tags": {"Dept": "hr"},
    }  # fmt: skip


def test_keys_are_published_without_their_private_parts(view):
    keys = {key["kid"]: key for key in published(view, "jwks.json")["keys"]}
    assert "alg" not in keys["RSA_0"]
    assert keys["EC384_0"]["alg"] == "ES384"
    assert not {"d", "p", "q"} & (keys["RSA_0"].keys() | keys["EC384_0"].keys())


def test_the_token_of_a_session_tells_the_role_with_its_path_and_what_the_session_carries(view):
    call = acting.call(
        "AssumeRole", RoleArn=f"arn:aws:iam::{ACME}:role/ops/deploy", RoleSessionName="s1", SourceIdentity="bob",
        Tags__member__1__Key="dept", Tags__member__1__Value="eng",
    )  # fmt: skip
    issued = assume_role.run(call, caller(view, "bob"), acting.request(), view, acting.NOW).credentials
    session = acting.session(view, issued.session_token)
    sent = {"Audience.member.2": "b", "Tags.member.1.Key": "aws:job", "Tags.member.1.Value": "7"}
    claims = claims_of(view, ask(view, session, DurationSeconds="3600", **sent).token)
    assert claims["sub"] == f"arn:aws:iam::{ACME}:role/ops/deploy"
    assert claims["aud"] == ["https://api.example.com", "b"]
    told = claims["https://sts.amazonaws.com/"]
    assert told["principal_tags"] == {"Tier": "1", "dept": "eng"}
    assert told["request_tags"] == {"aws:job": "7"}
    assert told["source_identity"] == "bob"
    assert told["original_session_exp"].endswith("Z")
    assert "federated_provider" not in told
    assert session.session is not None
    provider = f"arn:aws:iam::{ACME}:saml-provider/corp"
    vouched = replace(session, session=replace(session.session, provider=provider))
    assert claims_of(view, ask(view, vouched).token)["https://sts.amazonaws.com/"]["federated_provider"] == provider


def test_a_token_does_not_outlive_the_session_that_asks_for_it(view):
    call = acting.call(
        "AssumeRole", RoleArn=f"arn:aws:iam::{ACME}:role/ops/deploy", RoleSessionName="s1", DurationSeconds="900"
    )
    issued = assume_role.run(call, caller(view, "bob"), acting.request(), view, acting.NOW).credentials
    session = acting.session(view, issued.session_token)
    assert ask(view, session, DurationSeconds="900").expiration == issued.expiration
    with pytest.raises(SessionDurationEscalationException):
        ask(view, session, DurationSeconds="901")


@pytest.mark.parametrize(
    ("sent", "error", "said"),
    [
        ({"SigningAlgorithm": "HS256"}, ValidationError, "^Requested SigningAlgorithm is not supported. See the"),
        ({"SigningAlgorithm": "RS2"}, ValidationError, "signingAlgorithm"),
        ({"DurationSeconds": "59"}, ValidationError, "greater than or equal to 60"),
        (
            {f"Tags.member.{n}.{f}": v for n, k in ((1, "a"), (2, "A")) for f, v in (("Key", k), ("Value", ""))},
            InvalidParameterValue,
            "^Duplicate tag keys found",
        ),
        (
            {
                f"Tags.member.{n}.{f}": v
                for n in range(1, 51)
                for f, v in (("Key", f"{n}" + "k" * 100), ("Value", "v" * 256))
            },
            JWTPayloadSizeExceededException,
            "14984 bytes",
        ),
    ],
    ids=["algorithm", "algorithm's length", "duration", "tags twice", "payload"],
)
def test_what_is_refused(view, sent, error, said):
    with pytest.raises(error, match=said):
        ask(view, caller(view, "bob"), **sent)


def test_who_is_refused(view):
    said = rf"sts:GetWebIdentityToken on resource: arn:aws:sts::{ACME}:self because no identity-based policy allows"
    with pytest.raises(AccessDenied, match=said):
        ask(view, caller(view, "eve"))
    tagged = {"Tags.member.1.Key": "a", "Tags.member.1.Value": ""}
    ask(view, caller(view, "dave"))
    with pytest.raises(AccessDenied, match=r"sts:TagGetWebIdentityToken"):
        ask(view, caller(view, "dave"), **tagged)
    with pytest.raises(
        OutboundWebIdentityFederationDisabledException, match=r"OutboundWebIdentityFederation is disabled."
    ):
        ask(view, caller(view, "erin", GLOBEX))


def test_policies_can_tell_what_is_asked_for(entropy):
    policy = allow("sts:*")
    policy["Statement"][0]["Condition"] = {
        "ForAllValues:StringEquals": {"sts:IdentityTokenAudience": ["a", "b"], "aws:TagKeys": ["job"]},
        "StringEquals": {"sts:SigningAlgorithm": "ES384", "aws:RequestTag/job": "7"},
        "NumericLessThanEquals": {"sts:DurationSeconds": "60"},
    }
    made = account(OutboundWebIdentityFederation=True, Users=[user("bob", Policies={"some": policy})])
    view = acting.view_of(world(made), entropy)
    good = {"Audience.member.1": "a", "DurationSeconds": "60", "Tags.member.1.Key": "job", "Tags.member.1.Value": "7"}
    ask(view, caller(view, "bob"), **good)
    for wrong in (
        {"Audience.member.2": "c"},
        {"SigningAlgorithm": "RS256"},
        {"DurationSeconds": "61"},
        {"Tags.member.1.Value": "8"},
        {"Tags.member.2.Key": "more", "Tags.member.2.Value": ""},
    ):
        with pytest.raises(AccessDenied):
            ask(view, caller(view, "bob"), **good | wrong)


def test_the_global_endpoint_does_not_have_it():
    with pytest.raises(InvalidAction, match=r"^Operation not supported on STS global endpoint$"):
        find(acting.call("GetWebIdentityToken"), "global")
    with pytest.raises(InvalidAction, match=r"^Unknown Operation$"):
        find(acting.call("AssumeRoot"), "global")


def test_an_issuer_that_is_none_is_not_found(view):
    request = acting.request()
    request.method, request.path = "GET", "/00000000-0000-4000-8000-000000000000/.well-known/jwks.json"
    assert Node(view, b"k" * 32).respond(request, acting.NOW, acting.NOW).status == 404
