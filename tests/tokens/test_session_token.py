"""Session tokens: what a node signs, any node of the cluster opens, and nothing else does."""

from __future__ import annotations

import random
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import replace

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws
from joserfc.errors import SecurityWarning
from joserfc.jwk import KeySet as JoseKeySet

from stsd.principal import Ancestor, Principal, Session
from stsd.tokens import session_token
from stsd.tokens.keyset import KeySet, new_key_set, token_key
from stsd.tokens.session_token import TokenError

NOW = 1_795_435_200.0
ROLE = Principal(
    kind="assumed_role",
    account="111122223333",
    arn="arn:aws:sts::111122223333:assumed-role/ops/alice-1",
    user_id="AROARTX3GSDSQEXAMPLE3:alice-1",
    policy_arn="arn:aws:iam::111122223333:role/team/ops",
    unique_id="AROARTX3GSDSQEXAMPLE3",
    name="ops",
)
SESSION = Session(
    access_key_id="ASIARTX3GSDSQEXAMPL2",
    principal=ROLE,
    token_id="abcdefghij",
    key_id="",
    issuer="http://127.0.0.1:8700",
    region="eu-west-1",
    issued_at_ms=1_795_435_200_123,
    expires_at=1_795_438_800,
    ancestors=(Ancestor("AKIARTX3GSDSQEXAMPLE", "arn:aws:iam::111122223333:user/alice", 0, ""),),
    session_policies=('{"Statement":[]}',),
    source_identity="alice",
)


def reason(token: str, keys: KeySet) -> str:
    with pytest.raises(TokenError) as refused:
        session_token.verify(token, keys)
    return refused.value.reason


def part(content: object) -> str:
    return urlsafe_b64encode(orjson.dumps(content)).rstrip(b"=").decode()


@given(st.integers(0, 5_000))
def test_a_token_is_made_as_long_as_it_has_to_be_and_says_the_same(least):
    keys = new_key_set(random.Random(1).randbytes, NOW)
    token, plain = session_token.sign(SESSION, keys.active, least), session_token.sign(SESSION, keys.active)
    assert least <= len(token) <= max(len(plain) + 18, least + 1)
    assert token == plain or len(plain) < least
    assert session_token.verify(token, keys)[0] == replace(SESSION, key_id=keys.active.kid)


def test_a_signed_session_comes_back_as_it_was(keys):
    token = session_token.sign(SESSION, keys.active)
    session, claims = session_token.verify(token, keys)
    assert session == replace(SESSION, key_id=keys.active.kid)
    assert orjson.loads(claims)["iat"] == 1_795_435_200
    assert orjson.loads(claims)["iat_ms"] == 1_795_435_200_123


def test_the_session_of_a_user_comes_back_as_it_was(keys):
    arn = "arn:aws:iam::111122223333:user/team/bob"
    user = Principal("user", "111122223333", arn, "AIDARTX3GSDSQEXAMPLE1", arn, "AIDARTX3GSDSQEXAMPLE1", "bob")
    session = replace(SESSION, principal=user, session_policies=(), source_identity="", mfa_at=12)
    opened, _ = session_token.verify(session_token.sign(session, keys.active), keys)
    assert opened == replace(session, key_id=keys.active.kid)


def test_a_jose_library_with_the_published_keys_verifies_it(keys):
    token = session_token.sign(SESSION, keys.active)
    with pytest.warns(SecurityWarning, match="RFC 9864"):  # it prefers the newer name Ed25519 for the same algorithm
        opened = jws.deserialize_compact(token, JoseKeySet.import_key_set(keys.jwks()), algorithms=["EdDSA"])
    assert orjson.loads(opened.payload)["sub"] == ROLE.arn


def test_a_token_under_the_prepared_key_opens_before_that_key_is_active(keys):
    prepared = next(key for key in keys.keys if key.state == "prepared")
    assert session_token.verify(session_token.sign(SESSION, prepared), keys)[0].key_id == prepared.kid


def test_a_token_of_another_cluster_has_an_unknown_key(keys):
    other = new_key_set(lambda n: b"\7" * n, NOW)
    assert reason(session_token.sign(SESSION, other.active), keys) == "unknown_key"


def test_what_is_no_token_at_all_is_malformed_whatever_its_header_says(keys):
    other = new_key_set(lambda n: b"\7" * n, NOW)
    header, _, signature = session_token.sign(SESSION, other.active).split(".")
    assert reason(f"{header}.AAAA.{signature}", keys) == "malformed"


def test_a_changed_payload_has_a_bad_signature(keys):
    header, payload, signature = session_token.sign(SESSION, keys.active).split(".")
    claims = orjson.loads(urlsafe_b64decode(payload + "=="))
    forged = part(claims | {"account": "999999999999"})
    assert reason(f"{header}.{forged}.{signature}", keys) == "bad_signature"


def test_no_other_spelling_of_the_signature_is_accepted(keys):
    token = session_token.sign(SESSION, keys.active)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for last in alphabet:
        if last != token[-1]:
            assert reason(token[:-1] + last, keys) in ("malformed", "bad_signature")


@pytest.mark.parametrize("header", [{"alg": "none"}, {"alg": "HS256", "typ": "stsd-session+jwt", "kid": "x"}, []])
def test_another_algorithm_is_malformed(keys, header):
    _, payload, signature = session_token.sign(SESSION, keys.active).split(".")
    assert reason(f"{part(header)}.{payload}.{signature}", keys) == "malformed"


def test_the_same_header_spelt_otherwise_is_not_looked_at(keys):
    _, payload, signature = session_token.sign(SESSION, keys.active).split(".")
    respelt = part({"kid": keys.active.kid, "alg": "EdDSA", "typ": "stsd-session+jwt"})
    assert reason(f"{respelt}.{payload}.{signature}", keys) == "unknown_key"


@given(st.text(max_size=300) | st.text("abcXYZ019-_.", max_size=300))
def test_arbitrary_text_is_refused_with_a_reason(text):
    keys = new_key_set(lambda n: b"\1" * n, NOW)
    assert reason(text, keys) in ("malformed", "unknown_key", "bad_signature")


def test_a_token_holds_until_its_expiry_and_not_at_it():
    session_token.check_time(SESSION, SESSION.expires_at - 0.001)
    with pytest.raises(TokenError, match="expired"):
        session_token.check_time(SESSION, SESSION.expires_at)


def test_a_token_from_a_clock_far_ahead_is_not_yet_valid():
    issued_at = SESSION.issued_at_ms / 1000
    session_token.check_time(SESSION, issued_at - 1.9)
    with pytest.raises(TokenError, match="not_yet_valid"):
        session_token.check_time(SESSION, issued_at - 2.1)


def test_the_secret_depends_on_the_token_key_the_access_key_id_and_the_token_id(keys):
    active, prepared = keys.keys
    secrets = {
        session_token.secret_access_key(active, "ASIA1", "t1"),
        session_token.secret_access_key(prepared, "ASIA1", "t1"),
        session_token.secret_access_key(active, "ASIA2", "t1"),
        session_token.secret_access_key(active, "ASIA1", "t2"),
    }
    assert len(secrets) == 4
    assert {len(secret) for secret in secrets} == {40}


def test_a_token_never_shows_the_secret(keys):
    token = session_token.sign(SESSION, keys.active)
    secret = session_token.secret_access_key(keys.active, SESSION.access_key_id, SESSION.token_id)
    assert secret.encode() not in urlsafe_b64decode(token.split(".")[1] + "==")


def test_a_token_key_keeps_its_seed_out_of_its_repr():
    key = token_key(b"\5" * 32, "active", 0)
    assert repr(key.seed) not in repr(key)
    assert key.seed.hex() not in repr(key)
