"""Joining: what a sponsor takes from a machine with a ticket, and what the machine takes from a sponsor."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stsd.revocation import joining
from stsd.revocation.identity import Signer
from stsd.revocation.joining import CHALLENGE_BYTES, TICKET_LIFE_S, JoinError
from stsd.revocation.messages import Origin
from stsd.revocation.peer_records import Left, Peer, sign_left, sign_peer
from stsd.revocation.peer_set import PeerSet
from tests.conftest import seeded

ROOT, SPONSOR = Signer(b"r" * 32), Signer(b"s" * 32)
NOW = 1_795_435_200.0
URL = "http://10.0.0.7:8711"
SEED, OTHER_SEED = b"m" * 32, b"w" * 32
CHALLENGE = b"c" * CHALLENGE_BYTES


def cluster(root: Signer = ROOT) -> PeerSet:
    """A cluster of one region."""
    founder = Peer("us-east-1", SPONSOR.public_key, "http://127.0.0.1:1", int(NOW))
    return PeerSet(root.public_key, [sign_peer(root, root.public_key, founder)])


def held(root: Signer = ROOT, region: str = "eu-west-1", seed: int = 1) -> joining.HeldTicket:
    return joining.read_ticket(joining.mint(root, region, NOW, seeded(seed)))


def ask(seed: bytes = SEED, ticket: joining.HeldTicket | None = None) -> bytes:
    return joining.ask(ticket or held(), Signer(seed), URL, NOW, CHALLENGE)


def refused(peers: PeerSet, request: bytes, now: float = NOW) -> str:
    before = peers.digest()
    with pytest.raises(JoinError) as error:
        joining.read_request(peers, request, now)
    assert peers.digest() == before
    return error.value.reason


def test_a_machine_with_a_ticket_is_named_and_answered():
    peers = cluster()
    request = joining.read_request(peers, ask(), NOW)
    assert peers.take(request.record) == "new"
    assert peers.members()["eu-west-1"].url == URL
    sealed = joining.seal_answer(
        SPONSOR, request, {"peers": [r.hex() for r in peers.records()], "cluster_key": "secret"}
    )
    assert b"secret" not in sealed
    assert joining.open_answer(held(), SEED, CHALLENGE, sealed)["cluster_key"] == "secret"


def test_a_ticket_does_not_show_its_secret():
    ticket = held()
    assert ticket.seed.hex() not in repr(ticket)
    assert ticket.seed not in ask(ticket=ticket)


def test_a_ticket_works_for_one_machine_which_may_ask_again():
    peers = cluster()
    peers.take(joining.read_request(peers, ask(), NOW).record)
    assert refused(peers, ask(OTHER_SEED)) == "ticket_used"
    again = joining.read_request(peers, ask(), NOW + TICKET_LIFE_S)
    assert peers.take(again.record) == "known"


def test_a_machine_that_asks_again_later_finds_its_ticket_its_own():
    """Its record would be another one, and of two records of one ticket only one counts."""
    for later in range(1, 9):
        peers = cluster()
        peers.take(joining.read_request(peers, ask(), NOW).record)
        request = joining.ask(held(), Signer(SEED), URL, NOW + later, CHALLENGE)
        assert peers.take(joining.read_request(peers, request, NOW + later).record) == "known"


def test_a_ticket_is_over_after_ten_minutes():
    assert joining.read_request(cluster(), ask(), NOW + TICKET_LIFE_S - 1)
    assert refused(cluster(), ask(), NOW + TICKET_LIFE_S) == "ticket_expired"


def test_a_region_that_has_a_node_takes_no_other():
    assert refused(cluster(), ask(ticket=held(region="us-east-1"))) == "region_taken"


def test_a_machine_that_was_removed_does_not_come_back_with_its_old_key():
    peers = cluster()
    peers.take(joining.read_request(peers, ask(), NOW).record)
    peers.take(sign_left(ROOT, Signer(SEED).public_key, Left({}, int(NOW))))
    assert refused(peers, ask()) == "identity_left"
    assert refused(peers, ask(ticket=held(seed=2))) == "identity_left"


def flipped(request: bytes, at: int) -> bytes:
    return request[:at] + bytes([request[at] ^ 1]) + request[at + 1 :]


def signed_by_another(request: bytes) -> bytes:
    """Whoever sees a request cannot pass it off as of another key."""
    return Signer(OTHER_SEED).sign(b"stsd join request" + request[64:]) + request[64:]


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (b"", "malformed"),
        (b"x" * 100, "malformed"),
        (ask() + b" " * joining.MAX_REQUEST_BYTES, "oversized"),
        (flipped(ask(), 3), "forged"),
        (signed_by_another(ask()), "forged"),
        (ask().replace(b'{"v":1', b'{"v":2'), "wrong_version"),
        (ask(ticket=held(Signer(b"q" * 32))), "other_cluster"),
        (ask(ticket=replace(held(), seed=b"z" * 32)), "forged"),
        (ask(ticket=replace(held(), shown=flipped(held().shown, 0))), "forged"),
        (ask().replace(CHALLENGE.hex().encode(), b"00"), "malformed"),
    ],
    ids=[
        "empty",
        "noise",
        "oversized",
        "bit flip",
        "another's",
        "version",
        "cluster",
        "ticket key",
        "ticket",
        "challenge",
    ],
)
def test_a_request_that_is_not_genuine_changes_nothing(request_, reason):
    assert refused(cluster(), request_) == reason


@pytest.mark.parametrize(
    "text", ["", "stsd-ticket-1.", "stsd-ticket-1.AAAA", "password", "stsd-ticket-1." + "A" * 9_000]
)
def test_a_text_that_is_no_ticket_is_refused(text):
    with pytest.raises(JoinError):
        joining.read_ticket(text)


def answered(signer: Signer, peers: PeerSet, challenge: bytes = CHALLENGE) -> bytes:
    request = replace(joining.read_request(cluster(), ask(), NOW), challenge=challenge)
    return joining.seal_answer(signer, request, {"peers": [record.hex() for record in peers.records()]})


def joined(root: Signer = ROOT) -> PeerSet:
    peers = cluster(root)
    peers.take(joining.read_request(cluster(), ask(), NOW).record)
    return peers


@pytest.mark.parametrize(
    ("sealed", "reason"),
    [
        (b"", "malformed"),
        (flipped(answered(SPONSOR, joined()), 70), "malformed"),
        (answered(SPONSOR, joined(), b"d" * CHALLENGE_BYTES), "other_challenge"),
        (answered(Signer(b"x" * 32), joined()), "forged"),
        (answered(SPONSOR, joined(Signer(b"q" * 32))), "forged"),
        (answered(SPONSOR, cluster()), "forged"),
    ],
    ids=["empty", "bit flip", "replayed", "a stranger's", "another root's", "without us"],
)
def test_an_answer_that_the_root_does_not_vouch_for_is_not_believed(sealed, reason):
    with pytest.raises(JoinError) as error:
        joining.open_answer(held(), SEED, CHALLENGE, sealed)
    assert error.value.reason == reason


def test_an_answer_opens_for_the_machine_that_asked_alone():
    with pytest.raises(JoinError):
        joining.open_answer(held(), OTHER_SEED, CHALLENGE, answered(SPONSOR, joined()))


def test_leaving_heads_are_of_origins():
    peers = joined()
    origin = Origin("eu-west-1", "1", "0" * 16)
    peers.take(sign_left(ROOT, Signer(SEED).public_key, Left({origin: 3}, int(NOW))))
    assert peers.limit(origin, Signer(SEED).public_key) == 3
