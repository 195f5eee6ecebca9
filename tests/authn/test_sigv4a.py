"""SigV4A: AWS's own signer against our reader, the published key, and what a public key alone can check (spec 2.5)."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256

import pytest
from awscrt.auth import (
    AwsCredentialsProvider,
    AwsSignatureType,
    AwsSigningAlgorithm,
    AwsSigningConfig,
    aws_sign_request,
)
from awscrt.http import HttpHeaders, HttpRequest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from stsd.authn import sigv4, sigv4a
from stsd.authn.authenticate import authenticate
from stsd.authn.sigv4 import SigningKeys
from stsd.errors import IncompleteSignature, InvalidClientTokenId, SignatureDoesNotMatch
from stsd.operations.sts import assume_role
from stsd.tokens import key_pairs
from stsd.verifier import Verdict, signed_requests
from stsd.wire.messages import Request
from tests.operations import acting
from tests.world.worlds import ACME, account, role, user, world

KEY_ID, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
BODY = b"Action=GetCallerIdentity&Version=2011-06-15"
NOW = acting.NOW
BOB = f"arn:aws:iam::{ACME}:user/bob"


def sign(
    key_id: str, secret: str, token: str | None = None, *, regions: str = "us-east-1", query: bool = False,
    service: str = "sts", at: float = NOW,
) -> Request:  # fmt: skip
    """A request as the AWS common runtime signs it."""
    given = HttpHeaders([("Host", "sts.test")])
    if not query:
        given.add("Content-Type", "application/x-www-form-urlencoded")
    path = f"/?{BODY.decode()}" if query else "/"
    unsigned = HttpRequest("GET" if query else "POST", path, given)
    config = AwsSigningConfig(
        algorithm=AwsSigningAlgorithm.V4_ASYMMETRIC,
        signature_type=AwsSignatureType.HTTP_REQUEST_QUERY_PARAMS if query else AwsSignatureType.HTTP_REQUEST_HEADERS,
        credentials_provider=AwsCredentialsProvider.new_static(key_id, secret, token),
        region=regions,
        service=service,
        date=datetime.fromtimestamp(at, UTC),
        signed_body_value=sha256(b"" if query else BODY).hexdigest(),
        expiration_in_seconds=60 if query else None,
    )
    signed = aws_sign_request(unsigned, config).result()
    target, _, raw_query = signed.path.partition("?")
    headers = CIMultiDict(list(signed.headers))
    return Request(signed.method, target, raw_query, headers, b"" if query else BODY, "id")


def read(request: Request) -> sigv4.Signature:
    return sigv4.read(request, NOW)


def check(request: Request, secret: str = SECRET, region: str = "us-east-1") -> None:
    signature = read(request)
    sigv4.check_scope(signature, service="sts", regions=(region,))
    sigv4.verify(request, signature, secret, SigningKeys())


def test_the_published_key_is_derived():
    private = key_pairs.derive(KEY_ID, SECRET).private_numbers()
    assert f"{private.private_value:064x}" == "7efc8c0e65a324242818c5a50c891c6060b6a00717b7ba3cbe3c5d765be9259c"
    public = private.public_numbers
    assert f"{public.x:064x}" == "b6618f6a65740a99e650b33b6b4b5bd0d43b176d721a3edfea7e7d2d56d936b1"
    assert f"{public.y:064x}" == "865ed22a7eadc9c5cb9d2cbaca1b3699139fedc5043dc6661864218330c8e518"


@pytest.mark.parametrize("query", [False, True], ids=["header", "presigned"])
@pytest.mark.parametrize("token", [None, "TOKEN/+="])
def test_what_the_common_runtime_signs_is_accepted(query, token):
    request = sign(KEY_ID, SECRET, token, query=query)
    assert read(request).session_token == token
    check(request)
    with pytest.raises(SignatureDoesNotMatch, match="The request signature we calculated does not match"):
        check(request, SECRET[:-1] + "Z")


def test_a_signature_is_of_its_body_its_time_and_its_regions_only():
    request = sign(KEY_ID, SECRET)
    request.body = BODY.replace(b"CallerIdentity", b"SessionToken")
    with pytest.raises(SignatureDoesNotMatch):
        check(request)
    request = sign(KEY_ID, SECRET)
    request.headers["X-Amz-Region-Set"] = "*"
    with pytest.raises(SignatureDoesNotMatch, match="The request signature we calculated"):
        check(request, region="eu-west-1")


@pytest.mark.parametrize(
    ("regions", "region", "covered"),
    [
        ("*", "eu-west-1", True),
        ("us-*", "us-east-1", True),
        ("us-*", "eu-west-1", False),
        ("eu-west-1, us-east-1", "us-east-1", True),
        ("us-east-?", "us-east-1", False),
        ("", "us-east-1", False),
        (",", "us-east-1", False),
        ("us-east-10", "us-east-1", False),
    ],
)
def test_the_region_set_names_regions_with_a_star_as_wildcard(regions, region, covered):
    assert sigv4a.covers(regions, region) is covered


def test_another_region_is_a_wrong_scope():
    with pytest.raises(SignatureDoesNotMatch, match=r"^Credential should be scoped to a valid region\. $"):
        check(sign(KEY_ID, SECRET, regions="eu-*"))
    with pytest.raises(
        SignatureDoesNotMatch, match=r"valid region\. Credential should be scoped to correct service: 'sts'"
    ):
        check(sign(KEY_ID, SECRET, regions="eu-*", service="s3"))


def test_a_region_set_that_is_not_signed_names_no_region():
    request = sign(KEY_ID, SECRET)
    authorization = request.headers["Authorization"]
    request.headers["Authorization"] = authorization.replace("x-amz-region-set", "x-amz-other")
    with pytest.raises(SignatureDoesNotMatch, match="valid region"):
        check(request)


def test_a_credential_with_a_region_is_incomplete():
    request = sign(KEY_ID, SECRET)
    authorization = request.headers["Authorization"]
    request.headers["Authorization"] = authorization.replace("/sts/", "/us-east-1/sts/")
    with pytest.raises(IncompleteSignature, match="Credential must have exactly 4 slash-delimited elements"):
        read(request)


def test_a_signature_is_spelt_in_lower_case_hex_and_in_no_other_way():
    private = key_pairs.derive(KEY_ID, SECRET)
    spelt = private.sign(b"signed", ec.ECDSA(hashes.SHA256())).hex()
    assert sigv4a.is_signed(private.public_key(), spelt, b"signed")
    for other in (spelt.upper(), f" {spelt}", f"{spelt[:2]} {spelt[2:]}", f"{spelt}\n", f"{spelt}00"):
        assert not sigv4a.is_signed(private.public_key(), other, b"signed")


@given(st.text(alphabet="0123456789abcdefABCDEF -\u00e9", max_size=150))
def test_any_text_but_the_signature_is_refused(text):
    public = key_pairs.derive(KEY_ID, SECRET).public_key()
    assert not sigv4a.is_signed(public, text, b"signed")


@pytest.fixture
def view(entropy):
    document = world(
        account(Users=[user("bob")], Roles=[role(principal=BOB, ConfirmationKey=True), role("plain", BOB)])
    )
    return acting.view_of(document, entropy)


def assume(view, name: str):
    call = acting.call("AssumeRole", RoleArn=f"arn:aws:iam::{ACME}:role/{name}", RoleSessionName="s1")
    return assume_role.run(call, acting.user(view, BOB), acting.request(), view, acting.NOW).credentials


def test_a_session_token_signs_in_several_regions_unless_it_is_of_version_1(view):
    issued = assume(view, "deploy")
    request = sign(issued.access_key_id, issued.secret_access_key, issued.session_token, regions="us-*,eu-west-1")
    assert authenticate(request, view, SigningKeys(), NOW, NOW).session is not None
    view.region = "eu-west-1"
    assert authenticate(request, view, SigningKeys(), NOW, NOW).session is not None

    request_of_version_1 = acting.request()
    request_of_version_1.endpoint = "global"
    call = acting.call("AssumeRole", RoleArn=f"arn:aws:iam::{ACME}:role/deploy", RoleSessionName="s1")
    old = assume_role.run(call, acting.user(view, BOB), request_of_version_1, view, acting.NOW).credentials
    request = sign(old.access_key_id, old.secret_access_key, old.session_token, regions="*")
    with pytest.raises(InvalidClientTokenId):
        authenticate(request, view, SigningKeys(), NOW, NOW)


def test_a_resource_server_checks_a_request_with_the_key_in_the_token(view):
    issued = assume(view, "deploy")
    request = sign(issued.access_key_id, issued.secret_access_key, issued.session_token, service="s3")
    sent = ("POST", "/", list(request.headers.items()))
    token = signed_requests.session_token_of(*sent, NOW)
    assert token == issued.session_token
    verdict = Verdict(active=True, session=view.tokens.open(token).session)

    def check(verdict: Verdict, body: bytes = BODY, region: str = "us-east-1") -> None:
        signed_requests.check(verdict, *sent, body, service="s3", region=region, now=NOW)

    check(verdict)
    for wrong in ({"body": BODY + b"&x=y"}, {"region": "eu-west-1"}):
        with pytest.raises(SignatureDoesNotMatch):
            check(verdict, **wrong)
    other = view.tokens.open(assume(view, "deploy").session_token).session
    for refused in (Verdict(active=True, session=other), replace(verdict, active=False, reason="revoked")):
        with pytest.raises(InvalidClientTokenId):
            check(refused)


def test_only_roles_that_ask_for_it_have_a_key_in_their_tokens(view):
    issued = assume(view, "plain")
    session = view.tokens.open(issued.session_token).session
    assert session.confirmation is None
    request = sign(issued.access_key_id, issued.secret_access_key, issued.session_token, service="s3")
    with pytest.raises(InvalidClientTokenId) as caught:
        signed_requests.check(
            Verdict(active=True, session=session), "POST", "/", list(request.headers.items()), BODY,
            service="s3", region="us-east-1", now=NOW,
        )  # fmt: skip
    assert caught.value.reason == "no_confirmation_key"
    jwk = json.loads(view.tokens.open(assume(view, "deploy").session_token).claims)["cnf"]["jwk"]
    assert {**jwk, "x": len(jwk["x"]), "y": len(jwk["y"])} == {"kty": "EC", "crv": "P-256", "x": 43, "y": 43}
