"""The JSON side of the wire: what is not understood in one way only is refused."""

from __future__ import annotations

import pytest

from stsd.errors import MalformedInput, ValidationError
from stsd.wire import json_api

MEMBERS = ("token", "tokens")


@pytest.mark.parametrize("body", [b"{}", b'{"token": "a"}', b'{"token": "a:b:c"}', b'{"tokens": [{"a": 1}, {"a": 2}]}'])
def test_members_given_once_are_taken(body):
    assert json_api.parse(body, MEMBERS).keys() <= set(MEMBERS)


@pytest.mark.parametrize(
    "body",
    [
        b'{"token": "a", "token": "b"}',
        b'{"token": "a", "\\u0074oken": "a"}',
        b'{"token" :"a", "tokens":[], "token"\n:"a"}',
    ],
)
def test_a_member_given_twice_is_refused_by_name(body):
    with pytest.raises(ValidationError, match=r"^Member 'token' is given twice$"):
        json_api.parse(body, MEMBERS)


def test_a_member_given_twice_deep_inside_is_refused_too():
    with pytest.raises(ValidationError, match=r"^Member 'a' is given twice$"):
        json_api.parse(b'{"tokens": [{"a": 1, "a": 2}]}', MEMBERS)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"[" * 5_000, "not_json"),
        (b"[" * 1_020 + b"]" * 1_020, "nesting"),
        (b"NaN", "not_json"),
        (b'"\\ud800"', "not_json"),
        (b"1e999", "not_json"),
    ],
    ids=["unclosed", "nested deeply", "NaN", "half a surrogate pair", "infinite"],
)
def test_odd_json_is_refused(value, reason):
    with pytest.raises(MalformedInput) as refused:
        json_api.parse(b'{"token": "a:", "tokens": %s}' % value, MEMBERS)
    assert refused.value.reason == reason


def test_a_number_of_ten_thousand_digits_does_no_harm():
    assert json_api.parse(b'{"token": "a:", "tokens": %s}' % (b"1" * 9_999 + b"e-9999"), MEMBERS)["token"] == "a:"
