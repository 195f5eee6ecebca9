from __future__ import annotations

from urllib.parse import parse_qs

import pytest
from multidict import CIMultiDict

from loadtest.places import Key, RoleProfile
from loadtest.signer import (
    Signer,
    assume_role_body,
    get_caller_identity_body,
    session_token_of,
    unsigned_post,
    verify_body,
)
from stsd.authn import sigv4
from stsd.errors import SignatureDoesNotMatch
from stsd.wire.messages import Request

KEY = Key("AKIAEXAMPLE", "secret", None)
ROLE = RoleProfile("arn:aws:iam::111122223333:role/r", "books & more", KEY)
URL = "http://127.0.0.1:8702"


def received(raw: bytes) -> Request:
    """The request as a server reads it."""
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    method, path, _ = first.split(" ")
    headers = CIMultiDict(line.split(": ", 1) for line in lines)
    assert int(headers["content-length"]) == len(body)
    return Request(method, path, "", headers, body, "id")


@pytest.mark.parametrize("key", [KEY, Key("ASIAEXAMPLE", "secret", "token")])
@pytest.mark.parametrize("body", [assume_role_body(ROLE, "s"), get_caller_identity_body()])
def test_a_node_accepts_what_was_signed(key, body, now):
    request = received(Signer(key, "eu-west-1", URL).request(body, now))
    signature = sigv4.read(request, now)
    sigv4.check_scope(signature, service="sts", regions=("eu-west-1",))
    sigv4.verify(request, signature, "secret", sigv4.SigningKeys())
    assert signature.session_token == key.session_token


def test_every_request_is_signed_for_itself(now):
    signer = Signer(KEY, "eu-west-1", URL)
    assert signer.request(get_caller_identity_body(), now) != signer.request(get_caller_identity_body(), now + 1)
    moved = received(signer.request(assume_role_body(ROLE, "one"), now).replace(b"=one", b"=two"))
    with pytest.raises(SignatureDoesNotMatch):
        sigv4.verify(moved, sigv4.read(moved, now), "secret", sigv4.SigningKeys())


def test_an_external_id_is_sent_when_the_role_has_one():
    assert parse_qs(assume_role_body(ROLE, "s").decode())["ExternalId"] == ["books & more"]
    plain = RoleProfile(ROLE.role_arn, "", KEY)
    assert "ExternalId" not in parse_qs(assume_role_body(plain, "s").decode())


def test_verify_is_not_signed():
    request = received(unsigned_post(URL, "/v1/verify", verify_body("abc")))
    assert (request.path, request.body) == ("/v1/verify", b'{"token":"abc"}')
    assert "authorization" not in request.headers


def test_the_session_token_is_found_in_an_answer():
    assert session_token_of(b"<a><SessionToken>abc</SessionToken></a>") == "abc"
    with pytest.raises(ValueError, match="no session token"):
        session_token_of(b"<Error/>")


def test_secrets_stay_out_of_reprs():
    assert "secret" not in repr(Signer(Key("AKIA", "secret", "secret-token"), "r", URL))
