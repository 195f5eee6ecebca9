"""Logs of nodes that left, of which something was forgotten: where they end, and what others are asked for."""

from __future__ import annotations

import pytest

from stsd.revocation.messages import UNKNOWN, Batch, Delta, Digest, Fetch, Floor, Fork, Head, Message
from stsd.revocation.peer_set import PeerSet
from stsd.revocation.replica import Replica
from tests.revocation.nodes import messages
from tests.revocation.removals import NOW, A, B, C, claim_of, fresh, history, node, peer_set, remove, take, tell
from tests.revocation.signed import announced, signed


def test_a_log_that_a_peer_has_pruned_beyond_the_leaving_heads_is_gone_on_with_up_to_them():
    """What the peer keeps from beyond them it says itself, so whoever lacks it must not take it for over."""
    peers, batches = peer_set(A, B, C), history(C, 4)
    replica = node(A, peers, B, C)
    remove(peers, C, 2)
    replica.regroup([B.region], NOW)
    pruned = claim_of(replica, B, Floor(Head(3, batches[2].chain), ((1, 1), (3, 3))))
    assert replica.receive(B.region, pruned, NOW).adopted == {}
    ready = replica.receive(B.region, Delta(0, (batches[0],), identities=announced(C)), NOW)
    assert ready.adopted == {C: 2}
    replica.saved(ready, NOW)
    assert (replica.chained_heads(), fresh(replica, 2, 3)) == ({C: Head(2, UNKNOWN)}, [True, False])
    assert replica.checkpoint().floors == {C: Floor(Head(2, UNKNOWN), ((1, 1),))}


def test_what_is_claimed_beyond_the_leaving_heads_is_no_news_where_they_are_reached():
    peers, batches = peer_set(A, B, C), history(C, 3)
    replica = node(A, peers, B, C)
    take(replica, C.region, *batches, of=C)
    remove(peers, C, 1)
    replica.regroup([B.region], NOW)
    pruned = claim_of(replica, B, Floor(Head(3, batches[2].chain)))
    assert replica.receive(B.region, pruned, NOW).adopted == {}
    assert fresh(replica, 1, 2, 3) == [True, False, False]


def cut_below_its_floor(peers: PeerSet, batches: list[Batch], limit: int = 2) -> Replica:
    """A node that has pruned C's log to 4, of which it keeps 3 and 4, when it hears that C left at `limit`."""
    replica = node(A, peers, B, C)
    replica.receive(B.region, claim_of(replica, B, Floor(Head(4, batches[3].chain), ((3, 4),))), NOW)
    ready = replica.receive(B.region, Delta(0, tuple(batches[2:4]), identities=announced(C)), NOW)
    assert ready.adopted == {C: 4}
    replica.saved(ready, NOW)
    remove(peers, C, limit)
    assert replica.regroup([B.region], NOW) == tuple(batches[2:4])
    return replica


def test_a_log_that_was_pruned_beyond_the_leaving_heads_ends_at_them():
    replica = cut_below_its_floor(peer_set(A, B, C), history(C, 4))
    assert replica.chained_heads() == {C: Head(2, UNKNOWN)}
    assert replica.checkpoint().floors == {C: Floor(Head(2, UNKNOWN))}
    assert replica.tick(NOW).adopted == {C: 2}  # so the disk will say so, too
    assert fresh(replica, 2, 3) == [True, False]


def test_an_end_without_a_chain_hash_agrees_with_every_history():
    peers, batches = peer_set(A, B, C), history(C, 4)
    replica = cut_below_its_floor(peers, batches)
    assert messages(tell(replica, B, batches[1]), Fetch) == []
    other = node(B, peers, A, C)
    take(other, C.region, *batches[:2], of=C)
    told = Digest(0, A, replica.digest().heads, {}, announced(A))
    assert messages(other.receive(A.region, told, NOW), Fetch) == []
    assert A.region in other.holders(2, C)


def test_a_log_that_ended_at_lower_leaving_heads_goes_on_to_higher_ones():
    """Of two removals the larger heads count in the end, whichever was heard of first."""
    peers, batches = peer_set(A, B, C), history(C, 5)
    replica = cut_below_its_floor(peers, batches)
    remove(peers, C, 5)
    assert replica.regroup([B.region], NOW) == ()
    assert fresh(replica, 2, 3, 4) == [True, False, False]
    assert take(replica, B.region, *batches[2:], of=C) == ()
    assert (replica.chained_heads(), fresh(replica, 3, 4, 5)) == ({C: Head(5, batches[4].chain)}, [True] * 3)


def test_who_left_with_no_head_at_all_leaves_no_floor():
    peers, batches = peer_set(A, B, C), history(C, 4)
    replica = cut_below_its_floor(peers, batches, limit=0)
    assert (replica.heads(), replica.checkpoint().floors) == ({}, {})


def meet(one: Replica, other: Replica, seconds: int = 4) -> list[Message]:
    """Both tick for a while, every message arrives, disks always work; what was said in the last second."""
    by_region, said = {one.origin.region: one, other.origin.region: other}, []
    for second in range(1, seconds + 1):
        said, now = [], NOW + second
        sent = []
        for replica in by_region.values():
            ready = replica.tick(now)
            replica.saved(ready, now)
            sent += [(replica, to, message) for to, message in ready.send if to in by_region]
        while sent:
            sender, to, message = sent.pop(0)
            said.append(message)
            ready = by_region[to].receive(sender.origin.region, message, now)
            answers = (*ready.send, *(by_region[to].saved(ready, now).send if ready.stores else ()))
            sent += [(by_region[to], peer, answer) for peer, answer in answers]
    return said


def test_a_floor_that_was_claimed_before_its_author_left_is_asked_for_as_it_is_now():
    """What was kept below it is gone from that log, and would be asked for in vain."""
    peers, batches = peer_set(A, B, C), history(C, 4)
    other = node(B, peers, A, C)
    other.receive(A.region, claim_of(other, A, Floor(Head(4, batches[3].chain))), NOW)
    replica = node(A, peers, B, C)
    claimed = claim_of(replica, B, Floor(Head(4, batches[3].chain), ((3, 4),)))
    assert replica.receive(B.region, claimed, NOW).adopted == {}
    remove(peers, C, 2)
    other.regroup([A.region], NOW)
    replica.regroup([B.region], NOW)
    meet(replica, other)
    assert replica.heads() == other.heads() == {C: 2}


def test_a_peer_without_what_another_one_kept_is_asked_for_what_it_has():
    """Whoever kept it is gone."""
    peers, batches = peer_set(A, B, C), history(C, 4)
    replica, other = node(A, peers, B, C), node(B, peers, A, C)
    take(other, C.region, *batches[:2], of=C)
    replica.receive(C.region, claim_of(replica, C, Floor(Head(4, batches[3].chain), ((3, 4),))), NOW)
    meet(replica, other)
    assert replica.heads() == {C: 2}


def test_a_peer_is_not_asked_for_ever_for_what_it_held_before_it_cut_the_log():
    """Of two removals it heard first of the smaller heads. What is held behind the gap is said anew."""
    peers, batches = peer_set(A, B, C), history(C, 4)
    replica, other = node(A, peers, B, C), node(B, peers, A, C)
    take(other, C.region, *batches, of=C)
    take(replica, C.region, *batches[:2], batches[3], of=C)
    replica.receive(B.region, other.digest(), NOW)
    remove(peers, C, 2)
    other.regroup([A.region], NOW)
    remove(peers, C, 4)
    other.regroup([A.region], NOW)
    replica.regroup([B.region], NOW)
    assert not any(isinstance(message, Fetch) for message in meet(replica, other))
    assert replica.stranded(NOW) == (batches[3],)


def test_a_floor_that_could_not_be_stored_before_the_log_was_cut_is_stored_as_it_is_now():
    peers, batches = peer_set(A, B, C), history(C, 4)
    replica = node(A, peers, B, C)
    ready = replica.receive(B.region, claim_of(replica, B, Floor(Head(4, batches[3].chain))), NOW)
    remove(peers, C, 2)
    replica.regroup([B.region], NOW)
    replica.failed(ready)
    replica.saved(replica.tick(NOW), NOW)
    assert replica.heads() == {C: 2}


def test_a_restart_with_a_checkpoint_of_before_the_log_was_cut_ends_it_there_too():
    """What was kept beyond the leaving heads was said anew, and its rows are gone."""
    peers, batches = peer_set(A, B, C), history(C, 4)
    replica = node(A, peers, B, C)
    checkpoint = claim_of(replica, A, Floor(Head(4, batches[3].chain), ((1, 1), (3, 4))))
    remove(peers, C, 2)
    replica.restore([batches[0], batches[3]], (), checkpoint)
    assert replica.regroup([B.region], NOW) == (batches[3],)
    assert replica.heads() == {C: 2}


@pytest.mark.parametrize("limit", [0, 1])
def test_who_left_keeps_its_own_floor_after_a_restart(limit):
    peers, batches = peer_set(A, B), history(A, 3)
    replica = node(A, peers, B)
    checkpoint = claim_of(replica, A, Floor(Head(3, batches[2].chain)), log=A)
    remove(peers, A, limit)
    replica.restore([], (), checkpoint)
    assert replica.heads() == {A: 3}


def test_what_is_not_believed_proves_no_fork_after_a_restart_either():
    peers, batches = peer_set(A, B, C), history(C, 3)
    fork = Fork(C, batches[2], signed(Batch(C, 2, (b"another",) * 2, NOW), batches[0].chain))
    remove(peers, C, 2)
    replica = node(A, peers, B, C)
    replica.restore([], [fork], claim_of(replica, A, Floor(Head(2, batches[1].chain))))
    replica.regroup([B.region], NOW)
    assert (replica.heads(), replica.forks()) == ({C: 2}, ())


def test_what_was_refused_before_its_author_left_proves_no_fork_to_others_who_do_not_believe_it():
    peers, batches = peer_set(A, B, C), history(C, 6)
    replica = node(A, peers, B, C)
    replica.saved(replica.receive(B.region, claim_of(replica, B, Floor(Head(6, batches[5].chain))), NOW), NOW)
    assert take(replica, B.region, signed(Batch(C, 1, (b"another",) * 4, NOW)), of=C) == ()
    remove(peers, C, 3)
    replica.regroup([B.region], NOW)
    assert take(replica, B.region, batches[1], of=C) == ()
    assert replica.forks() == ()


def test_nobody_goes_on_from_an_unknown_place_in_the_log_of_a_member():
    """It would take any history for the one that goes on there."""
    peers = peer_set(A, B, C)
    replica = node(A, peers, B, C)
    claimed = claim_of(replica, B, Floor(Head(2, UNKNOWN)))
    assert replica.receive(B.region, claimed, NOW).adopted == {}
    remove(peers, C, 2)
    assert replica.receive(B.region, claimed, NOW).adopted == {C: 2}
