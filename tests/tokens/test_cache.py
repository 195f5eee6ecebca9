"""The cache of verified tokens: a bounded memory of signatures, and of nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stsd.principal import Principal, Session
from stsd.tokens import session_token
from stsd.tokens.cache import VerifiedTokens
from stsd.tokens.session_token import TokenError

ARN = "arn:aws:iam::111122223333:user/bob"
USER = Principal("user", "111122223333", ARN, "AIDARTX3GSDSQEXAMPLE1", ARN, "AIDARTX3GSDSQEXAMPLE1", "bob")
SESSION = Session("ASIARTX3GSDSQEXAMPL2", USER, "id", "", "http://x", "us-east-1", 1_000, 2)


@pytest.fixture
def verified(monkeypatch):
    """The tokens whose signatures were looked at, in order."""
    seen, verify = [], session_token.verify

    def counted(token, keys):
        seen.append(token)
        return verify(token, keys)

    monkeypatch.setattr(session_token, "verify", counted)
    return seen


def tokens(keys, count):
    return [session_token.sign(replace(SESSION, token_id=f"id{n}"), keys.active) for n in range(count)]


def test_a_signature_is_checked_once(keys, verified):
    cache, (token,) = VerifiedTokens(keys), tokens(keys, 1)
    assert cache.open(token) is cache.open(token)
    assert verified == [token]


def test_it_never_holds_more_than_its_limit(keys, verified):
    cache = VerifiedTokens(keys, limit=10)
    for token in tokens(keys, 100):
        cache.open(token)
        assert len(cache) <= 10


def test_what_is_used_again_and_again_stays(keys, verified):
    cache, (kept, *others) = VerifiedTokens(keys, limit=10), tokens(keys, 100)
    for token in others:
        cache.open(kept)
        cache.open(token)
    assert verified.count(kept) == 1


def test_what_is_refused_is_not_remembered(keys, verified):
    cache, (token,) = VerifiedTokens(keys), tokens(keys, 1)
    for text in (token[:-4] + "AAAA", "x" * 20_000, "ä"):
        with pytest.raises(TokenError):
            cache.open(text)
    assert len(cache) == 0


def test_a_secret_is_in_no_repr(keys):
    cache, (token,) = VerifiedTokens(keys), tokens(keys, 1)
    assert cache.open(token).secret_access_key() not in repr(cache.open(token))


def test_a_token_longer_than_any_that_is_issued_is_refused_unread(keys, verified):
    longest = session_token.MAX_TOKEN_CHARACTERS
    fits, too_long = (session_token.sign(SESSION, keys.active, least) for least in (longest - 20, longest + 1))
    cache = VerifiedTokens(keys)
    assert cache.open(fits).session.access_key_id == SESSION.access_key_id
    with pytest.raises(TokenError, match="malformed"):
        cache.open(too_long)
    assert verified == [fits]
