"""The replication rules, each on as few nodes as it needs. Whole clusters live in tests/simulation."""

from dataclasses import replace

import pytest

from stsd.revocation import replica as replica_module
from stsd.revocation.identity import Identities, Signer
from stsd.revocation.messages import (
    MAX_BATCH_BYTES,
    MAX_FETCH_ENTRIES,
    Ack,
    Batch,
    Delta,
    Digest,
    Fetch,
    Fork,
    Head,
    Origin,
    Ready,
    new_incarnation,
)
from stsd.revocation.replica import FETCH_TIMEOUT_S, Replica, ReplicaError, TokenShapeError
from tests.revocation.signed import CLUSTER_KEY, announced, digest, heartbeat, known, signed, signer
from tests.revocation.signed import node as node_of

NOW = 1_795_435_200.0
A, B, C = "eu-west-1", "us-east-1", "ap-southeast-1"


def origin(region: str, incarnation: int = 1) -> Origin:
    return Origin(region, "n1", f"{incarnation:016x}")


ALL = [origin(region, incarnation) for region in (A, B, C) for incarnation in (1, 2)]


def replica(region: str, *, peers=(A, B, C), joined: bool = True, epoch: int = 0, incarnation: int = 1) -> Replica:
    others = [peer for peer in peers if peer != region]
    return node_of(origin(region, incarnation), others, NOW, joined=joined, epoch=epoch, knows=ALL)


def write(node: Replica, *entries: bytes, now: float = NOW) -> tuple[Batch, Ready]:
    batch = node.append(entries or (b"entry",), now)
    return batch, node.committed(batch, now)


def take(node: Replica, peer: str, message, now: float = NOW) -> tuple[Ready, Ready]:
    """Receive, with a disk that always works."""
    ready = node.receive(peer, message, now)
    return ready, node.saved(ready, now) if ready.save else Ready()


def exchange(first: Replica, second: Replica, now: float, rounds: int = 8) -> None:
    """Both tick, and every message between the two arrives, answers included."""
    names = {first.origin.region: first, second.origin.region: second}
    sent = [(node, peer, message) for node in names.values() for peer, message in node.tick(now).send if peer in names]
    for _ in range(rounds):
        answers = []
        for sender, peer, message in sent:
            for ready in take(names[peer], sender.origin.region, message, now):
                answers += [(names[peer], to, answer) for to, answer in ready.send]
        sent = answers


NOTHING = Head(0, Identities(CLUSTER_KEY).genesis(origin(A)))


def head_of(batch: Batch) -> Head:
    return Head(batch.last, batch.chain)


def messages(ready: Ready, kind: type) -> list:
    return [message for _, message in ready.send if isinstance(message, kind)]


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


def test_a_node_whose_own_log_is_forked_writes_again_under_a_new_incarnation_what_others_refuse():
    a = replica(A)
    write(a, b"before")
    mine, _ = write(a, b"mine")
    other = signed(Batch(origin(A), 2, (b"theirs",), NOW), mine.previous)
    take(a, B, Delta(0, (other,)))
    assert a.overtaken
    assert a.renew("f" * 16) == (mine,)
    assert write(a, *mine.entries)[0].origin == Origin(A, "n1", "f" * 16)


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


# Repair.


def test_whoever_lacks_something_asks_the_peer_that_has_it():
    node = replica(B)
    ready = node.receive(A, digest(origin(A), {origin(A): 3}), NOW)
    assert ready.send == ((A, Fetch(0, {origin(A): 0})),)


def test_only_one_peer_is_asked_at_a_time_and_another_one_when_it_is_silent():
    node = replica(B)
    heads = {origin(A): 3}
    assert messages(node.receive(A, digest(origin(A), heads), NOW), Fetch)
    assert not messages(node.receive(C, digest(origin(C), heads), NOW), Fetch)
    assert messages(node.receive(C, digest(origin(C), heads), NOW + FETCH_TIMEOUT_S), Fetch)


def test_a_push_from_the_peer_that_was_asked_is_not_its_answer():
    writer, node = replica(A), replica(B)
    _, second = write(writer)[0], write(writer)[0]
    node.receive(A, digest(origin(A), {origin(A): 1}), NOW)
    late = NOW + FETCH_TIMEOUT_S
    take(node, A, Delta(0, (second,)), late - 0.1)
    assert messages(node.receive(C, digest(origin(C), {origin(A): 2}), late), Fetch)


def test_while_pages_come_nobody_else_is_asked():
    writer, node = replica(A), replica(B)
    first, _ = write(writer)[0], write(writer)[0]
    node.receive(A, digest(origin(A), {origin(A): 2}), NOW)
    late = NOW + FETCH_TIMEOUT_S
    take(node, A, Delta(0, (first,), "page"), late - 0.1)
    assert not messages(node.receive(C, digest(origin(C), {origin(A): 2}), late), Fetch)


def test_an_answer_that_brings_nothing_new_is_not_asked_for_in_a_circle():
    node = replica(B)
    node.receive(A, digest(origin(A), {origin(A): 3}), NOW)
    assert node.receive(A, Delta(0, (), "last"), NOW).send == ()


def test_a_long_gap_is_caught_up_in_pages():
    writer, node = replica(A), replica(B)
    for number in range(40):
        write(writer, bytes([number]) * 400_000)
    (fetch,) = messages(node.receive(A, digest(origin(A), writer.heads()), NOW), Fetch)
    pages = messages(writer.receive(B, fetch, NOW), Delta)
    assert [page.part for page in pages] == ["page"] * (len(pages) - 1) + ["last"]
    assert all(sum(batch.encoded_bytes for batch in page.batches) <= MAX_BATCH_BYTES for page in pages)
    sent = sum(batch.encoded_bytes for page in pages for batch in page.batches)
    assert replica_module.MAX_FETCH_BYTES // 2 < sent <= replica_module.MAX_FETCH_BYTES
    for page in pages:
        _, answer = take(node, A, page)
    assert messages(answer, Fetch) == [Fetch(0, {origin(A): node.heads()[origin(A)]})]
    exchange(writer, node, NOW + 1, rounds=40)
    assert node.heads() == writer.heads()


def test_an_answer_holds_at_most_a_fetch_of_entries():
    writer = replica(A)
    for _ in range(3):
        write(writer, *[b""] * (MAX_FETCH_ENTRIES // 2))
    half = MAX_FETCH_ENTRIES // 2
    assert [batch.first for batch in writer.after({origin(A): 0})] == [1, half + 1]
    assert [batch.first for batch in writer.after({origin(A): half})] == [half + 1, 2 * half + 1]


def test_a_one_way_cut_heals_through_a_third_region():
    a, b, c = replica(A), replica(B), replica(C)
    write(a)
    for second in (1, 2):  # A and B never hear each other
        exchange(a, c, NOW + second)
        exchange(c, b, NOW + second)
    assert b.heads() == a.heads() == {origin(A): 1}
    assert b.staleness(NOW + 2)[origin(A)] <= 1.0


def test_what_a_lost_disk_had_written_comes_back_from_its_peers_under_its_old_name():
    a, b = replica(A), replica(B)
    write(a, b"before")
    exchange(a, b, NOW)
    again = replica(A, joined=False, incarnation=2)
    write(again, b"after")
    exchange(again, b, NOW + 1)
    assert again.heads() == b.heads() == {origin(A): 1, origin(A, 2): 1}


# Copies.


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


# Joining (contract 4).


def test_a_joining_node_has_joined_when_it_holds_all_that_one_digest_told():
    a, b = replica(A), replica(B, joined=False)
    batch, _ = write(a)
    b.receive(A, digest(origin(A), {origin(A): 1}), NOW)
    ready = b.receive(A, Delta(0, (batch,), "last"), NOW)
    assert not b.joined  # applied, but not on disk yet
    b.saved(ready, NOW)
    assert b.joined


def test_a_joining_node_does_not_chase_what_is_written_while_it_catches_up():
    a, b = replica(A), replica(B, joined=False)
    batch, _ = write(a)
    b.receive(A, digest(origin(A), {origin(A): 1}), NOW)
    b.receive(A, digest(origin(A), {origin(A): 9}), NOW)
    take(b, A, Delta(0, (batch,), "last"))
    assert b.joined


def test_a_node_without_peers_and_one_whose_peer_has_nothing_have_joined():
    assert replica(A, peers=(A,), joined=False).joined
    fresh = replica(B, joined=False)
    assert not fresh.joined
    fresh.receive(A, digest(origin(A)), NOW)
    assert fresh.joined


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


@pytest.mark.parametrize(("epoch", "reported"), [(1, None), (3, 3)])
def test_a_message_of_another_epoch_changes_nothing_and_a_higher_one_is_reported(epoch, reported):
    node = replica(B, epoch=2)
    stray = Delta(epoch, (Batch(origin(A), 1, (b"x",), NOW),))
    assert node.receive(A, stray, NOW) == Ready(newer_epoch=reported, refused=(("other_epoch", origin(B)),))
    assert node.heads() == {}
    assert node.refused["other_epoch"] == 1


def test_what_is_applied_can_be_applied_anew():
    a, b = replica(A), replica(B)
    write(a)
    ahead, push = write(a)
    b.receive(A, push.send[0][1], NOW)
    own, _ = write(b)
    assert set(b.seen()) == {ahead, own}
