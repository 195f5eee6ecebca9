"""What is forgotten, what never is, and how a node goes on that lacks what was forgotten everywhere."""

from dataclasses import replace
from math import inf

import pytest

from stsd.revocation import codec, entries, feed
from stsd.revocation.bounds import SERVED, Bounds
from stsd.revocation.identity import Identities
from stsd.revocation.messages import MAX_KEPT_RANGES, Batch, Delta, Fork, Head
from stsd.revocation.pruning import Pruned, Pruning
from stsd.revocation.replica import Replica
from stsd.revocation.revocation_set import Revocation, RevocationSet
from tests.revocation.forgetting import LATER, NOW, TAIL_S, A, B, answer, held, node, pruned, take, write
from tests.revocation.signed import digest, known, signed, signer


def test_what_is_old_and_over_goes_and_what_is_not_over_stays_and_what_is_at_the_floor():
    replica = pruned("over 1", "kept 2", "over 3", "kept 4", "kept 5", "over 6", "over 7")
    assert held(replica) == ["kept 2", "kept 4", "kept 5", "over 7"]
    assert replica.checkpoint().floors[A].kept == ((2, 2), (4, 5), (7, 7))
    assert replica.checkpoint().floors[A].head.sequence == 7 == replica.heads()[A]


def test_the_batch_at_the_floor_goes_when_the_floor_moves_on():
    replica = pruned("over 1", "over 2")
    write(replica, "over 3", now=NOW)
    assert [batch.first for batch in replica.prune(LATER).dropped] == [2]
    assert held(replica) == ["over 3"]


def forget_the_thiefs_word(theirs: Batch) -> Replica:
    """A node that has heard nothing but a thief's word, and has pruned that as soon as it was old and over."""
    late = node(B)
    take(late, A.region, Delta(0, (theirs,)))
    while late.prune(LATER) is not None:
        pass
    assert late.heads() == {A: theirs.last}
    return late


@pytest.mark.parametrize("first", [1, 2])
def test_two_histories_are_proven_to_be_two_although_one_of_them_was_pruned(first):
    """Its author's genuine batches, of one entry or two, and a thief's one in place of the first of them."""
    genuine = signed(Batch(A, 1, (b"kept 1", b"kept 2")[:first], NOW))
    following = signed(Batch(A, first + 1, (b"kept 3",), LATER), genuine.chain)
    late = forget_the_thiefs_word(signed(Batch(A, 1, (b"over",), NOW)))
    refused = [late.receive(A.region, Delta(0, (batch,)), LATER).refused for batch in (following, genuine)]
    assert (("fork", A),) in refused
    assert [fork.place for fork in late.forks()] == [1]


@pytest.mark.parametrize("bounds", [SERVED, Bounds(fetch_entries=1)], ids=["served", "one entry"])
def test_a_thiefs_word_in_place_of_what_is_kept_is_proven_to_be_another_history(bounds):
    author, late = pruned("kept 1", "over 2", "over 3", bounds=bounds), node(B)
    (kept, _) = author.seen()
    theirs = signed(Batch(A, 1, (b"thief",), NOW))
    take(late, A.region, Delta(0, (theirs,)))
    take(late, A.region, *answer(author, 1))
    assert late.forks() == (Fork(A, theirs, kept),)


def test_nothing_younger_than_the_tail_goes_even_if_it_is_over():
    replica = node(A)
    write(replica, "over 1", "over 2", now=LATER - TAIL_S + 1)
    assert replica.prune(LATER) is None
    assert held(replica) == ["over 1", "over 2"]


def test_what_was_kept_goes_when_its_end_has_come():
    replica = pruned("over 1", str(int(LATER + 50)), "over 3")
    assert held(replica) == [str(int(LATER + 50)), "over 3"]
    assert replica.prune(LATER + 49) is None
    step = replica.prune(LATER + 50)
    assert [batch.first for batch in step.dropped] == [2]
    assert step.checkpoint.floors[A].kept == ((3, 3),)


def test_a_step_looks_into_no_more_than_it_is_allowed_to():
    replica = node(A)
    write(replica, *(f"over {number}" for number in range(10)))
    steps = [replica.prune(LATER, limit=4) for _ in range(4)]
    assert [step and (len(step.dropped), step.more) for step in steps] == [(3, True), (4, True), (2, False), None]


def test_a_step_that_was_not_stored_is_handed_out_again():
    replica = node(A)
    write(replica, "over 1", "over 2")
    step = replica.prune(LATER)
    assert [batch.first for batch in step.dropped] == [1]
    replica.not_pruned(step)
    assert replica.prune(LATER).dropped == step.dropped
    assert replica.prune(LATER) is None


def test_what_comes_again_before_it_could_be_deleted_is_not_deleted():
    """It was over and behind a gap, and is a part of the log when the gap is filled."""
    replica = node(B)
    first = signed(Batch(A, 1, (b"kept",), LATER))
    second = signed(Batch(A, 2, (b"over",), LATER), first.chain)
    take(replica, A.region, Delta(0, (second,)))
    step = replica.prune(LATER)
    assert step.dropped == (second,)
    replica.not_pruned(step)
    take(replica, A.region, Delta(0, (first, second)))
    assert replica.heads() == {A: 2}
    assert replica.prune(LATER) is None


def test_while_a_step_is_not_stored_nothing_more_is_forgotten():
    replica = node(A)
    write(replica, *(f"over {number}" for number in range(6)))
    step = replica.prune(LATER, limit=2)
    for _ in range(3):
        replica.not_pruned(step)
        again = replica.prune(LATER, limit=2)
        assert (again.dropped, again.checkpoint, again.more) == (step.dropped, replica.checkpoint(), True)
    assert replica.prune(LATER, limit=2).dropped != step.dropped


def test_that_a_batch_was_stored_says_nothing_of_another_one_in_its_place():
    replica = node(B)
    first = signed(Batch(A, 1, (b"kept",), LATER))
    over, other = signed(Batch(A, 2, (b"over",), NOW), bytes(32)), signed(Batch(A, 2, (b"kept",), LATER), first.chain)
    storing = replica.receive(A.region, Delta(0, (over,)), LATER)
    assert replica.prune(LATER).dropped == (over,)
    waiting = replica.receive(A.region, Delta(0, (first, other)), LATER)
    replica.saved(storing, LATER)
    replica.saved(replace(waiting, save=(first,)), LATER)
    assert replica.heads() == {A: 1}
    replica.saved(waiting, LATER)
    assert replica.heads() == {A: 2}


def test_what_was_forgotten_before_it_could_be_stored_is_not_stored_any_more():
    """It is over, and behind a gap; a row of it would stand against another history that came in its place."""
    replica = node(B)
    theirs = signed(Batch(A, 2, (b"over",), NOW), bytes(32))
    replica.failed(replica.receive("eu-west-1", Delta(0, (theirs,)), NOW))
    assert replica.prune(LATER) is not None
    assert held(replica) == []
    assert replica.tick(LATER).save == ()


def test_what_is_forgotten_is_deleted_although_no_log_begins_later_than_before():
    """A row that stayed would be in the way of another history that came in its place."""
    replica = node(B)
    theirs = signed(Batch(A, 2, (b"over",), NOW), bytes(32))
    take(replica, "eu-west-1", Delta(0, (theirs,)))
    step = replica.prune(LATER)
    assert step == Pruned(None, (theirs,), more=False)
    assert replica.prune(LATER) is None


def test_without_being_told_what_is_over_nothing_is_ever_forgotten():
    replica = Replica(A, (), NOW, signer=signer(A), identities=known(A))
    write(replica, "over 1")
    assert replica.prune(NOW + 1e9) is None


def test_a_log_goes_on_after_everything_in_it_was_pruned():
    replica = pruned("over 1", "over 2")
    floor = replica.checkpoint().floors[A].head
    batch = replica.append([b"next"], LATER)
    replica.committed(batch, LATER)
    assert (batch.first, batch.previous) == (3, floor.chain)
    assert replica.heads() == {A: 3}


def test_what_was_pruned_does_not_come_back_when_it_is_sent_again():
    replica = node(A)
    write(replica, "over 1", "over 2")
    batch = next(replica.seen())
    replica.prune(LATER)
    ready = replica.receive(B.region, Delta(0, (batch,)), LATER)
    assert not ready.stores
    assert not ready.applied
    assert not ready.refused
    assert held(replica) == ["over 2"]


def test_a_peer_that_is_below_the_floor_is_not_taken_for_another_history():
    replica = pruned("over 1", "over 2", "over 3")
    asks = replica.receive(B.region, digest(B, {A: Head(1, b"y" * 32)}), LATER).send
    assert asks == ()


def test_nodes_that_pruned_differently_have_equal_heads():
    origin = node(A)
    write(origin, "over 1", "kept 2", "over 3")
    peer = node(B)
    take(peer, A.region, Delta(0, tuple(origin.seen())))
    origin.prune(LATER, limit=2)
    peer.prune(LATER, limit=3)
    assert origin.chained_heads() == peer.chained_heads()
    assert origin.checkpoint().floors != peer.checkpoint().floors


def test_a_checkpoint_never_names_more_than_a_message_holds(monkeypatch):
    monkeypatch.setattr("stsd.revocation.pruning.MAX_KEPT_RANGES", 3)
    replica = node(A)
    write(replica, *(f"{'kept' if number % 2 else 'over'} {number}" for number in range(12)))
    while (step := replica.prune(LATER, limit=1)) and step.more:
        pass
    assert len(replica.checkpoint().floors[A].kept) <= 3
    assert len(held(replica)) > 3 + 2
    assert MAX_KEPT_RANGES == 20_000


def test_a_cursor_of_any_age_hears_all_that_is_still_in_force():
    replica = Replica(A, (), NOW, signer=signer(A), identities=known(A), pruning=Pruning(entries.entry_over_at, TAIL_S))
    for number, until in enumerate((1, None, 1, None)):
        revocation = Revocation("access_key", f"ASIA{number}", 0, until)
        replica.committed(replica.append([entries.encode_revocation(revocation)], NOW), NOW)
    early = feed.after(replica, limit=1).cursor
    replica.prune(LATER)
    page = feed.after(replica, early)
    assert [found["subject"] for found in page.revocations] == ["ASIA1", "ASIA3"]
    assert page.cursor == feed.cursor(replica)
    assert feed.after(replica, page.cursor).revocations == []
    assert [found["subject"] for found in feed.after(replica).revocations] == ["ASIA1", "ASIA3"]


@pytest.mark.parametrize("kind", ["access_key", "session", "source_identity", "role", "principal", "account"])
def test_an_entry_is_over_when_the_set_has_forgotten_it_and_not_before(kind):
    until = int(NOW) + 3600
    revocation = Revocation(kind, "subject", 0 if kind == "access_key" else int(NOW) * 1000, until)
    over_at = entries.entry_over_at(entries.encode_revocation(revocation))
    revoked = RevocationSet()
    revoked.add(revocation, "us-east-1", NOW)
    revoked.forget(over_at - 0.001)
    assert len(revoked) == 1
    revoked.forget(over_at)
    assert len(revoked) == 0
    assert until < over_at < NOW + entries.TAIL_S


@pytest.mark.parametrize("entry", [entries.encode_revocation(Revocation("access_key", "AKIA", 0, None)), b"later"])
def test_a_long_term_keys_revocation_and_what_nobody_can_read_are_never_over(entry):
    assert entries.entry_over_at(entry) == inf


def test_a_checkpoint_is_read_back_as_it_was():
    checkpoint = pruned("over 1", "kept 2", "over 3", "kept 4").checkpoint()
    for each in (checkpoint, replace(checkpoint, floors={})):
        assert codec.decode_checkpoint(codec.encode_checkpoint(each)) == each


@pytest.mark.parametrize(
    "kept", [((3, 2),), ((0, 1),), ((1, 2), (2, 3)), ((4, 5), (1, 2)), ((1, 99),), ((1,),), (1, 2), ("12",)]
)
def test_ranges_that_are_none_are_refused(kept):
    checkpoint = pruned("over 1", "kept 2", "over 3").checkpoint()
    wrong = replace(checkpoint, floors={A: replace(checkpoint.floors[A], kept=kept)})
    with pytest.raises(codec.CodecError, match="bad_shape"):
        codec.decode_message(codec.encode_message(wrong))


def test_another_kind_of_log_runs_on_the_same_machinery_and_believes_nothing_of_this_one():
    """Two logs of one node with one key: what is signed for one does not hold in the other."""
    ours = node(A)
    other = Replica(A, (B.region,), NOW, signer=signer(A), identities=Identities(b"k" * 32, log="mfa-steps"))
    batch = ours.append([b"entry"], NOW)
    ours.committed(batch, NOW)
    step = other.append([b"entry"], NOW)
    assert (step.origin, step.first, step.entries) == (batch.origin, batch.first, batch.entries)
    assert step.previous != batch.previous
    assert node(B).receive(A.region, Delta(0, (step,)), NOW).refused == (("bad_signature", A),)
    encoded = codec.encode_message(Delta(0, (step,)), "mfa-steps")
    assert codec.decode_message(encoded, "mfa-steps") == Delta(0, (step,))
    with pytest.raises(codec.CodecError, match="unknown_log"):
        codec.decode_message(encoded)
    assert codec.CodecError("unknown_log").reason in codec.LATER
