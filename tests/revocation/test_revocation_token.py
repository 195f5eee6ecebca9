"""Revocation tokens: one text per place in a log, and nothing else is one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stsd.revocation import revocation_token
from stsd.revocation.messages import Origin
from stsd.revocation.revocation_token import RevocationToken, TokenShapeError

ORIGIN = Origin("eu-west-1", "n1", "0123456789abcdef")
TEXT = "WyJldS13ZXN0LTEvbjEvMDEyMzQ1Njc4OWFiY2RlZiIsNywyXQ"


def test_a_token_is_base64url_of_origin_sequence_and_epoch():
    token = RevocationToken(ORIGIN, 7, 2)
    assert revocation_token.encode(token) == TEXT
    assert revocation_token.decode(TEXT) == token


@pytest.mark.parametrize(
    "text",
    [
        "",
        "é",
        "x" * 600,
        TEXT + "==",
        TEXT + "A",
        TEXT[:-1],
        TEXT[:-1] + "R",  # the same bytes with other unused bits
        "W10",  # []
        "WyJldS13ZXN0LTEvbjEvMDEyMzQ1Njc4OWFiY2RlZiIsMCwyXQ",  # sequence 0
        "WyJldS13ZXN0LTEvbjEvMDEyMzQ1Njc4OWFiY2RlZiIsdHJ1ZSwwXQ",  # sequence true
        "WyJub3doZXJlIiw3LDJd",  # no origin
    ],
)
def test_anything_else_is_refused(text):
    with pytest.raises(TokenShapeError):
        revocation_token.decode(text)


@given(st.text(max_size=80))
def test_no_text_raises_anything_else(text):
    with pytest.raises(TokenShapeError):
        revocation_token.decode(text)
