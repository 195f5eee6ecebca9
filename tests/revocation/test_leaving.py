"""Nodes that come and leave while replicas run: who is believed, waited for and counted (replica rule 9)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stsd.revocation import revocation_token
from stsd.revocation.identity import Identities, Signer
from stsd.revocation.messages import (
    UNKNOWN,
    Batch,
    Checkpoint,
    Delta,
    Digest,
    Fetch,
    Floor,
    Fork,
    Head,
    Message,
    Origin,
    Ready,
)
from stsd.revocation.peer_records import Left, Peer, sign_left, sign_peer
from stsd.revocation.peer_set import PeerSet
from stsd.revocation.replica import Replica
from stsd.revocation.revocation_token import RevocationToken
from tests.revocation.nodes import messages
from tests.revocation.signed import CLUSTER_KEY, announced, heartbeat, signed, signer

NOW = 1_795_435_200.0
ROOT = Signer(b"r" * 32)
A, B, C = (Origin(region, "1", "0" * 16) for region in ("eu-west-1", "us-east-1", "ap-southeast-1"))


def peer_set(*origins: Origin) -> PeerSet:
    peers = (Peer(each.region, signer(each).public_key, "http://127.0.0.1:1", 0) for each in origins)
    return PeerSet(ROOT.public_key, (sign_peer(ROOT, ROOT.public_key, peer) for peer in peers))


def node(own: Origin, peers: PeerSet, *others: Origin, joined: bool = True) -> Replica:
    identities = Identities(CLUSTER_KEY, 0, peers.limit, left=peers.has_left)
    identities.restore(announced(*others))
    names = [other.region for other in others]
    return Replica(own, names, NOW, signer=signer(own), identities=identities, joined=joined)


def history(origin: Origin, length: int) -> list[Batch]:
    batches: list[Batch] = []
    for number in range(1, length + 1):
        batch = Batch(origin, number, (b"entry %d" % number,), NOW)
        batches.append(signed(batch, batches[-1].chain if batches else None))
    return batches


def take(replica: Replica, peer: str, *batches: Batch, of: Origin) -> tuple[str, ...]:
    """The reasons of what was refused."""
    ready = replica.receive(peer, Delta(0, batches, identities=announced(of)), NOW)
    replica.saved(ready, NOW)
    return tuple(reason for reason, _ in ready.refused)


def remove(peers: PeerSet, origin: Origin, head: int) -> None:
    left = Left({origin: head} if head else {}, int(NOW))
    assert peers.take(sign_left(ROOT, signer(origin).public_key, left)) == "new"


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


def tell(replica: Replica, peer: Origin, at: Batch) -> Ready:
    """A peer tells how far it holds C's log."""
    return replica.receive(peer.region, Digest(0, peer, {C: Head(at.last, at.chain)}, {}, announced(peer)), NOW)


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


def claim_of(replica: Replica, origin: Origin, floor: Floor, *, log: Origin = C) -> Checkpoint:
    """A node says that it has pruned a log."""
    pruned = Checkpoint(0, origin, NOW, {log: floor})
    return replace(pruned, signature=signer(origin).sign(replica.identities.checkpoint_content(pruned)))


def fresh(replica: Replica, *sequences: int) -> list[bool]:
    """Whether the tokens of these entries of C are honoured."""
    return [replica.fresh_enough(revocation_token.encode(RevocationToken(C, each, 0))) for each in sequences]


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
