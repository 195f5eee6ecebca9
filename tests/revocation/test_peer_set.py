"""Who belongs to a cluster: what a record must prove, and what follows from the records there are."""

from __future__ import annotations

import itertools

import orjson
import pytest

from stsd.revocation import peer_records, peer_set
from stsd.revocation.identity import Signer
from stsd.revocation.messages import Origin
from stsd.revocation.peer_records import Left, Peer, Ticket, sign_left, sign_peer, sign_ticket
from stsd.revocation.peer_set import PeerSet

ROOT, OTHER_ROOT = Signer(b"r" * 32), Signer(b"o" * 32)
US, EU, EU_AGAIN = Signer(b"u" * 32), Signer(b"e" * 32), Signer(b"n" * 32)
TICKET_KEY = Signer(b"t" * 32)
NOW = 1_795_435_200
FIRST, SECOND = (Origin("eu-west-1", "1", digit * 16) for digit in "12")
TICKET = Ticket("0011223344556677", "eu-west-1", TICKET_KEY.public_key, NOW + 600)
SHOWN = sign_ticket(ROOT, TICKET)


def peer(signer: Signer, region: str, ticket: Ticket | None = None, since: int = NOW) -> Peer:
    return Peer(region, signer.public_key, "http://127.0.0.1:1", since, ticket)


US_RECORD = sign_peer(ROOT, ROOT.public_key, peer(US, "us-east-1"))
EU_RECORD = sign_peer(ROOT, ROOT.public_key, peer(EU, "eu-west-1"))
BY_TICKET = sign_peer(TICKET_KEY, ROOT.public_key, peer(EU_AGAIN, "eu-west-1", TICKET, NOW + 1), SHOWN)
EU_LEFT = sign_left(ROOT, EU.public_key, Left({FIRST: 7}, NOW + 5))


def of(*records: bytes) -> PeerSet:
    return PeerSet(ROOT.public_key, records)


def test_members_are_those_that_the_root_named():
    peers = of(US_RECORD, EU_RECORD)
    assert peers.members() == {"us-east-1": peer(US, "us-east-1"), "eu-west-1": peer(EU, "eu-west-1")}
    assert peers.limit(FIRST, EU.public_key) is None
    assert peers.limit(FIRST, US.public_key) == 0  # a node of another region
    assert peers.limit(FIRST, TICKET_KEY.public_key) == 0
    assert peers.signed_by("eu-west-1", b"content", EU.sign(b"content"))
    assert not peers.signed_by("eu-west-1", b"content", US.sign(b"content"))


def test_a_ticket_names_a_node():
    assert of(BY_TICKET).members() == {"eu-west-1": peer(EU_AGAIN, "eu-west-1", TICKET, NOW + 1)}


def test_who_left_is_believed_up_to_its_heads_and_is_no_member():
    peers = of(US_RECORD, EU_RECORD, EU_LEFT)
    assert set(peers.members()) == {"us-east-1"}
    assert peers.has_left(EU.public_key)
    assert (peers.limit(FIRST, EU.public_key), peers.limit(SECOND, EU.public_key)) == (7, 0)
    assert not peers.signed_by("eu-west-1", b"content", EU.sign(b"content"))


def test_of_two_removals_the_larger_heads_count():
    other = sign_left(ROOT, EU.public_key, Left({FIRST: 5, SECOND: 2}, NOW + 9))
    for records in itertools.permutations((EU_RECORD, EU_LEFT, other)):
        peers = of(*records)
        assert (peers.limit(FIRST, EU.public_key), peers.limit(SECOND, EU.public_key)) == (7, 2)


def test_records_mean_the_same_in_any_order_and_any_number():
    records = (US_RECORD, EU_RECORD, BY_TICKET, EU_LEFT)
    digests = {of(*order, *order).digest() for order in itertools.permutations(records)}
    assert len(digests) == 1
    assert of(EU_LEFT, EU_RECORD, BY_TICKET).members() == {"eu-west-1": peer(EU_AGAIN, "eu-west-1", TICKET, NOW + 1)}
    peers = of(US_RECORD)
    assert (peers.take(US_RECORD), peers.take(EU_RECORD)) == ("known", "new")


def test_of_two_nodes_named_by_one_ticket_the_same_one_counts_everywhere():
    rival = sign_peer(TICKET_KEY, ROOT.public_key, peer(EU, "eu-west-1", TICKET), SHOWN)
    one, other = of(BY_TICKET), of(rival)
    results = {one.take(rival), other.take(BY_TICKET)}
    assert results == {"new", "ticket_used"}
    assert one.members() == other.members()
    assert one.digest() == other.digest()


def altered(record: bytes, **members) -> bytes:
    """A record whose text was changed behind its signature."""
    return record[:64] + orjson.dumps(orjson.loads(record[64:]) | members)


def resigned(signer: Signer, root_key: bytes = ROOT.public_key, **members) -> bytes:
    """A record of our own making, signed as records are."""
    body = orjson.loads(EU_RECORD[64:]) | members
    body = orjson.dumps({name: value for name, value in body.items() if value is not None})
    return signer.sign(b"stsd peer set" + root_key + body) + body


OTHERS_TICKET = sign_ticket(OTHER_ROOT, TICKET)
REFUSED = {
    "oversized": EU_RECORD + b" " * peer_records.MAX_RECORD_BYTES,
    "malformed": b"x" * 200,
    "malformed ": b"",
    "malformed  ": resigned(ROOT, region="Europe"),
    "malformed   ": resigned(ROOT, url="ftp://x"),
    "malformed    ": resigned(ROOT, public_key="00"),
    "malformed     ": resigned(ROOT, since=-1),
    "malformed      ": resigned(ROOT, since=True),
    "malformed       ": resigned(ROOT, kind="king"),
    "malformed        ": resigned(ROOT, more=1),
    "malformed         ": resigned(ROOT, url=None),
    "malformed a ticket of another region": resigned(TICKET_KEY, ticket=SHOWN.hex(), region="us-east-1"),
    "malformed a removal under a ticket": resigned(
        TICKET_KEY, kind="left", ticket=SHOWN.hex(), heads={}, at=1, region=None, url=None, since=None
    ),
    "malformed heads": resigned(ROOT, kind="left", heads={"x": 1}, at=1, region=None, url=None, since=None),
    "malformed a ticket as a record": SHOWN,
    "wrong_version": altered(EU_RECORD, v=2),
    "other_cluster": sign_peer(OTHER_ROOT, OTHER_ROOT.public_key, peer(EU, "eu-west-1")),
    "other_cluster a ticket": resigned(TICKET_KEY, ticket=OTHERS_TICKET.hex()),
    "forged": altered(EU_RECORD, region="us-east-1"),
    "forged by a member": resigned(US),
    "forged by another root": resigned(OTHER_ROOT),
    "forged for another root": resigned(ROOT, OTHER_ROOT.public_key),
    "forged ticket": resigned(TICKET_KEY, ticket=altered(SHOWN, region="us-east-1").hex()),
    "forged by another key than the ticket's": resigned(EU_AGAIN, ticket=SHOWN.hex()),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_prove_itself_changes_nothing(name):
    peers = of(US_RECORD)
    before = peers.digest()
    assert peers.take(REFUSED[name]) == name.split()[0]
    assert (peers.digest(), set(peers.members())) == (before, {"us-east-1"})


def test_a_peer_set_is_bounded(monkeypatch):
    monkeypatch.setattr(peer_set, "MAX_RECORDS", 3)
    monkeypatch.setattr(peer_set, "JOINS_SHARE", 0.6)
    peers = of(US_RECORD, EU_RECORD)
    assert peers.take(BY_TICKET) == "peer_set_full"
    assert peers.take(EU_LEFT) == "new"  # removing is possible still
    assert peers.take(sign_left(ROOT, US.public_key, Left({}, NOW))) == "peer_set_full"
    assert set(peers.members()) == {"us-east-1"}
