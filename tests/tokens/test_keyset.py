"""Key sets: one active key, sealed under the cluster key, published as a JWKS."""

from __future__ import annotations

import pytest

from stsd.tokens import keyset
from stsd.tokens.keyset import KeySet, SealError

CLUSTER_KEY = b"c" * 32


def test_a_new_key_set_has_one_active_and_one_prepared_key(keys):
    assert [key.state for key in keys.keys] == ["active", "prepared"]
    assert len({key.kid for key in keys.keys}) == 2


def test_a_key_set_without_an_active_key_is_refused(keys):
    with pytest.raises(ValueError, match="one active"):
        KeySet(keys.keys[1:])


def test_a_sealed_key_set_opens_under_its_cluster_key(keys, entropy):
    sealed = keyset.seal(CLUSTER_KEY, keyset.dump(keys), entropy)
    opened = keyset.load(keyset.unseal(CLUSTER_KEY, sealed))
    assert [(key.kid, key.state, key.created_at) for key in opened.keys] == [
        (key.kid, key.state, key.created_at) for key in keys.keys
    ]


def test_a_sealed_key_set_shows_no_seed(keys, entropy):
    sealed = keyset.seal(CLUSTER_KEY, keyset.dump(keys), entropy)
    for key in keys.keys:
        assert key.seed not in sealed
        assert key.seed.hex().encode() not in sealed


def test_another_cluster_key_does_not_open_it(keys, entropy):
    sealed = keyset.seal(CLUSTER_KEY, keyset.dump(keys), entropy)
    with pytest.raises(SealError, match="another cluster key"):
        keyset.unseal(b"d" * 32, sealed)


def test_a_flipped_bit_does_not_open(keys, entropy):
    sealed = bytearray(keyset.seal(CLUSTER_KEY, keyset.dump(keys), entropy))
    sealed[40] ^= 1
    with pytest.raises(SealError):
        keyset.unseal(CLUSTER_KEY, bytes(sealed))


@pytest.mark.parametrize("stored", [None, {}, [1], [{"seed": "zz", "state": "active", "created_at": 1}], []])
def test_something_else_is_no_key_set(stored):
    with pytest.raises(SealError):
        keyset.load(stored)


def test_published_keys_hold_nothing_private(keys):
    for jwk in keys.jwks()["keys"]:
        assert set(jwk) == {"kty", "crv", "alg", "use", "kid", "x"}
        assert jwk["alg"] == "EdDSA"
