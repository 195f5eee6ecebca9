"""How a node goes on that lacks what was forgotten everywhere: floors that are claimed, adopted and stored."""

from dataclasses import replace

import pytest

from stsd.revocation.identity import Identities
from stsd.revocation.log import Log
from stsd.revocation.messages import Batch, Checkpoint, Delta, Fetch, Floor, Head, Origin
from stsd.revocation.replica import fault_of_checkpoint
from tests.revocation.forgetting import LATER, NOW, A, B, C, answer, held, node, pruned, take, write
from tests.revocation.signed import digest, signed, signer


def test_who_lacks_what_was_pruned_gets_the_checkpoint_and_what_is_kept():
    replica = pruned("over 1", "kept 2", "over 3")
    write(replica, "kept 4", now=LATER)
    checkpoint, delta = answer(replica, after=0)
    assert isinstance(checkpoint, Checkpoint)
    assert [batch.first for batch in delta.batches] == [2, 3, 4]
    newcomer = node(B, joined=False)
    take(newcomer, A.region, digest(A, replica.chained_heads()), checkpoint, delta)
    assert newcomer.chained_heads() == replica.chained_heads()
    assert newcomer.joined
    assert newcomer.checkpoint().floors == checkpoint.floors
    assert newcomer.checkpoint().maker == B


def test_the_order_in_which_checkpoint_and_batches_come_does_not_matter():
    replica = pruned("over 1", "kept 2", "over 3", "kept 4")
    write(replica, "kept 5", now=LATER)
    checkpoint, delta = answer(replica, after=0)
    newcomer = node(B)
    parts = [replace(delta, batches=(batch,)) for batch in delta.batches]
    take(newcomer, A.region, parts[2], parts[1], checkpoint, parts[0])
    assert newcomer.chained_heads() == replica.chained_heads()


def test_a_floor_is_not_adopted_before_all_that_is_kept_below_it_is_held():
    replica = pruned("over 1", "kept 2", "over 3", "kept 4")
    checkpoint, delta = answer(replica, after=0)
    newcomer = node(B)
    take(newcomer, A.region, checkpoint, replace(delta, batches=delta.batches[1:]))
    assert newcomer.heads() == {}
    take(newcomer, A.region, digest(A, replica.chained_heads()))
    asks = [message for _, message in newcomer.receive(A.region, digest(A, replica.chained_heads()), LATER + 9).send]
    assert asks == [Fetch(0, {A: 1})]
    take(newcomer, A.region, delta)
    assert newcomer.chained_heads() == replica.chained_heads()


def test_what_was_adopted_counts_when_it_is_on_disk():
    replica = pruned("over 1", "kept 2", "over 3")
    checkpoint, delta = answer(replica, after=0)
    newcomer = node(B)
    first = newcomer.receive(A.region, delta, LATER)
    second = newcomer.receive(A.region, checkpoint, LATER)
    assert second.adopted == {A: 3}
    newcomer.saved(second, LATER)
    assert newcomer.heads() == {}, "the batch that is kept is not on disk yet"
    newcomer.failed(first)
    again = newcomer.tick(LATER)
    newcomer.saved(again, LATER)
    assert newcomer.heads() == {A: 3}


def test_an_adoption_that_could_not_be_stored_is_tried_again_with_the_next_tick():
    replica = pruned("over 1", "over 2")
    newcomer = node(B)
    checkpoint, delta = answer(replica, after=0)
    take(newcomer, A.region, delta)
    ready = newcomer.receive(A.region, checkpoint, LATER)
    newcomer.failed(ready)
    again = newcomer.tick(LATER)
    assert again.adopted == {A: 2}
    assert newcomer.heads() == {}
    newcomer.saved(again, LATER)
    assert newcomer.heads() == {A: 2}


def test_a_restart_finds_its_floors_and_what_it_keeps():
    replica = pruned("over 1", "kept 2", "over 3")
    write(replica, "kept 4", now=LATER)
    again = node(A)
    assert len(again.restore(list(replica.seen()), (), replica.checkpoint())) == 3
    assert again.chained_heads() == replica.chained_heads()
    assert again.checkpoint().floors == replica.checkpoint().floors
    assert again.append([b"next"], LATER).first == 5


def test_a_restart_without_the_checkpoint_is_repaired_from_a_peer():
    origin, peer = pruned("over 1", "kept 2", "over 3"), node(B)
    take(peer, A.region, *answer(origin, after=0))
    damaged = node(C)
    damaged.restore(list(peer.seen()), (), None, damaged=True)
    assert damaged.overtaken
    assert damaged.heads() == {}
    damaged.renew("2" * 16)
    take(damaged, B.region, *answer(peer, after=0))
    assert damaged.heads() == {A: 3}


def test_a_restart_that_lost_a_kept_batch_asks_for_it():
    replica = pruned("over 1", "kept 2", "over 3")
    peer = node(B)
    take(peer, A.region, *answer(replica, after=0))
    again = node(B)
    again.restore([], (), peer.checkpoint(), damaged=True)
    assert again.heads() == {}
    take(again, A.region, *answer(replica, after=0))
    assert again.heads() == {A: 3}


@pytest.mark.parametrize(
    "forge",
    [
        lambda checkpoint: replace(checkpoint, floors={A: Floor(Head(9, bytes(32)))}),
        lambda checkpoint: replace(checkpoint, floors={A: Floor(checkpoint.floors[A].head)}),
        lambda checkpoint: replace(checkpoint, made_at=checkpoint.made_at + 1),
        lambda checkpoint: replace(checkpoint, maker=C),
        lambda checkpoint: replace(checkpoint, maker=Origin("eu-west-1", "1", "9" * 16)),
        lambda checkpoint: replace(
            checkpoint, signature=signer(A).sign(Identities(b"x" * 32).checkpoint_content(checkpoint))
        ),
        lambda checkpoint: replace(
            checkpoint, signature=signer(A).sign(Identities(b"k" * 32, log="other").checkpoint_content(checkpoint))
        ),
    ],
)
def test_a_checkpoint_that_its_maker_did_not_sign_so_changes_nothing(forge):
    checkpoint, delta = answer(pruned("over 1", "kept 2", "over 3"), after=0)
    newcomer = node(B)
    ready = newcomer.receive(A.region, forge(checkpoint), LATER)
    assert ready.refused
    assert not ready.stores
    take(newcomer, A.region, delta)
    assert newcomer.heads() == {}
    assert fault_of_checkpoint(newcomer.identities, checkpoint) == ""


def test_an_older_checkpoint_of_the_same_maker_does_not_replace_a_later_one():
    replica = pruned("over 1", str(int(LATER + 50)), "over 3")
    older = replica.checkpoint()
    write(replica, "over 4", now=LATER)
    replica.prune(LATER + 50)
    later, delta = answer(replica, after=0)
    assert later.made_at > older.made_at
    assert later.floors[A].kept == ((3, 3),)
    newcomer = node(B)
    take(newcomer, A.region, later, replace(delta, batches=delta.batches[:1]))
    assert newcomer.heads() == {A: 3}
    take(newcomer, A.region, older, delta)
    assert newcomer.heads() == {A: 4}


def test_a_claim_that_cannot_be_completed_any_more_is_replaced_by_its_makers_next_word():
    replica = pruned("over 1", str(int(LATER + 50)), "over 3")
    newcomer = node(B)
    take(newcomer, A.region, replica.checkpoint())
    assert newcomer.heads() == {}
    replica.prune(LATER + 50)
    take(newcomer, A.region, *answer(replica, after=0))
    assert newcomer.heads() == {A: 3}


def test_a_floor_that_contradicts_what_is_held_is_not_adopted():
    replica = pruned("over 1", "over 2")
    other = Floor(Head(2, b"x" * 32))
    content = Checkpoint(0, C, LATER, {A: other})
    lie = replace(content, signature=signer(C).sign(Identities(b"k" * 32).checkpoint_content(content)))
    newcomer = node(B)
    write(replica, "kept 3", now=LATER)
    _, delta = answer(replica, after=0)
    take(newcomer, A.region, delta)
    take(newcomer, C.region, lie)
    assert newcomer.heads() == {}
    take(newcomer, A.region, replica.checkpoint())
    assert newcomer.chained_heads() == replica.chained_heads()


def test_a_batch_that_does_not_follow_a_floor_without_a_batch_is_refused_by_name():
    """As nodes of an earlier version have them."""
    replica = pruned("over 1", "over 2")
    bare = replace(replica.checkpoint(), floors={A: Floor(replica.checkpoint().floors[A].head)})
    bare = replace(bare, signature=signer(A).sign(Identities(b"k" * 32).checkpoint_content(bare)))
    newcomer = node(B)
    take(newcomer, A.region, bare)
    stray = signed(Batch(A, 3, (b"stray",), NOW), previous=b"x" * 32)
    assert newcomer.receive(A.region, Delta(0, (stray,)), LATER).refused == (("other_history", A),)
    straddling = signed(Batch(A, 2, (b"one", b"two"), NOW), previous=b"x" * 32)
    another = node(B)
    take(another, A.region, bare)
    assert another.receive(A.region, Delta(0, (straddling,)), LATER).refused == (("other_history", A),)
    assert held(newcomer) == []


def test_a_head_comes_by_a_floor_that_was_passed_before_its_batches_were_stored():
    identities = Identities(b"k" * 32)
    log, batches = Log(A, identities.genesis(A)), []
    for number in range(1, 5):
        batch = Batch(A, number, (b"entry %d" % number,), NOW)
        batches.append(signed(batch, batches[-1].chain if batches else None))
    first, second, _, last = batches
    log.claim(B, NOW, Floor(Head(2, second.chain), ((1, 2),)))
    assert [log.take(first), log.take(second), log.adopt()] == ["new", "new", True]
    log.claim(B, NOW + 1, Floor(Head(4, last.chain), ((1, 2), (4, 4))))
    assert [log.take(last), log.adopt()] == ["new", True]
    log.saved(first)
    log.saved(second)
    assert log.chained_head() == Head(2, second.chain)


def test_a_head_comes_by_a_floor_although_what_was_to_be_stored_before_it_was_over_first():
    """The disk took the floor, and refused the batch."""
    identities = Identities(b"k" * 32)
    log, first = Log(A, identities.genesis(A)), signed(Batch(A, 1, (b"over",), NOW))
    log.claim(B, NOW, Floor(Head(2, b"2" * 32), ((1, 1),)))
    assert [log.take(first), log.adopt()] == ["new", True]
    log.saved_floor(2)
    assert log.head == 0
    assert log.forget(lambda batch: 0.0, NOW, 9) == (first,)
    assert log.head == 2


def test_a_head_comes_by_a_stored_floor_that_was_passed_before_a_batch_below_it_was_stored():
    identities = Identities(b"k" * 32)
    log, first = Log(A, identities.genesis(A)), signed(Batch(A, 1, (b"kept",), NOW))
    log.claim(B, NOW, Floor(Head(3, b"3" * 32), ((1, 1),)))
    assert [log.take(first), log.adopt()] == ["new", True]
    log.saved_floor(3)
    log.claim(B, NOW + 1, Floor(Head(5, b"5" * 32), ((1, 1),)))
    assert log.adopt()
    log.saved(first)
    assert log.chained_head() == Head(3, b"3" * 32)
    log.saved_floor(5)
    assert log.chained_head() == Head(5, b"5" * 32)
