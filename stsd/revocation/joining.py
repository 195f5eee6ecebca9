"""How a machine becomes a node: a ticket, a request, a sealed answer (design 2.6).

1. The operator mints a ticket: a key pair whose public half the root key has signed, with a region and ten minutes. The
   ticket is the secret half with that signature; who has it may name one node.
2. The machine makes its identity key, names it in a record that the ticket's key signs, and posts both to a sponsor,
   any node of the cluster, with a challenge. The identity key signs the whole request, so nobody names another's key.
3. The sponsor keeps the record, then answers what a node needs: cluster key, token keys, world, peer set. The answer is
   sealed to the machine's identity key (X25519 of it), holds the challenge, and is signed by the sponsor, so neither
   the way nor its ends need a secret.
4. The machine believes the answer when the root of its ticket vouches for the sponsor.

What the same machine asks again, because an answer was lost, is answered again; anybody else finds the ticket used.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from nacl.bindings import (
    crypto_box_seal,
    crypto_box_seal_open,
    crypto_sign_ed25519_pk_to_curve25519,
    crypto_sign_ed25519_sk_to_curve25519,
    crypto_sign_open,
    crypto_sign_seed_keypair,
)
from nacl.exceptions import CryptoError

from stsd.revocation import peer_records
from stsd.revocation.identity import KEY_BYTES, SEED_BYTES, SIGNATURE_BYTES, Signer
from stsd.revocation.peer_records import Peer, RecordError, Ticket, sign_peer, sign_ticket
from stsd.revocation.peer_set import PeerSet

VERSION = 1
TICKET_LIFE_S = 600
CHALLENGE_BYTES = 16
MAX_REQUEST_BYTES = 65_536
MAX_ANSWER_BYTES = 16 << 20
MAX_TICKET_CHARACTERS = 8_192
_PREFIX = "stsd-ticket-1."
_REQUEST = b"stsd join request"
_ANSWER = b"stsd join answer"


class JoinError(ValueError):
    """A ticket, request or answer that changes nothing; `reason` is a word for the log and the metric."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class HeldTicket:
    """A ticket as the operator hands it over: `shown` is the part that others may see."""

    root_key: bytes
    shown: bytes
    ticket: Ticket
    seed: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Request:
    """A machine's request: the `record` that names its key, the `ticket` under which it does, and its challenge."""

    record: bytes
    ticket: Ticket
    public_key: bytes
    challenge: bytes


def mint(root: Signer, region: str, now: float, entropy: Callable[[int], bytes]) -> str:
    """The text of a new ticket, a secret."""
    seed = entropy(SEED_BYTES)
    ticket = Ticket(entropy(8).hex(), region, Signer(seed).public_key, int(now) + TICKET_LIFE_S)
    content = root.public_key + seed + sign_ticket(root, ticket)
    return _PREFIX + urlsafe_b64encode(content).decode()


def read_ticket(text: str) -> HeldTicket:
    """The ticket of `mint`. Raises JoinError with malformed or the reason of a RecordError."""
    try:
        if not text.startswith(_PREFIX) or len(text) > MAX_TICKET_CHARACTERS:
            raise ValueError("prefix")
        content = urlsafe_b64decode(text[len(_PREFIX) :])
        root_key, seed, shown = content[:KEY_BYTES], content[KEY_BYTES : 2 * KEY_BYTES], content[2 * KEY_BYTES :]
        ticket = peer_records.read_ticket(root_key, shown)
        whole = Signer(seed).public_key == ticket.key
    except RecordError as error:
        raise JoinError(error.reason) from None
    except (ValueError, TypeError, CryptoError):
        raise JoinError("malformed") from None
    if not whole:
        raise JoinError("forged")
    return HeldTicket(root_key, shown, ticket, seed)


# The request.


def ask(held: HeldTicket, signer: Signer, url: str, now: float, challenge: bytes) -> bytes:
    """The request of the machine with this identity key, which others reach at `url`."""
    peer = Peer(held.ticket.region, signer.public_key, url, int(now), held.ticket)
    record = sign_peer(Signer(held.seed), held.root_key, peer, held.shown)
    body = orjson.dumps({"v": VERSION, "record": record.hex(), "challenge": challenge.hex()})
    return signer.sign(_REQUEST + body) + body


def read_request(peers: PeerSet, content: bytes, now: float) -> Request:
    """What a request asks for, if it may have it; the checks in their order. For a machine that asks again, the record
    is the one that was kept, or a later one could lose against it.

    Raises JoinError: oversized, malformed, wrong_version, other_cluster, forged, ticket_expired, ticket_used,
    region_taken, or identity_left for a key that was a node's before.
    """
    if len(content) > MAX_REQUEST_BYTES:
        raise JoinError("oversized")
    record, challenge = _request_members(content)
    peer = _named(peers, record)
    try:
        crypto_sign_open(content[:SIGNATURE_BYTES] + _REQUEST + content[SIGNATURE_BYTES:], peer.public_key)
    except (CryptoError, ValueError, TypeError):
        raise JoinError("forged") from None
    ticket = peer.ticket
    if ticket is None:
        raise JoinError("malformed")
    if peers.has_left(peer.public_key):
        raise JoinError("identity_left")
    known = peers.named_by(ticket)
    if known is not None and known.public_key != peer.public_key:
        raise JoinError("ticket_used")
    if known is None:
        if now >= ticket.expires_at:
            raise JoinError("ticket_expired")
        if peer.region in peers.members():
            raise JoinError("region_taken")
    return Request(peers.record_of(peer.public_key) or record, ticket, peer.public_key, challenge)


def _request_members(content: bytes) -> tuple[bytes, bytes]:
    try:
        body = orjson.loads(content[SIGNATURE_BYTES:])
        version = body["v"]
        if version == VERSION:
            record, challenge = bytes.fromhex(body["record"]), bytes.fromhex(body["challenge"])
    except (ValueError, TypeError, KeyError):
        raise JoinError("malformed") from None
    if version != VERSION:
        raise JoinError("wrong_version")
    if len(challenge) != CHALLENGE_BYTES:
        raise JoinError("malformed")
    return record, challenge


def _named(peers: PeerSet, record: bytes) -> Peer:
    try:
        return peer_records.read_peer(peers.root_key, record)
    except RecordError as error:
        raise JoinError(error.reason) from None


# The answer.


def seal_answer(signer: Signer, request: Request, content: Mapping[str, Any]) -> bytes:
    """What the sponsor, with its identity key, gives the machine that asked."""
    body = orjson.dumps({"v": VERSION, "challenge": request.challenge.hex(), **content})
    signed = signer.public_key + signer.sign(_ANSWER + request.public_key + body) + body
    return bytes(crypto_box_seal(signed, crypto_sign_ed25519_pk_to_curve25519(request.public_key)))


def open_answer(held: HeldTicket, seed: bytes, challenge: bytes, sealed: bytes) -> dict[str, Any]:
    """The content of an answer to the request of the machine whose identity key has this seed.

    Raises JoinError: malformed, forged, or other_challenge, an answer to something else.
    """
    own, secret = crypto_sign_seed_keypair(seed)
    try:
        keys = crypto_sign_ed25519_pk_to_curve25519(own), crypto_sign_ed25519_sk_to_curve25519(secret)
        signed = crypto_box_seal_open(sealed, *keys)
        sponsor, signature, body = _split(signed)
        crypto_sign_open(signature + _ANSWER + own + body, sponsor)
        content = dict(orjson.loads(body))
        peers = PeerSet(held.root_key, map(bytes.fromhex, content["peers"]))
        regions = {peer.region for peer in peers.members().values() if peer.public_key == sponsor}
    except (CryptoError, ValueError, TypeError, KeyError):
        raise JoinError("malformed") from None
    if content.get("v") != VERSION:
        raise JoinError("wrong_version")
    if content.get("challenge") != challenge.hex():
        raise JoinError("other_challenge")
    if not regions or not peers.is_member(held.ticket.region, own):
        raise JoinError("forged")
    return content


def _split(signed: bytes) -> tuple[bytes, bytes, bytes]:
    end = KEY_BYTES + SIGNATURE_BYTES
    return signed[:KEY_BYTES], signed[KEY_BYTES:end], signed[end:]
