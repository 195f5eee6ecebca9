"""The router's mark: believed when genuine, current and of this request; nothing otherwise."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stsd.wire import forwarded

NOW = 1_795_435_200.0
KEY = forwarded.router_key(b"c" * 32)
MARK = forwarded.mark(KEY, "global", "127.0.0.9", True, NOW, "AWS4-HMAC-SHA256 …")


def test_a_genuine_mark_tells_endpoint_address_and_transport():
    assert forwarded.read(KEY, MARK, NOW + 1, "AWS4-HMAC-SHA256 …") == ("global", "127.0.0.9", True)


def test_an_address_with_colons_survives():
    mark = forwarded.mark(KEY, "regional", "::1", False, NOW, "")
    assert forwarded.read(KEY, mark, NOW, "") == ("regional", "::1", False)


@pytest.mark.parametrize(
    ("key", "now", "binding"),
    [
        (forwarded.router_key(b"d" * 32), NOW, "AWS4-HMAC-SHA256 …"),
        (KEY, NOW + forwarded.WINDOW_S + 1, "AWS4-HMAC-SHA256 …"),
        (KEY, NOW, "AWS4-HMAC-SHA256 another"),
    ],
    ids=["another cluster", "too old", "another request"],
)
def test_a_mark_that_is_not_genuine_counts_for_nothing(key, now, binding):
    assert forwarded.read(key, MARK, now, binding) is None


@given(st.text())
def test_arbitrary_text_counts_for_nothing(value):
    assert forwarded.read(KEY, value, NOW, "") is None


def test_a_mark_with_another_endpoint_is_noticed():
    assert forwarded.read(KEY, MARK.replace("global", "regional"), NOW, "AWS4-HMAC-SHA256 …") is None
