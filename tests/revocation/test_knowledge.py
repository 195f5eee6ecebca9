"""What a replica tells its shell: copies, staleness, and whether it is fresh enough."""

import pytest

from stsd.revocation.messages import (
    Batch,
    Delta,
    Digest,
)
from stsd.revocation.replica import TokenShapeError
from tests.revocation.nodes import NOW, A, B, C, head_of, messages, origin, replica, take, write
from tests.revocation.signed import digest, heartbeat, signed


def test_copies_are_counted_from_receipts():
    a, b = replica(A), replica(B)
    batch, pushed = write(a)
    assert a.copies(1) == 1
    _, receipt = take(b, A, pushed.send[0][1])
    a.receive(B, receipt.send[0][1], NOW)
    assert (a.copies(1), a.holders(1), a.copies(2)) == (2, (B,), 1)
    a.receive(C, digest(origin(C), {batch.origin: head_of(batch)}), NOW)
    assert a.holders(1) == (B, C)


def test_a_peer_that_comes_back_with_another_disk_holds_no_copy():
    a = replica(A)
    batch, _ = write(a)
    a.receive(B, digest(origin(B), {origin(A): head_of(batch)}), NOW)
    assert a.copies(1) == 2
    a.receive(B, digest(origin(B, 2)), NOW)
    assert a.copies(1) == 1


# Staleness.


def test_a_heartbeat_counts_only_when_its_head_is_applied():
    a, b = replica(A), replica(B)
    batch, _ = write(a)
    b.receive(A, digest(origin(A), {}, {origin(A): heartbeat(origin(A), NOW, 0)}), NOW)
    b.receive(A, digest(origin(A), {origin(A): 1}, {origin(A): heartbeat(origin(A), NOW + 5, 1, batch.chain)}), NOW + 5)
    assert b.staleness(NOW + 6)[origin(A)] == 6.0
    b.receive(A, Delta(0, (batch,), "last"), NOW + 6)
    assert b.staleness(NOW + 6)[origin(A)] == 1.0


def test_under_a_steady_stream_earlier_heartbeats_count_while_the_newest_waits():
    a, b = replica(A), replica(B)
    batches = [write(a, now=NOW + second)[0] for second in range(201)]
    for second, batch in enumerate(batches[:200]):
        ahead = heartbeat(origin(A), NOW + second + 0.5, second + 2, batches[second + 1].chain)
        b.receive(A, digest(origin(A), {}, {origin(A): ahead}), NOW + second)
        take(b, A, Delta(0, (batch,)), NOW + second)
    assert b.staleness(NOW + 200)[origin(A)] <= 1.5


def test_a_late_heartbeat_takes_nothing_back():
    b = replica(B)
    b.receive(A, digest(origin(A), {}, {origin(A): heartbeat(origin(A), NOW + 5, 0)}), NOW + 5)
    b.receive(C, digest(origin(C), {}, {origin(A): heartbeat(origin(A), NOW, 0)}), NOW + 5)
    assert b.staleness(NOW + 6)[origin(A)] == 1.0


def test_after_a_restart_the_age_of_the_last_entry_counts():
    b = replica(B)
    b.restore([signed(Batch(origin(A), 1, (b"x",), NOW - 30))])
    assert b.staleness(NOW)[origin(A)] == 30.0


def test_an_origin_of_which_only_a_gap_is_known_is_as_old_as_the_node():
    b = replica(B)
    b.receive(C, digest(origin(C), {origin(A): 4}), NOW + 3)
    assert b.staleness(NOW + 7)[origin(A)] == 7.0


def test_our_own_log_is_never_stale():
    assert replica(A).staleness(NOW + 9) == {origin(A): 0.0}


def test_a_peer_never_heard_of_is_as_old_as_this_node():
    b = replica(B)
    assert b.oldest_staleness(NOW + 9) == 9.0
    heard = {origin(A): heartbeat(origin(A), NOW + 8, 0), origin(C): heartbeat(origin(C), NOW + 6, 0)}
    b.receive(A, digest(origin(A), {}, heard), NOW + 9)
    assert b.oldest_staleness(NOW + 9) == 3.0


def test_a_replaced_incarnation_counts_until_every_peer_told_that_nothing_is_missing():
    b = replica(B)
    old, new = origin(A, 1), origin(A, 2)
    b.receive(A, digest(old, {}, {old: heartbeat(old, NOW, 0)}), NOW)
    b.receive(A, digest(new, {}, {new: heartbeat(new, NOW + 60, 0)}), NOW + 60)
    assert b.staleness(NOW + 60)[old] == 60.0
    b.receive(C, digest(origin(C), {old: 1}), NOW + 61)  # C holds something that A lost and B never saw
    assert old in b.staleness(NOW + 61)
    take(b, C, Delta(0, (signed(Batch(old, 1, (b"x",), NOW + 1)),), "last"), NOW + 61)
    b.receive(C, digest(origin(C), {old: 1}), NOW + 62)
    assert set(b.staleness(NOW + 62)) == {origin(B), new}


def test_heartbeats_of_living_origins_are_passed_on():
    b = replica(B)
    b.receive(A, digest(origin(A), {}, {origin(A): heartbeat(origin(A), NOW, 0)}), NOW)
    b.receive(A, digest(origin(A, 2), {}, {origin(A, 2): heartbeat(origin(A, 2), NOW + 9, 0)}), NOW + 9)
    (told, _) = messages(b.tick(NOW + 10), Digest)
    assert told.heartbeats == {
        origin(A, 2): heartbeat(origin(A, 2), NOW + 9, 0),
        origin(B): heartbeat(origin(B), NOW + 10, 0),
    }


# Revocation tokens and epochs.


def test_a_node_is_fresh_enough_when_everything_up_to_the_token_is_applied():
    a, b = replica(A), replica(B)
    first, second = write(a)[0], write(a)[0]
    token = a.token(2)
    assert a.fresh_enough(token)
    b.receive(A, Delta(0, (second,)), NOW)
    assert not b.fresh_enough(token)
    b.receive(A, Delta(0, (first,)), NOW)
    assert b.fresh_enough(token)


def test_a_token_of_a_former_epoch_asks_for_nothing_and_one_of_a_later_is_never_reached():
    a = replica(A, epoch=1)
    assert a.fresh_enough(replica(A).token(5))
    assert not a.fresh_enough(replica(A, epoch=2).token(5))
    with pytest.raises(TokenShapeError):
        a.fresh_enough("?")


def test_what_is_applied_can_be_applied_anew():
    a, b = replica(A), replica(B)
    write(a)
    ahead, push = write(a)
    b.receive(A, push.send[0][1], NOW)
    own, _ = write(b)
    assert set(b.seen()) == {ahead, own}
