"""Nodes that come and leave while replicas run: who is believed, waited for and counted (replica rule 9)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stsd.revocation.messages import Batch, Checkpoint, Digest, Floor, Head, Origin
from stsd.revocation.peer_records import Peer, sign_peer
from tests.revocation.removals import NOW, ROOT, A, B, C, history, node, peer_set, remove, take, tell
from tests.revocation.signed import announced, heartbeat, signed, signer


def test_what_others_tell_counts_as_far_as_it_can_be_had():
    peers = peer_set(A, B, C)
    replica = node(A, peers, B, C)
    first, second, third = history(C, 3)
    take(replica, B.region, first, second, of=C)
    told = {B: Head(5, bytes(32)), C: Head(3, third.chain)}
    assert replica.obtainable(told) == {B: 5, C: 3}
    remove(peers, B, 2)
    other = signed(Batch(C, 2, (b"another",), NOW), first.chain)
    assert take(replica, B.region, other, of=C) == ("fork",)
    assert replica.obtainable(told) == {B: 2, C: 1}


def test_who_is_not_in_the_peer_set_is_not_believed():
    replica = node(A, peer_set(A, B), B)
    assert take(replica, B.region, *history(C, 1), of=C) == ("not_a_peer", "unknown_identity")
    assert replica.heads() == {}
    digest = Digest(0, C, {}, {C: heartbeat(C, NOW)}, announced(C))
    assert [reason for reason, _ in replica.receive(B.region, digest, NOW).refused] == [
        "not_a_peer",
        "unknown_identity",
    ]
    assert C not in replica.staleness(NOW)


def test_who_left_is_believed_up_to_its_leaving_heads():
    peers, batches = peer_set(A, B, C), history(C, 3)
    replica = node(A, peers, B, C)
    take(replica, C.region, batches[0], of=C)
    remove(peers, C, 2)
    assert replica.regroup([B.region], NOW) == ()
    assert take(replica, B.region, batches[1], of=C) == ()
    assert take(replica, B.region, batches[2], of=C) == ("left",)
    assert replica.heads() == {C: 2}


def test_what_was_taken_in_beyond_the_leaving_heads_is_handed_out_to_be_said_anew():
    peers, batches = peer_set(A, B, C), history(C, 3)
    replica = node(A, peers, B, C)
    take(replica, C.region, *batches, of=C)
    remove(peers, C, 1)
    assert replica.regroup([B.region], NOW) == tuple(batches[1:])
    assert replica.heads() == {C: 1}
    assert take(replica, B.region, batches[1], of=C) == ("left",)
    own = replica.append([entry for batch in batches[1:] for entry in batch.entries], NOW)
    assert replica.committed(own, NOW).applied == (own,)


def test_what_one_that_left_had_said_behind_a_gap_that_nobody_can_fill_is_handed_out_once():
    peers, (first, _, third) = peer_set(A, B, C), history(C, 3)
    replica = node(A, peers, B, C)
    take(replica, C.region, first, third, of=C)
    remove(peers, C, 3)
    assert replica.regroup([B.region], NOW) == ()
    assert replica.stranded(NOW) == ()  # nobody has said yet what it holds
    tell(replica, B, first)
    assert replica.stranded(NOW) == (third,)
    assert replica.stranded(NOW) == ()
    assert (replica.heads(), list(replica.seen())) == ({C: 1}, [first])


def test_what_is_behind_a_gap_is_waited_for_while_a_peer_can_fill_it():
    peers, (first, second, third) = peer_set(A, B, C), history(C, 3)
    replica = node(A, peers, B, C)
    take(replica, C.region, first, third, of=C)
    remove(peers, C, 3)
    replica.regroup([B.region], NOW)
    tell(replica, B, second)
    assert replica.stranded(NOW) == ()
    take(replica, B.region, second, of=C)
    assert replica.stranded(NOW) == ()
    assert replica.heads() == {C: 3}


def test_what_is_behind_a_gap_of_a_member_is_waited_for():
    first, _, third = history(C, 3)
    replica = node(A, peer_set(A, B, C), B, C)
    take(replica, C.region, first, third, of=C)
    for peer in (B, C):
        tell(replica, peer, first)
    assert replica.stranded(NOW) == ()
    assert list(replica.seen()) == [first, third]


def test_what_was_handed_out_comes_back_into_the_log_if_somebody_has_the_rest_after_all():
    peers, batches = peer_set(A, B, C), history(C, 3)
    replica = node(A, peers, B, C)
    take(replica, C.region, batches[0], batches[2], of=C)
    remove(peers, C, 3)
    replica.regroup([B.region], NOW)
    tell(replica, B, batches[0])
    assert replica.stranded(NOW) == (batches[2],)
    take(replica, B.region, *batches, of=C)
    assert replica.heads() == {C: 3}


def test_who_left_keeps_its_own_log_as_it_is():
    """Peers that have more of it than it has would make it write all of that anew, for nobody."""
    peers = peer_set(A, B)
    replica = node(A, peers, B)
    for number in range(2):
        replica.committed(replica.append([b"entry %d" % number], NOW), NOW)
    remove(peers, A, 1)
    assert replica.regroup([], NOW) == ()
    assert (replica.heads(), replica.overtaken) == ({A: 2}, False)


def test_who_left_and_finds_its_log_forked_says_it_anew_once():
    """Nobody believes its new incarnation, so it says it to itself alone, and must not do so for ever."""
    peers = peer_set(A, B)
    replica = node(A, peers, B)
    batch = replica.append([b"entry"], NOW)
    replica.committed(batch, NOW)
    theirs = signed(replace(batch, entries=(b"theirs",)), batch.previous)
    take(replica, B.region, theirs, of=A)
    remove(peers, A, 1)
    replica.regroup([], NOW)
    assert replica.renew("f" * 16) == (batch,)
    replica.committed(replica.append([b"entry"], NOW), NOW)
    assert replica.orphans(NOW) == ()
    assert replica.regroup([], NOW) == ()
    assert replica.heads() == {A: 1, replica.origin: 1}


def test_a_journal_with_more_than_the_leaving_heads_is_cut_at_start():
    peers, batches = peer_set(A, B, C), history(C, 3)
    remove(peers, C, 2)
    replica = node(A, peers, B, C)
    assert replica.restore(batches) == tuple(batches)
    assert replica.regroup([B.region], NOW) == (batches[2],)


def test_a_journal_of_one_that_is_not_believed_at_all_is_cut_at_start_too():
    peers, batches = peer_set(A, B, C), history(C, 2)
    remove(peers, C, 0)
    replica = node(A, peers, B, C)
    replica.restore(batches)
    assert replica.regroup([B.region], NOW) == tuple(batches)
    assert (replica.heads(), replica.digest().heads) == ({}, {})


def test_who_left_is_not_stale_not_waited_for_and_counts_as_no_copy():
    peers = peer_set(A, B, C)
    replica = node(A, peers, B, C)
    for other in (B, C):
        replica.receive(other.region, Digest(0, other, {}, {other: heartbeat(other, NOW)}, announced(other)), NOW)
    assert set(replica.staleness(NOW + 60)) == {A, B, C}
    remove(peers, C, 0)
    replica.regroup([B.region], NOW + 60)
    assert set(replica.staleness(NOW + 60)) == {A, B}
    assert replica.unheard(NOW + 60) == {}
    assert C not in replica.digest().heartbeats
    assert C not in {told.origin for told in replica.digest().identities}
    batch = replica.append([b"entry"], NOW)
    assert {peer for peer, _ in replica.committed(batch, NOW).send} == {B.region}
    assert replica.holders(1) == ()


def test_who_comes_is_pushed_to_and_is_stale_from_its_coming():
    peers = peer_set(A, B)
    replica = node(A, peers, B)
    replica.receive(B.region, Digest(0, B, {}, {B: heartbeat(B, NOW + 900)}, announced(B)), NOW + 900)
    peers.take(sign_peer(ROOT, ROOT.public_key, Peer(C.region, signer(C).public_key, "http://127.0.0.1:1", 0)))
    replica.regroup([B.region, C.region], NOW + 900)
    assert replica.unheard(NOW + 905) == {C.region: 5.0}
    batch = replica.append([b"entry"], NOW)
    assert {peer for peer, _ in replica.committed(batch, NOW).send} == {B.region, C.region}
    assert take(replica, C.region, *history(C, 1), of=C) == ()


def test_a_node_that_came_to_a_region_anew_is_unheard_although_its_predecessor_was():
    peers = peer_set(A, B)
    replica = node(A, peers, B)
    replica.receive(B.region, Digest(0, B, {}, {B: heartbeat(B, NOW)}, announced(B)), NOW)
    remove(peers, B, 0)
    successor = Origin(B.region, "1", "2" * 16)
    key = signer(successor).public_key
    peers.take(sign_peer(ROOT, ROOT.public_key, Peer(B.region, key, "http://127.0.0.1:1", 1)))
    replica.regroup([B.region], NOW + 900)
    assert replica.unheard(NOW + 903) == {B.region: 3.0}


@pytest.mark.parametrize("told", [2, 9])
def test_who_joins_does_not_wait_for_what_is_not_believed_any_more(told):
    peers, batches = peer_set(A, B, C), history(C, 2)
    remove(peers, C, 2)
    replica = node(A, peers, B, C, joined=False)
    replica.receive(B.region, Digest(0, B, {C: Head(told, batches[1].chain)}, {}, announced(B, C)), NOW)
    assert not replica.joined
    take(replica, B.region, *batches, of=C)
    assert replica.joined


def test_nothing_is_told_of_one_that_is_not_believed_at_all_whatever_was_pruned_of_its_log():
    """Who came later does not know its key, and would wait for it and be stale for ever."""
    peers, batches = peer_set(A, B, C), history(C, 3)
    replica = node(A, peers, B, C)
    take(replica, C.region, *batches, of=C)
    pruned = Checkpoint(0, B, NOW, {C: Floor(Head(3, batches[2].chain))})
    pruned = replace(pruned, signature=signer(B).sign(replica.identities.checkpoint_content(pruned)))
    replica.restore((), (), pruned)
    replica.receive(B.region, pruned, NOW)
    remove(peers, C, 0)
    replica.regroup([B.region], NOW)
    assert C not in replica.digest().heads
    came = node(A, peers, B, joined=False)
    assert came.receive(B.region, pruned, NOW).adopted == {}
    assert set(came.staleness(NOW)) == {A}


def test_who_joins_is_not_stale_and_does_not_wait_because_of_one_that_others_still_believe():
    """They have not heard yet that it left, and tell its key and its heads."""
    peers, batches = peer_set(A, B, C), history(C, 2)
    remove(peers, C, 0)
    replica = node(A, peers, B, joined=False)
    told = Digest(0, B, {C: Head(2, batches[1].chain)}, {}, announced(B, C))
    ready = replica.receive(B.region, told, NOW)
    assert (ready.send, [reason for reason, _ in ready.refused]) == ((), ["not_a_peer"])
    assert replica.joined
    assert C not in replica.staleness(NOW)


def test_who_joins_waits_for_one_of_which_it_has_not_heard_yet():
    """The others know that it came; the news of it is on its way."""
    peers = peer_set(A, B)
    replica = node(A, peers, B, joined=False)
    told = Digest(0, B, {C: Head(2, history(C, 2)[1].chain)}, {}, announced(B, C))
    assert [reason for reason, _ in replica.receive(B.region, told, NOW).refused] == ["not_a_peer"]
    assert not replica.joined
    peers.take(sign_peer(ROOT, ROOT.public_key, Peer(C.region, signer(C).public_key, "http://127.0.0.1:1", 0)))
    replica.regroup([B.region, C.region], NOW)
    take(replica, B.region, *history(C, 2), of=C)
    assert replica.joined
