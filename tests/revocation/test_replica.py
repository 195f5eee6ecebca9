"""What a replica writes and restores, each rule on as few nodes as it needs; whole clusters are in simulation."""

import pytest

from stsd.revocation.messages import (
    MAX_BATCH_BYTES,
    Batch,
    Delta,
    Digest,
    Origin,
    new_incarnation,
)
from stsd.revocation.replica import ReplicaError
from tests.revocation.nodes import NOW, A, B, C, exchange, messages, origin, replica, take, write
from tests.revocation.signed import announced, digest, signed

# Writing.


def test_sequences_are_contiguous_from_one():
    node = replica(A)
    assert [write(node, b"x", b"y")[0].first, write(node)[0].first] == [1, 3]
    assert node.heads() == {origin(A): 3}


def test_a_batch_is_applied_and_pushed_to_every_peer_once_it_is_stored():
    node = replica(A)
    batch = node.append((b"x",), NOW)
    assert node.heads() == {}
    ready = node.committed(batch, NOW)
    assert ready.applied == (batch,)
    push = Delta(0, (batch,), identities=announced(origin(A)))
    assert ready.send == ((B, push), (C, push))


def test_a_batch_that_could_not_be_stored_has_not_happened():
    node = replica(A)
    node.abandon(node.append((b"lost",), NOW))
    assert node.heads() == {}
    assert write(node, b"kept")[0] == signed(Batch(origin(A), 1, (b"kept",), NOW))


def test_only_one_batch_may_be_pending():
    node = replica(A)
    batch = node.append((b"x",), NOW)
    with pytest.raises(ReplicaError):
        node.append((b"y",), NOW)
    with pytest.raises(ReplicaError):
        node.renew("f" * 16)
    node.committed(batch, NOW)
    with pytest.raises(ReplicaError):
        node.committed(batch, NOW)


@pytest.mark.parametrize("entries", [(), (b"x" * MAX_BATCH_BYTES,)])
def test_a_batch_is_not_empty_and_not_too_large(entries):
    node = replica(A)
    with pytest.raises(ValueError, match="a batch holds"):
        node.append(entries, NOW)
    assert write(node)[0].first == 1


def test_a_node_whose_own_log_is_forked_writes_all_of_it_again_under_a_new_incarnation():
    a = replica(A)
    before, _ = write(a, b"before")
    mine, _ = write(a, b"mine")
    other = signed(Batch(origin(A), 2, (b"theirs",), NOW), mine.previous)
    take(a, B, Delta(0, (other,)))
    assert a.overtaken
    assert a.renew("f" * 16) == (before, mine)
    assert write(a, *mine.entries)[0].origin == Origin(A, "n1", "f" * 16)


def test_after_damage_a_node_goes_on_as_another_disk_and_writes_again_what_is_behind_the_gap():
    a = replica(A)
    batches = [write(a, entry)[0] for entry in (b"one", b"two", b"three")]
    again = replica(A)
    assert set(again.restore([batches[0], batches[2]], damaged=True)) == {batches[0], batches[2]}
    with pytest.raises(ReplicaError, match="overtaken"):
        again.append((b"x",), NOW)
    assert again.renew("f" * 16) == (batches[2],)


def test_what_the_disk_refused_stays_applied_and_untold_and_is_tried_again_each_second():
    batch, _ = write(replica(A))
    node = replica(B)
    ready = node.receive(A, Delta(0, (batch,)), NOW)
    node.failed(ready)
    assert node.receive(A, Delta(0, (batch,)), NOW).applied == ()
    again = node.tick(NOW + 1)
    assert again.save == (batch,)
    assert messages(again, Digest)[0].heads == {}
    node.failed(again)
    node.saved(node.tick(NOW + 2), NOW + 2)
    assert node.heads() == {origin(A): 1}
    assert node.tick(NOW + 3).save == ()


# Restart.


def test_a_restart_with_the_journal_continues_the_log():
    a, b = replica(A), replica(B)
    own, _ = write(a)
    others, push = write(b)
    take(a, B, push.send[0][1])
    again = replica(A)
    assert set(again.restore([others, own, own])) == {own, others}
    assert again.heads() == {origin(A): 1, origin(B): 1}
    assert write(again)[0].first == 2


def test_a_restart_applies_what_was_stored_ahead_of_a_gap_and_repairs_it():
    writer, node = replica(A), replica(B)
    write(writer)
    second, _ = write(writer)
    assert node.restore([second]) == (second,)
    assert node.heads() == {}
    exchange(writer, node, NOW)
    assert node.heads() == {origin(A): 2}


def test_a_node_whose_disk_forgot_what_it_had_told_goes_on_under_a_new_incarnation():
    a, b = replica(A), replica(B)
    write(a)
    write(a)
    exchange(a, b, NOW)
    again = replica(A)
    again.restore([signed(Batch(origin(A), 1, (b"entry",), NOW))])
    again.receive(B, digest(origin(B), b.chained_heads()), NOW)
    assert again.overtaken
    with pytest.raises(ReplicaError):
        again.append((b"x",), NOW)
    again.renew("f" * 16)
    renewed, _ = write(again)
    assert (renewed.origin, renewed.first) == (Origin(A, "n1", "f" * 16), 1)
    exchange(again, b, NOW + 2)
    assert again.heads() == b.heads()
    assert again.heads()[origin(A)] == 2


def test_a_batch_that_lost_its_number_while_it_was_stored_is_refused():
    a = replica(A)
    batch = a.append((b"mine",), NOW)
    take(a, B, Delta(0, (signed(Batch(origin(A), 1, (b"told before",), NOW)),)))
    with pytest.raises(ReplicaError, match="overtaken"):
        a.committed(batch, NOW)


def test_incarnations_are_sixteen_digits_of_given_entropy():
    assert new_incarnation(lambda count: bytes(range(count))) == "0001020304050607"
