"""The limits of what one origin, one batch and one answer may cost (design 2.4)."""

from __future__ import annotations

from dataclasses import replace

from stsd.revocation.bounds import SERVED, Bounds
from stsd.revocation.identity import MAX_INCARNATIONS, Identities, Signer
from stsd.revocation.messages import MAX_BATCH_BYTES, MAX_FETCH_BYTES, MAX_FETCH_ENTRIES, Batch, Delta, Fetch, Origin
from stsd.revocation.rate import Rates
from stsd.revocation.replica import Replica
from tests.revocation.signed import CLUSTER_KEY, node, signed

NOW = 1_795_435_200.0
A, B = (Origin(region, "1", "0" * 16) for region in ("eu-west-1", "us-east-1"))


def receiver(bounds: Bounds = SERVED) -> Replica:
    return node(A, [B.region], NOW, knows=(B,), bounds=bounds)


def refused(replica: Replica, delta: Delta, now: float = NOW) -> list[str]:
    ready = replica.receive(B.region, delta, now)
    replica.saved(ready, now)
    return [reason for reason, _ in ready.refused]


def test_an_origin_has_a_burst_and_then_a_sustained_rate():
    rates = Rates(sustained_per_s=10, burst=100)
    assert rates.take(A, 100, NOW)
    assert not rates.take(A, 1, NOW)
    assert rates.take(B, 100, NOW)  # each for itself
    assert rates.take(A, 10, NOW + 1)
    assert not rates.take(A, 1, NOW + 1)
    assert not rates.take(A, 101, NOW + 3_600)  # a burst is not saved up beyond its size
    assert rates.take(A, 100, NOW + 3_600)
    assert not rates.take(A, 1, NOW)  # a clock that goes back gives nothing


def test_a_storm_of_cut_offs_fits_into_the_burst():
    assert Rates(SERVED.pushed_per_s, SERVED.push_burst).take(A, 100_000, NOW)


def test_what_is_pushed_too_fast_changes_nothing_and_comes_when_it_is_asked_for():
    replica, batches = receiver(Bounds(pushed_per_s=1.0, push_burst=3.0)), []
    for number in range(2):
        batch = Batch(B, 1 + 2 * number, (b"one", b"two"), NOW)
        batches.append(signed(batch, batches[-1].chain if batches else None))
    assert refused(replica, Delta(0, (batches[0],))) == []
    assert refused(replica, Delta(0, (batches[1],))) == ["rate_limited"]
    assert replica.heads() == {B: 2}
    assert refused(replica, Delta(0, (batches[1],), "last")) == []
    assert replica.heads() == {B: 4}


def test_a_batch_beyond_its_size_is_refused_from_others_and_not_made_here():
    replica = receiver()
    huge = signed(Batch(B, 1, (bytes(MAX_BATCH_BYTES),), NOW))
    assert refused(replica, Delta(0, (huge,))) == ["oversized"]
    assert replica.heads() == {}


def test_a_key_signs_for_a_bounded_number_of_incarnations():
    identities, stolen = Identities(CLUSTER_KEY), Signer(b"x" * 32)
    origins = [replace(B, incarnation=f"{number:016x}") for number in range(MAX_INCARNATIONS + 1)]
    results = [identities.admit(identities.announce(origin, stolen)) for origin in origins]
    assert results == ["new"] * MAX_INCARNATIONS + ["too_many_incarnations"]
    assert len(identities) == MAX_INCARNATIONS
    assert identities.admit(identities.announce(A, Signer(b"y" * 32))) == "new"


def test_an_answer_to_a_fetch_ends_at_its_limits():
    writer = node(B, [A.region], NOW, knows=(A,))
    for _ in range(MAX_FETCH_ENTRIES // 8_000 + 2):
        batch = writer.append([b"entry"] * 8_000, NOW)
        writer.committed(batch, NOW)
    deltas = [message for _, message in writer.receive(A.region, Fetch(0, {B: 0}), NOW).send]
    entries = sum(len(batch.entries) for delta in deltas for batch in delta.batches)
    assert MAX_FETCH_ENTRIES <= entries < MAX_FETCH_ENTRIES + 8_000
    assert all(sum(batch.encoded_bytes for batch in delta.batches) <= MAX_BATCH_BYTES for delta in deltas)
    assert sum(batch.encoded_bytes for delta in deltas for batch in delta.batches) <= MAX_FETCH_BYTES


def test_an_answer_holds_one_batch_whatever_the_bounds():
    replica = receiver(Bounds(page_bytes=1, fetch_bytes=1, fetch_entries=1))
    for _ in range(2):
        replica.committed(replica.append([b"one", b"two"], NOW), NOW)
    [answer] = [answer for _, answer in replica.receive(B.region, Fetch(0, {A: 0}), NOW).send]
    assert [batch.first for batch in answer.batches] == [1]
