from base64 import b32encode
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stsd import key_ids

ACCOUNTS = st.integers(0, 10**12 - 1).map("{:012d}".format)
# Spec 2.7.2.
VECTORS = [("111122223333", "RTX3GSDS"), ("218007301253", "TFQR7NSC"), ("999999999999", "6RVFFB77")]


def entropy_of(seed: bytes):
    return lambda n: sha256(seed).digest()[:n]


@pytest.mark.parametrize(("account", "shared"), VECTORS)
def test_ids_of_an_account_share_the_eight_characters_of_the_vectors(account, shared):
    assert key_ids.new_access_key_id("ASIA", account, entropy_of(b"a")).startswith("ASIA" + shared)
    assert key_ids.new_unique_id("AROA", account, entropy_of(b"b")).startswith("AROA" + shared)


def test_the_vector_with_nine_known_characters_is_within_reach():
    assert key_ids.new_access_key_id("ASIA", "111122223333", lambda n: b"\0" * n)[12] == "Q"


@given(ACCOUNTS, st.binary())
def test_an_access_key_id_carries_its_account_and_nothing_but_its_length(account, seed):
    access_key_id = key_ids.new_access_key_id("AKIA", account, entropy_of(seed))
    assert len(access_key_id) == 20
    assert set(access_key_id[4:]) <= set(key_ids.ALPHABET)
    assert key_ids.account_of(access_key_id) == account
    assert not key_ids.is_old_form(access_key_id)


@given(ACCOUNTS, st.binary(min_size=5, max_size=5))
def test_the_layout_is_a_marker_the_account_and_39_random_bits(account, chance):
    bits = 1 << 79 | int(account) << 39 | int.from_bytes(chance, "big") & (1 << 39) - 1
    assert key_ids.new_access_key_id("AKIA", account, lambda n: chance[:n])[4:] == b32encode(
        bits.to_bytes(10, "big")
    ).decode("ascii")


@given(ACCOUNTS, st.binary())
def test_a_unique_id_has_21_characters(account, seed):
    unique_id = key_ids.new_unique_id("AIDA", account, entropy_of(seed))
    assert len(unique_id) == 21
    assert set(unique_id[4:]) <= set(key_ids.ALPHABET)


@pytest.mark.parametrize("access_key_id", ["AKIAIOSFODNN7EXAMPLE", "AKIAJAAAAAAAAAAAAAAA", "ASIAPAAAAAAAAAAAAAAA"])
def test_an_id_of_the_old_form_carries_no_account(access_key_id):
    assert key_ids.is_old_form(access_key_id)
    assert key_ids.account_of(access_key_id) is None


@pytest.mark.parametrize(
    "access_key_id",
    [
        "",
        "AKIA",
        "AKIARTX3GSDSQAAAAAA",
        "AKIARTX3GSDSQAAAAAAAA",
        "AKIARTX3GSDSQAAAAAA1",
        "akiartx3gsdsqaaaaaaa",
        "AKIA7777777777777777",
    ],
)
def test_other_text_carries_no_account(access_key_id):
    assert key_ids.account_of(access_key_id) is None
    assert not key_ids.is_old_form(access_key_id)


@given(st.text())
def test_any_text_is_answered(text):
    assert key_ids.account_of(text) is None or len(text) == 20
    assert key_ids.is_old_form(text) in (True, False)
