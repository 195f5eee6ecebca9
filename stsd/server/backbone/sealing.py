"""Messages between nodes, sealed for one of them or for all, and opened once (stsd.wire.envelope).

A message is signed with its sender's identity key and believed when that is one of the peer set's. Of any other node
with the cluster's key only the peer set is heard, because its records prove themselves: while this node was away, all
others may have been replaced, and nobody whom it knows is left to tell it.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from itertools import count

from stsd.revocation import codec
from stsd.revocation.identity import Signer
from stsd.revocation.messages import PeerNews
from stsd.revocation.peer_set import PeerSet
from stsd.server.clock import entropy
from stsd.wire import envelope
from stsd.wire.envelope import EnvelopeError, Header, ReplayWindow, UnknownSender


class Sealing:
    """What region `own` says and hears. `key` is the cluster's, `signer` this node's, `peers` says who is believed."""

    def __init__(self, key: bytes, own: str, signer: Signer, peers: PeerSet) -> None:
        self._key, self.own, self._signer, self._peers = key, own, signer, peers
        self._instance = entropy(8).hex()
        self._numbers = count(1)
        self._window = ReplayWindow()

    def seal(self, to: str, messages: Sequence[bytes], answers: int = 0) -> tuple[Header, bytes]:
        """Messages as bytes to send, and the header they got; `answers` is the number of the call they answer."""
        header = Header(self.own, to, self._instance, next(self._numbers), answers)
        return header, envelope.seal(self._key, header, pack(messages), self._signer.sign)

    def open(self, sealed: bytes, to: str = "") -> tuple[Header, list[bytes]]:
        """A peer's call: who it is and its messages; `to` is whom it has to be for, by default this region. Raises
        EnvelopeError; each call is taken once."""
        header, body = envelope.open_(self._key, sealed, to or self.own, self._peers.signed_by)
        self._window.accept(header)
        return header, unpack(body, header.sender)

    def open_answer(self, sealed: bytes, call: Header) -> list[bytes]:
        """The messages that answer a call. Raises EnvelopeError."""
        header, body = envelope.open_(self._key, sealed, self.own, self._peers.signed_by)
        if header.sender != call.recipient or header.answers != call.number:
            raise EnvelopeError("wrong_answer", header.sender)
        return unpack(body, header.sender)


def news_of(stranger: UnknownSender) -> list[PeerNews]:
    """What is heard of a message whose sender is not known."""
    found = []
    with suppress(EnvelopeError):
        for content in unpack(stranger.body):
            with suppress(codec.CodecError):
                message = codec.decode_sent(content)
                if isinstance(message, PeerNews):
                    found.append(message)
    return found


def pack(messages: Sequence[bytes]) -> bytes:
    """Messages as one body, each after its length (4 bytes, big endian)."""
    return b"".join(len(message).to_bytes(4, "big") + message for message in messages)


def unpack(body: bytes, sender: str = "") -> list[bytes]:
    """The messages of `pack`. Raises EnvelopeError malformed."""
    messages, at = [], 0
    while at < len(body):
        end = at + 4 + int.from_bytes(body[at : at + 4], "big")
        if end > len(body) or at + 4 > len(body):
            raise EnvelopeError("malformed", sender)
        messages.append(body[at + 4 : end])
        at = end
    return messages
