"""Envelopes between nodes: authentic, for this node, once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stsd.revocation.identity import Signer
from stsd.wire import envelope
from stsd.wire.envelope import EnvelopeError, Header, ReplayWindow

KEY = envelope.peer_key(b"c" * 32)
HEADER = Header("us-east-1", "eu-west-1", "0011223344556677", 7, 3)
SIGNER = Signer(b"s" * 32)


def seal(body: bytes, signer: Signer = SIGNER) -> bytes:
    return envelope.seal(KEY, HEADER, body, signer.sign)


def verify(sender: str, content: bytes, signature: bytes) -> bool:
    """The one peer is us-east-1."""
    return sender == "us-east-1" and SIGNER.sign(content) == signature


def refused(sealed: bytes, recipient: str = "eu-west-1") -> str:
    with pytest.raises(EnvelopeError) as error:
        envelope.open_(KEY, sealed, recipient, verify)
    return error.value.reason


@given(st.binary())
def test_what_was_sealed_opens(body):
    assert envelope.open_(KEY, seal(body), "eu-west-1", verify) == (HEADER, body)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_refused(sealed):
    assert refused(sealed) == "wrong_cluster"


@given(st.integers(min_value=0), st.binary(min_size=1, max_size=50))
def test_any_changed_byte_is_noticed(position, body):
    sealed = bytearray(seal(body))
    sealed[position % len(sealed)] ^= 1
    assert refused(bytes(sealed)) == "wrong_cluster"


@pytest.mark.parametrize(
    "header",
    [
        Header(["us-east-1"], "eu-west-1", "i", 1),
        Header(None, "eu-west-1", "i", 1),
        Header("us-east-1", "eu-west-1", ["i"], 1),
        Header("us-east-1", "eu-west-1", "i", "7"),
        Header("us-east-1", "eu-west-1", "i", 7.5),
        Header("us-east-1", "eu-west-1", "i", True),
        Header("us-east-1", "eu-west-1", "i", 1, None),
    ],
    ids=repr,
)
def test_a_header_of_other_types_is_malformed_even_from_a_peer(header):
    assert refused(envelope.seal(KEY, header, b"", SIGNER.sign)) == "malformed"


def test_a_number_far_ahead_moves_the_window_and_takes_no_memory():
    window = ReplayWindow()
    window.accept(Header("us-east-1", "eu-west-1", "i", 1))
    window.accept(Header("us-east-1", "eu-west-1", "i", 2**62))
    with pytest.raises(EnvelopeError, match="replayed"):
        window.accept(Header("us-east-1", "eu-west-1", "i", 1))


def test_a_message_for_another_node_is_refused():
    assert refused(seal(b""), "ap-southeast-1") == "wrong_recipient"


def test_a_message_that_its_sender_did_not_sign_is_refused():
    assert refused(seal(b"", Signer(b"of a node that was removed".ljust(32)))) == "not_a_peer"


def test_a_message_of_another_version_is_refused(monkeypatch):
    monkeypatch.setattr(envelope, "VERSION", 3)
    sealed = seal(b"")
    monkeypatch.undo()
    assert refused(sealed) == "wrong_version"


def test_an_oversized_message_is_refused_before_it_is_read():
    assert refused(b"x" * (envelope.MAX_BYTES + 1)) == "oversized"


def test_a_number_is_taken_once():
    window = ReplayWindow()
    window.accept(HEADER)
    with pytest.raises(EnvelopeError, match="replayed"):
        window.accept(HEADER)


@given(st.permutations(range(1, 40)))
def test_reordered_numbers_are_taken_once_each(numbers):
    window = ReplayWindow()
    for number in numbers:
        window.accept(Header("a", "b", "i", number))
    for number in numbers:
        with pytest.raises(EnvelopeError):
            window.accept(Header("a", "b", "i", number))


def test_a_number_older_than_the_window_is_refused():
    window = ReplayWindow()
    window.accept(Header("a", "b", "i", envelope.WINDOW + 10))
    window.accept(Header("a", "b", "i", 11))
    with pytest.raises(EnvelopeError, match="replayed"):
        window.accept(Header("a", "b", "i", 10))


def test_another_instance_counts_anew():
    window = ReplayWindow()
    window.accept(Header("a", "b", "first", 1))
    window.accept(Header("a", "b", "second", 1))
