"""Golomb-coded sets: everything that is in one is found, and what was written is what is read."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stsd.revocation import golomb

KEY = bytes(range(16))
TEXTS = st.lists(st.text(min_size=1, max_size=24), max_size=300)


def ids(count: int, seed: int) -> list[str]:
    entropy = random.Random(seed)
    return ["ASIA" + "".join(entropy.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", k=16)) for _ in range(count)]


@given(TEXTS, st.binary(min_size=1, max_size=16))
def test_every_text_of_the_set_is_found(texts, key):
    decoded = golomb.decode(golomb.encode(texts, key), len(texts), key)
    assert len(decoded) == len(texts)
    assert all(text in decoded for text in texts)


@given(TEXTS)
def test_the_order_of_the_texts_does_not_matter(texts):
    assert golomb.encode(texts, KEY) == golomb.encode(texts[::-1], KEY)


@given(TEXTS.filter(len), st.data())
def test_cut_or_longer_content_is_refused(texts, data):
    content = golomb.encode(texts, KEY)
    cut = data.draw(st.integers(0, len(content) - 1))
    for wrong in (content[:cut], content + b"\0"):
        with pytest.raises(ValueError, match=r"count|truncated|padding|range"):
            golomb.decode(wrong, len(texts), KEY)


@given(st.binary(max_size=400), st.integers(-1, 200))
def test_arbitrary_bytes_are_a_set_or_refused(content, count):
    try:
        decoded = golomb.decode(content, count, KEY)
    except ValueError:
        return
    assert len(decoded) == count


def test_an_empty_set_is_no_bytes_and_holds_nothing():
    assert golomb.encode([], KEY) == b""
    assert "x" not in golomb.decode(b"", 0, KEY)
    assert "x" not in golomb.EMPTY


def test_a_set_of_many_texts_takes_less_than_22_bits_for_each_and_has_no_false_positive_in_thousands():
    texts = ids(20_000, seed=1)
    content = golomb.encode(texts, KEY)
    assert 21.4 < len(content) * 8 / len(texts) < 21.8
    decoded = golomb.decode(content, len(texts), KEY)
    assert all(text in decoded for text in texts)
    assert sum(text in decoded for text in ids(20_000, seed=2)) <= 1  # 0.02 are expected


def test_encoding_pauses_between_small_steps():
    steps = golomb.encoding(ids(5_000, seed=1), KEY)
    assert sum(1 for _ in steps) >= 10
