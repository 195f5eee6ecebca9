"""What a replica hears: what is applied, what is a fork, and what is not believed."""

from dataclasses import replace

import pytest

from stsd.revocation.identity import Identities, Signer
from stsd.revocation.messages import (
    Ack,
    Batch,
    Delta,
    Digest,
    Fetch,
    Fork,
    Ready,
)
from stsd.revocation.replica import Replica, ReplicaError
from tests.revocation.nodes import NOTHING, NOW, A, B, C, exchange, head_of, origin, replica, take, write
from tests.revocation.signed import CLUSTER_KEY, announced, digest, heartbeat, known, signed, signer

# Receiving.


def test_what_arrives_is_applied_at_once_and_acknowledged_only_when_it_is_stored():
    batch, _ = write(replica(A))
    node = replica(B)
    ready = node.receive(A, Delta(0, (batch,)), NOW)
    assert (ready.applied, ready.save, ready.send) == ((batch,), (batch,), ())
    assert node.heads() == {}
    assert node.saved(ready, NOW).send == ((A, Ack(0, {origin(A): head_of(batch)})),)
    assert node.heads() == {origin(A): 1}


def test_a_batch_ahead_of_a_gap_is_applied_and_the_gap_is_asked_for():
    writer, node = replica(A), replica(B)
    first, second = write(writer)[0], write(writer)[0]
    ready, answer = take(node, A, Delta(0, (second,)))
    assert ready.applied == (second,)
    assert node.heads() == {}
    assert answer.send == ((A, Ack(0, {origin(A): NOTHING})), (A, Fetch(0, {origin(A): 0})))
    ready, _ = take(node, A, Delta(0, (first, second), "last"))
    assert ready.applied == (first,)
    assert node.heads() == {origin(A): 2}


def test_a_duplicate_is_acknowledged_again_and_changes_nothing():
    batch, _ = write(replica(A))
    node = replica(B)
    take(node, A, Delta(0, (batch,)))
    ready, _ = take(node, A, Delta(0, (batch,)))
    assert ready == Ready(send=((A, Ack(0, {origin(A): head_of(batch)})),))


def test_a_duplicate_of_what_is_still_being_stored_is_not_a_receipt():
    batch, _ = write(replica(A))
    node = replica(B)
    node.receive(A, Delta(0, (batch,)), NOW)
    assert node.receive(C, Delta(0, (batch,)), NOW).send == ((C, Ack(0, {origin(A): NOTHING})),)


@pytest.mark.parametrize("other", [Batch(origin(A), 1, (b"other",), NOW), Batch(origin(A), 2, (b"b", b"c"), NOW)])
def test_another_content_for_a_known_sequence_is_a_fork_told_once_with_its_proof(other):
    batch, _ = write(replica(A), b"a", b"b")
    node, other = replica(B), signed(other)
    take(node, A, Delta(0, (batch,)))
    ready, _ = take(node, A, Delta(0, (other,)))
    assert (ready.applied, ready.save, ready.forks) == ((), (), (Fork(origin(A), batch, other),))
    assert node.receive(A, Delta(0, (other,)), NOW).forks == ()
    assert node.refused == {"fork": 1, "stopped": 1}
    assert node.heads() == {origin(A): 2}


def test_a_batch_that_does_not_follow_the_one_before_it_is_a_fork():
    writer, node = replica(A), replica(B)
    first, _ = write(writer)
    take(node, A, Delta(0, (first,)))
    stray = signed(Batch(origin(A), 2, (b"x",), NOW), bytes(32))
    assert take(node, A, Delta(0, (stray,)))[0].forks == (Fork(origin(A), first, stray),)


def test_of_a_forked_origin_nothing_more_is_applied_and_of_others_everything():
    writer, node = replica(A), replica(B)
    first, second = write(writer)[0], write(writer)[0]
    take(node, A, Delta(0, (first, signed(Batch(origin(A), 1, (b"other",), NOW)))))
    assert take(node, A, Delta(0, (second,)))[0] == Ready()
    elsewhere, _ = write(replica(C))
    assert take(node, C, Delta(0, (elsewhere,)))[0].applied == (elsewhere,)


def test_a_fork_stays_one_after_a_restart():
    batch, _ = write(replica(A), b"a")
    fork = Fork(origin(A), batch, signed(Batch(origin(A), 1, (b"other",), NOW)))
    node = replica(B)
    assert node.restore([batch], [fork]) == (batch,)
    assert node.forks() == (fork,)
    assert take(node, A, Delta(0, (signed(Batch(origin(A), 2, (b"c",), NOW), batch.chain),)))[0].applied == ()


def test_a_fork_is_found_by_comparing_heads_though_neither_node_lacks_anything():
    b, c = replica(B), replica(C)
    ours, theirs = signed(Batch(origin(A), 1, (b"x",), NOW)), signed(Batch(origin(A), 1, (b"y",), NOW))
    take(b, A, Delta(0, (ours,)))
    take(c, A, Delta(0, (theirs,)))
    exchange(b, c, NOW)
    assert b.forks() == (Fork(origin(A), ours, theirs),)
    assert c.forks() == (Fork(origin(A), theirs, ours),)


# Forgery: each changes nothing, is counted and named.

GENUINE = Batch(origin(A), 1, (b"x",), NOW)
FORGERIES = {
    "bad_chain": replace(signed(GENUINE), entries=(b"y",)),
    "bad_chain ": replace(signed(GENUINE), made_at=NOW + 1),
    "bad_chain  ": GENUINE,
    "bad_signature": replace(signed(GENUINE), signature=bytes(64)),
    "bad_signature ": signed(GENUINE, by=signer(origin(C))),
    "bad_signature  ": signed(GENUINE, scope=Identities(b"other cluster".ljust(32))),
    "bad_signature   ": signed(GENUINE, scope=Identities(CLUSTER_KEY, epoch=7)),
    "unknown_identity": signed(replace(GENUINE, origin=origin(A, 9))),
}


@pytest.mark.parametrize("reason", FORGERIES)
def test_a_forged_batch_changes_nothing_and_is_counted_and_named(reason):
    node, forged = replica(B), FORGERIES[reason]
    ready = node.receive(A, Delta(0, (forged,)), NOW)
    assert ready == Ready(refused=((reason.strip(), forged.origin),))
    assert node.refused == {reason.strip(): 1}
    assert (node.heads(), list(node.seen()), node.forks()) == ({}, [], ())


def test_a_forged_heartbeat_makes_nothing_fresher():
    node = replica(B)
    for forged in (heartbeat(origin(C), NOW + 5), heartbeat(origin(A), NOW)._replace(at=NOW + 5)):
        ready = node.receive(A, digest(origin(A), {}, {origin(A): forged}), NOW + 5)
        assert ready.refused == (("bad_signature", origin(A)),)
    assert node.oldest_staleness(NOW + 9) == 9.0


def test_the_first_key_of_an_origin_counts_and_only_the_cluster_can_announce_one():
    node = replica(B, incarnation=1)
    new = origin(A, 9)
    (genuine,) = announced(new)
    forged = replace(genuine, public_key=signer(origin(C)).public_key)
    other = Identities(CLUSTER_KEY).announce(new, Signer(bytes(32)))
    assert node.receive(A, Digest(0, origin(A), {}, {}, (forged,)), NOW).refused == (("bad_announcement", new),)
    assert node.receive(A, Digest(0, origin(A), {}, {}, (genuine,)), NOW).identities == (genuine,)
    assert node.receive(A, Digest(0, origin(A), {}, {}, (genuine,)), NOW) == Ready()
    assert node.receive(A, Digest(0, origin(A), {}, {}, (other,)), NOW).refused == (("other_identity", new),)
    assert node.identities[new] == genuine.public_key
    with pytest.raises(ReplicaError, match="another key"):
        Replica(new, (), NOW, signer=Signer(bytes(32)), identities=known(new))


@pytest.mark.parametrize(("epoch", "reported"), [(1, None), (3, 3)])
def test_a_message_of_another_epoch_changes_nothing_and_a_higher_one_is_reported(epoch, reported):
    node = replica(B, epoch=2)
    stray = Delta(epoch, (Batch(origin(A), 1, (b"x",), NOW),))
    assert node.receive(A, stray, NOW) == Ready(newer_epoch=reported, refused=(("other_epoch", origin(B)),))
    assert node.heads() == {}
    assert node.refused["other_epoch"] == 1
