"""Bytes between regions and in the journal: what is written is read back, everything else is refused with a reason."""

from contextlib import suppress

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stsd.revocation import codec, entries
from stsd.revocation.codec import CodecError
from stsd.revocation.messages import (
    Ack,
    Announcement,
    Batch,
    ClockReading,
    Delta,
    Digest,
    Fetch,
    Head,
    Heartbeat,
    Origin,
    PeerNews,
)
from stsd.revocation.peer_set import MAX_RECORDS
from stsd.revocation.revocation_set import Revocation
from tests.revocation.signed import node

ORIGIN = Origin("eu-west-1", "n1", "0123456789abcdef")

origins = st.builds(
    Origin,
    st.sampled_from(["eu-west-1", "us-gov-west-1"]),
    st.from_regex(r"[A-Za-z0-9_.-]{1,8}", fullmatch=True),
    st.from_regex(r"[0-9a-f]{16}", fullmatch=True),
)
counts = st.integers(0, codec.MAX_SEQUENCE)
instants = st.floats(0, 1e11)
hashes = st.binary(min_size=32, max_size=32)
signatures = st.binary(min_size=64, max_size=64)
sequences = st.dictionaries(origins, counts, max_size=4)
heads = st.dictionaries(origins, st.builds(Head, counts, hashes), max_size=4)
heartbeats = st.dictionaries(origins, st.builds(Heartbeat, instants, counts, hashes, signatures), max_size=4)
announcements = st.lists(
    st.builds(Announcement, origins, hashes, st.binary(min_size=16, max_size=16)),
    max_size=3,
    unique_by=lambda announcement: announcement.origin,
).map(tuple)
contents = st.lists(st.binary(max_size=40), min_size=1, max_size=4).map(tuple)
batches = st.builds(Batch, origins, st.integers(1, codec.MAX_SEQUENCE), contents, instants, hashes, hashes, signatures)
messages = st.one_of(
    st.builds(Digest, counts, origins, heads, heartbeats, announcements),
    st.builds(Fetch, counts, sequences),
    st.builds(Delta, counts, st.lists(batches, max_size=3).map(tuple), st.sampled_from(["push", "page", "last"])),
    st.builds(Ack, counts, heads),
)
news = st.builds(PeerNews, counts, st.binary(min_size=16, max_size=16), st.lists(st.binary(), max_size=3).map(tuple))
readings = st.builds(ClockReading, counts, instants, st.none() | st.tuples(instants, instants))
revocations = st.builds(
    Revocation,
    st.text(max_size=9),
    st.text(max_size=40),
    counts,
    st.none() | counts,
    st.text(max_size=20),
    st.text(max_size=20),
)


@given(messages)
def test_a_message_is_read_back_as_it_was(message):
    assert codec.decode_message(codec.encode_message(message)) == message


@given(messages | news | readings)
def test_all_that_nodes_say_is_read_back_as_it_was(sent):
    assert codec.decode_sent(codec.encode_message(sent)) == sent


@given(news | readings)
def test_news_of_peers_and_of_clocks_are_no_message_of_the_replica(sent):
    with pytest.raises(CodecError, match="unknown_type"):
        codec.decode_message(codec.encode_message(sent))


@pytest.mark.parametrize("sent_at", ["1e308", "-1", '"now"', "null", "true", "[1]"])
@pytest.mark.parametrize("asked", ["null", "[1, 1e308]"])
def test_a_clock_that_says_no_instant_is_refused(sent_at, asked):
    content = f'{{"v": 2, "type": "clock", "epoch": 0, "sent_at": {sent_at}, "asked": {asked}}}'
    with pytest.raises(CodecError, match="bad_shape"):
        codec.decode_sent(content.encode())


def test_more_records_than_a_peer_set_has_are_refused():
    many = PeerNews(0, bytes(16), (b"",) * (MAX_RECORDS + 1))
    with pytest.raises(CodecError, match="bad_shape"):
        codec.decode_sent(codec.encode_message(many))


@given(batches)
def test_a_batch_is_read_back_as_it_was_and_is_no_larger_than_it_said(batch):
    content = codec.encode_batch(batch)
    assert codec.decode_batch(content) == batch
    assert len(content) <= batch.encoded_bytes


@given(revocations)
def test_a_revocation_is_read_back_as_it_was_whatever_its_kind(revocation):
    assert entries.decode_revocation(entries.encode_revocation(revocation)) == revocation


@given(st.binary(max_size=60) | st.recursive(st.none() | counts | st.text(), st.lists).map(orjson.dumps))
def test_anything_else_is_refused_and_nothing_else_is_raised(content):
    for decode in (codec.decode_message, codec.decode_sent, codec.decode_batch):
        with pytest.raises(CodecError):
            decode(content)


@given(messages | news, st.data())
def test_a_message_with_one_part_replaced_is_read_or_refused(message, data):
    members = orjson.loads(codec.encode_message(message))
    member = data.draw(st.sampled_from(sorted(members)))
    members[member] = data.draw(st.none() | st.integers(-5, 5) | st.text() | st.lists(st.integers(-5, 5)) | st.just({}))
    with suppress(CodecError):
        codec.decode_sent(orjson.dumps(members))


HASH = "A" * 43 + "="
SIGNATURE = "A" * 86 + "=="


def message(**changes) -> bytes:
    members = {"v": 2, "type": "ack", "epoch": 0, "heads": {str(ORIGIN): [1, HASH]}} | changes
    return orjson.dumps({name: value for name, value in members.items() if value is not ...})


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"{", "not_json"),
        (b"[]", "bad_shape"),
        (b"x" * (codec.MAX_MESSAGE_BYTES + 1), "too_large"),
        (message(v=1), "unknown_version"),
        (message(v=True), "unknown_version"),
        (message(v=...), "unknown_version"),
        (message(type="nack"), "unknown_type"),
        (message(type=...), "bad_shape"),
        (message(type=[]), "bad_shape"),
        (message(epoch=...), "bad_shape"),
        (message(epoch=-1), "bad_shape"),
        (message(heads=...), "bad_shape"),
        (message(more=1), "bad_shape"),
        (message(heads={str(ORIGIN): [True, HASH]}), "bad_shape"),
        (message(heads={str(ORIGIN): [1.5, HASH]}), "bad_shape"),
        (message(heads={str(ORIGIN): [codec.MAX_SEQUENCE + 1, HASH]}), "bad_shape"),
        (message(heads={str(ORIGIN): [1, "AAAA"]}), "bad_shape"),
        (message(heads={str(ORIGIN): 1}), "bad_shape"),
        (message(heads={"eu-west-1/n1": [1, HASH]}), "bad_shape"),
        (message(heads={"eu-west-1/n1/0123456789ABCDEF": [1, HASH]}), "bad_shape"),
        (message(heads={"eu-west-1/../0123456789abcdef/": [1, HASH]}), "bad_shape"),
        (message(heads={f"eu-west-1/n1/{n:016x}": [1, HASH] for n in range(codec.MAX_ORIGINS + 1)}), "bad_shape"),
        (message(type="delta", heads=..., batches=[], part="all", identities={}), "bad_shape"),
        (message(type="delta", heads=..., batches=[{}], part="push", identities={}), "bad_shape"),
        (message(type="digest", sender=str(ORIGIN), heartbeats={str(ORIGIN): [1.0]}, identities={}), "bad_shape"),
        (
            message(
                type="digest", sender=str(ORIGIN), heartbeats={str(ORIGIN): ["1", 1, HASH, SIGNATURE]}, identities={}
            ),
            "bad_shape",
        ),
        (message(type="digest", sender="?", heartbeats={}, identities={}), "bad_shape"),
    ],
)
def test_a_refused_message_says_why(content, reason):
    with pytest.raises(CodecError) as refused:
        codec.decode_message(content)
    assert refused.value.reason == reason


@pytest.mark.parametrize(
    "changes",
    [
        {"first": 0},
        {"first": True},
        {"entries": []},
        {"entries": "eHg="},
        {"entries": ["?"]},
        {"made_at": -1},
        {"chain": "AAAA"},
        {"signature": 1},
    ],
)
def test_a_batch_of_a_wrong_shape_is_refused(changes):
    members = orjson.loads(codec.encode_batch(Batch(ORIGIN, 1, (b"x",), 1.0)))
    with pytest.raises(CodecError, match="bad_shape"):
        codec.decode_batch(orjson.dumps(members | changes))


def test_the_largest_batch_that_can_be_appended_can_be_read_by_a_peer_and_from_the_journal():
    entry = b"x" * 150
    replica = node(ORIGIN, ("us-east-1",), 0.0)
    batch = replica.append([entry] * ((codec.MAX_BATCH_BYTES - 560) // 208), 0.0)
    assert codec.decode_batch(codec.encode_batch(batch)) == batch
    delta = Delta(0, (batch,))
    assert codec.decode_message(codec.encode_message(delta)) == delta


def test_an_entry_without_a_home_has_no_such_member():
    entry = entries.encode_revocation(Revocation("role", "r", 1, None))
    assert orjson.loads(entry).keys() == {"v", "kind", "subject", "issued_before_ms", "applies_until", "reason"}


@pytest.mark.parametrize("home", ["", 5, None, ["eu-west-1"], "x" * 65])
def test_a_home_that_is_no_region_makes_an_entry_unknown(home):
    members = orjson.loads(entries.encode_revocation(Revocation("role", "r", 1, None)))
    assert entries.decode_revocation(orjson.dumps(members | {"home": home})).kind == "unknown"


@given(revocations, st.sampled_from(["eu-west-1", "us-east-1"]), st.sampled_from(["eu-west-1", "ap-southeast-1"]))
def test_what_is_said_anew_keeps_the_region_whose_clock_told_it(revocation, said_in, now_in):
    entry = entries.encode_revocation(revocation)
    again = entries.said_anew(entry, said_in, now_in)
    read = entries.decode_revocation(again)
    assert read._replace(home=revocation.home) == revocation
    if revocation.issued_before_ms:
        assert (read.home or now_in) == (revocation.home or said_in)
    assert entries.said_anew(again, now_in, said_in) == again


def test_what_cannot_be_read_or_has_no_cut_off_is_said_anew_as_it_was():
    for entry in (b"later", entries.encode_revocation(Revocation("access_key", "ASIA", 0, None))):
        assert entries.said_anew(entry, "eu-west-1", "us-east-1") == entry


@pytest.mark.parametrize("entry", [b"", b"?", b'{"v":2,"kind":"role"}', b'{"v":1,"kind":"role"}'])
def test_an_entry_that_this_version_cannot_read_is_kept_as_unknown(entry):
    assert entries.decode_revocation(entry).kind == "unknown"
    assert entries.decode_revocation(entry) != entries.decode_revocation(entry + b" ")
