"""The wildcard matcher against a slow obvious one, and against hostile patterns."""

from __future__ import annotations

import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stsd.wildcards import Wild, compile_arn, compile_glob, tokens


def obviously_matches(pattern: str, text: str) -> bool:
    """Dynamic programming over UTF-16 units: `reachable[j]` says whether the pattern so far matches `text[:j]`."""
    units, text_units = _units(pattern), _units(text)
    reachable = [True] + [False] * len(text_units)
    for unit in units:
        before = reachable
        if unit == "*":
            reachable = [any(before[: j + 1]) for j in range(len(before))]
        else:
            reachable = [False] + [before[j] and unit in ("?", text_units[j]) for j in range(len(text_units))]
    return reachable[-1]


def _units(text: str) -> list[str]:
    raw = text.encode("utf-16-le", "surrogatepass")
    return [raw[at : at + 2].decode("utf-16-le", "surrogatepass") for at in range(0, len(raw), 2)]


@given(st.text("ab*?😀é", max_size=12), st.text("ab*?😀é", max_size=12))
@example("a*a", "a")
@example("*ab*ba*", "aba")
@example("??", "😀")
@example("?*?", "😀")
def test_the_matcher_agrees_with_an_obvious_one(pattern, text):
    assert compile_glob(pattern)(text) is obviously_matches(pattern, text)


@given(st.text(max_size=20))
def test_a_literal_token_matches_itself_even_when_it_holds_wildcards(text):
    assert compile_glob([text])(text)
    assert compile_glob([Wild.RUN, text, Wild.RUN])(f"before{text}after")
    assert compile_glob([Wild.ONE, text])(f"x{text}")


def test_a_literal_star_is_no_wildcard():
    assert not compile_glob(["a*"])("ab")
    assert not compile_glob([Wild.ONE, "?"])("ab")


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        ("", "", True),
        ("", "a", False),
        ("*", "", True),
        ("*", "a/b:c\n", True),
        ("?", "", False),
        ("s3:Get*", "s3:GetObject", True),
        ("s3:Get*", "s3:PutObject", False),
        ("a*b*c", "abbc", True),
        ("a*b*c", "acb", False),
        ("**a", "a", True),
        ("A", "a", False),
        ("?", "\ud83d", True),
        ("?", "😀", False),
        ("?é?", "aéb", True),
    ],
)
def test_known_patterns(pattern, text, matches):
    assert compile_glob(pattern)(text) is matches


@pytest.mark.parametrize("pattern", ["*a" * 40, "*a" * 40 + "b", "*a?" * 40 + "b", "*" + "a?" * 500 + "b"])
def test_a_hostile_pattern_is_quick(pattern):
    started = time.process_time()
    compile_glob(pattern)("a" * 5000)
    assert time.process_time() - started < 0.25


def arn_pattern(pattern: str):
    return compile_arn([tokens(component) for component in pattern.split(":", 5)])


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        ("arn:aws:s3:::bucket/*", "arn:aws:s3:::bucket/a/b:c", True),
        ("arn:aws:s3:::bucket/*", "arn:aws:s3:::other/a", False),
        ("arn:aws:s3:::b?cket", "arn:aws:s3:::bucket", True),
        ("arn:aws:iam::*:role/x", "arn:aws:iam::111122223333:role/x", True),
        ("arn:aws:iam::*:role/x", "arn:aws:iam::1:user/y:role/x", False),
        ("arn:aws:*:*:*:*", "arn:aws:iam::1:x", True),
        ("arn:aws:*:*:*:*", "arn:aws:iam:x", False),
        ("arn:aws:iam::*:*", "*", False),
    ],
)
def test_a_star_in_an_arn_never_crosses_a_colon_before_the_last_component(pattern, text, matches):
    assert arn_pattern(pattern)(text) is matches
