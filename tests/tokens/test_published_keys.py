"""The public halves of token keys: enough to verify, and nothing else."""

import pytest

from stsd.tokens import published_keys, session_token
from stsd.tokens.keyset import new_key_set
from stsd.tokens.session_token import TokenError
from tests.tokens.test_session_token import SESSION


def test_the_jwks_verifies_what_the_token_keys_signed(keys):
    published = published_keys.read(keys.jwks())
    session, _ = session_token.verify(session_token.sign(SESSION, keys.active), published)
    assert (session.principal, session.key_id) == (SESSION.principal, keys.active.kid)


def test_a_token_of_another_cluster_has_an_unknown_key(keys, now):
    other = new_key_set(lambda n: b"\7" * n, now)
    with pytest.raises(TokenError, match="unknown_key"):
        session_token.verify(session_token.sign(SESSION, other.active), published_keys.read(keys.jwks()))


def test_a_detached_signature_holds_for_its_key_and_message_only(keys):
    published = published_keys.read(keys.jwks())
    active, prepared = keys.active, next(key for key in keys.keys if key.state == "prepared")
    signature = active.sign(b"message")
    assert published.signed(active.kid, b"message", signature)
    assert not published.signed(active.kid, b"messages", signature)
    assert not published.signed(prepared.kid, b"message", signature)
    assert not published.signed("other", b"message", signature)
    assert not published.signed(active.kid, b"message", signature[:-1])
    assert not published.signed(active.kid, b"message", b"")


def test_keys_of_another_type_are_skipped(keys):
    rsa = {"kty": "RSA", "kid": "r", "n": "AQAB", "e": "AQAB"}
    assert published_keys.read({"keys": [rsa, *keys.jwks()["keys"]]}).by_kid.keys() == keys.by_kid.keys()


@pytest.mark.parametrize(
    "jwks",
    [
        None, [], {}, {"keys": 1}, {"keys": []}, {"keys": [1]}, {"keys": [{"kty": "RSA"}]},
        {"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "k", "x": "AAAA"}]},
        {"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": 1, "x": "A" * 43}]},
        {"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "k"}]},
    ],
)  # fmt: skip
def test_what_is_no_key_set_is_refused(jwks):
    with pytest.raises(ValueError, match="JWKS"):
        published_keys.read(jwks)
