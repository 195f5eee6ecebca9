"""A stolen identity key: a second history of an origin reaches somebody. Every node gets the proof, stops that log, and
gets from its true author what it may lack of it."""

from dataclasses import replace
from math import inf

import pytest

from stsd.revocation.bounds import Bounds
from stsd.revocation.messages import FORKED, Batch, Checkpoint, Delta, Digest, Fetch, Fork, Head, Ready
from stsd.revocation.pruning import Pruning
from stsd.revocation.replica import Replica
from tests.revocation.nodes import ALL, NOW, A, B, C, exchange, head_of, messages, origin, replica, take, write
from tests.revocation.signed import digest, known, signed, signer


def forged(genuine: Batch, entry: bytes = b"theirs") -> Batch:
    """What a thief of its author's key says in its place."""
    return signed(replace(genuine, entries=(entry,)), genuine.previous)


def three_with(*entries: bytes) -> tuple[dict[str, Replica], list[Batch]]:
    """Three nodes that hold what A wrote."""
    nodes = {region: replica(region) for region in (A, B, C)}
    batches = [write(nodes[A], entry)[0] for entry in entries]
    for region in (B, C):
        take(nodes[region], A, Delta(0, tuple(batches)))
    return nodes, batches


def all_exchange(nodes: dict[str, Replica], now: float) -> None:
    for one, other in ((A, B), (A, C), (B, C)):
        exchange(nodes[one], nodes[other], now)


def entries_at(node: Replica) -> set[bytes]:
    return {entry for batch in node.seen() for entry in batch.entries}


def test_a_fork_that_one_node_sees_reaches_every_node_and_nothing_acknowledged_is_lost():
    nodes, (first, second) = three_with(b"one", b"two")
    take(nodes[B], C, Delta(0, (forged(second),)))
    third, push = write(nodes[A], b"three")
    take(nodes[C], A, push.send[0][1])
    assert take(nodes[B], A, push.send[0][1])[0] == Ready()
    all_exchange(nodes, NOW + 1)
    assert [len(node.forks()) for node in nodes.values()] == [1, 1, 1]
    assert nodes[A].overtaken
    assert nodes[A].renew("f" * 16) == (first, second, third)
    for batch in (first, second, third):
        write(nodes[A], *batch.entries)
    all_exchange(nodes, NOW + 2)
    for node in nodes.values():
        assert {b"one", b"two", b"three"} <= entries_at(node)
    assert nodes[A].orphans(NOW) == ()


def test_a_stopped_node_tells_that_and_answers_with_the_proof():
    nodes, (first, second) = three_with(b"one", b"two")
    theirs = forged(second)
    take(nodes[B], C, Delta(0, (theirs,)))
    told = messages(nodes[B].tick(NOW), Digest)[0].heads[origin(A)]
    assert told == Head(2, FORKED)
    answer = messages(nodes[B].receive(C, Fetch(0, {origin(A): 0}), NOW), Delta)
    assert [batch for delta in answer for batch in delta.batches] == [first, second, theirs]


def stopped_at(place: int, batches: list[Batch], bounds: Bounds) -> Replica:
    """C, which has taken in A's batches and a thief's word in the place of one."""
    stopped = replica(C, bounds=bounds)
    take(stopped, A, Delta(0, (*batches, forged(batches[place]))))
    return stopped


BOUNDS = pytest.mark.parametrize("bounds", [Bounds(fetch_entries=3), Bounds(fetch_bytes=1)], ids=["entries", "bytes"])


@BOUNDS
def test_a_proof_is_sent_as_a_whole_whatever_the_bounds_so_its_author_learns_of_it_however_far_it_has_pruned(bounds):
    author = replica(A, pruning=Pruning(lambda entry: NOW + 1, 0.0))
    batches = [write(author, *entries)[0] for entries in ((b"one", b"two", b"three"), (b"four",), (b"five",))]
    while author.prune(NOW + 10) is not None:
        pass
    assert [*author.seen()] == batches[2:]
    exchange(stopped_at(0, batches, bounds), author, NOW + 11)
    assert [fork.place for fork in author.forks()] == [1]
    assert author.overtaken


@BOUNDS
def test_what_comes_before_a_fork_and_its_proof_may_be_several_answers(bounds):
    author = replica(A)
    batches = [write(author, b"one", b"two", b"three")[0], write(author, b"four", b"five", b"six")[0]]
    stopped, late = stopped_at(1, batches, bounds), replica(B)
    answers = {after: messages(stopped.receive(B, Fetch(0, {origin(A): after}), NOW), Delta) for after in (0, 3)}
    sent = {after: [batch for delta in deltas for batch in delta.batches] for after, deltas in answers.items()}
    assert sent == {0: batches[:1], 3: [batches[1], forged(batches[1])]}
    for second in (1, 2):
        exchange(stopped, late, NOW + second)
    assert late.forks() == stopped.forks()
    assert late.heads() == {origin(A): 6}


def test_what_is_heard_again_and_again_of_a_stopped_log_is_not_asked_for():
    nodes, (_, second) = three_with(b"one", b"two")
    take(nodes[B], C, Delta(0, (forged(second),)))
    exchange(nodes[B], nodes[C], NOW)
    for one, other in ((B, C), (C, B)):
        said = messages(nodes[one].tick(NOW + 5), Digest)[0]
        assert not messages(nodes[other].receive(one, said, NOW + 5), Fetch)


def test_who_has_nothing_of_a_log_is_told_of_its_fork_too():
    node, other = replica(B), replica(C)
    first = signed(Batch(origin(A), 1, (b"x",), NOW))
    second = signed(Batch(origin(A), 2, (b"y",), NOW), first.chain)
    take(node, A, Delta(0, (second, forged(second))))
    assert node.heads() == {}
    assert messages(node.tick(NOW), Digest)[0].heads == {origin(A): Head(0, FORKED)}
    exchange(node, other, NOW)
    assert [fork.place for fork in other.forks()] == [2]


def test_a_claim_of_a_fork_without_a_proof_changes_nothing():
    nodes, (_first, second) = three_with(b"one", b"two")
    claim = digest(origin(B), {origin(A): Head(2, FORKED)})
    assert messages(nodes[C].receive(B, claim, NOW), Fetch) == [Fetch(0, {origin(A): 2})]
    unsigned = replace(forged(second), signature=bytes(64))
    ready, _ = take(nodes[C], B, Delta(0, (second, unsigned), "last"))
    assert (ready.forks, ready.refused) == ((), (("bad_signature", origin(A)),))
    assert take(nodes[C], A, Delta(0, (write(nodes[A], b"three")[0],)))[0].applied


def test_a_stopped_log_counts_as_no_copy():
    nodes, (_, second) = three_with(b"one", b"two")
    take(nodes[B], C, Delta(0, (forged(second),)))
    a = nodes[A]
    a.receive(B, messages(nodes[B].tick(NOW), Digest)[0], NOW)
    assert a.copies(2) == 1
    assert not a.overtaken


def test_a_proof_counts_as_no_copy_of_what_it_holds_against_the_thiefs_word():
    nodes, (_first,) = three_with(b"one")
    second, push = write(nodes[A], b"two")
    take(nodes[B], C, Delta(0, (forged(second),)))
    take(nodes[B], A, push.send[0][1])
    proof = Delta(0, (nodes[B].forks()[0].held, nodes[B].forks()[0].other), "last")
    assert take(nodes[A], B, proof)[0].forks
    assert (nodes[A].copies(1), nodes[A].copies(2)) == (1, 1)


def test_a_proof_of_neighbours_that_do_not_follow_each_other_stops_everybody():
    nodes, (first,) = three_with(b"one")
    stray = signed(Batch(origin(A), 2, (b"x",), NOW), bytes(32))
    take(nodes[B], C, Delta(0, (stray,)))
    all_exchange(nodes, NOW)
    assert all(node.forks() == (Fork(origin(A), first, stray),) for node in nodes.values())


# What is before the fork.


def test_a_node_that_stopped_with_an_earlier_gap_still_gets_what_was_before_the_fork():
    nodes, (_first, _second, third) = three_with(b"one", b"two", b"three")
    late = replica(B)
    take(late, A, Delta(0, (third,)))
    take(late, C, Delta(0, (forged(third),)))
    take(nodes[C], B, Delta(0, (forged(third),)))
    assert late.forks()
    exchange(late, nodes[C], NOW + 2)
    assert entries_at(late) == {b"one", b"two", b"three"}
    assert late.applied(origin(A))[0] == 3


def test_an_earlier_fork_replaces_a_later_one_and_what_does_not_fit_is_not_asked_for_for_ever():
    _nodes, (first, second, third) = three_with(b"one", b"two", b"three")
    late = replica(B)
    others = forged(third, b"x")
    stray = signed(replace(third, entries=(b"y",)), bytes(32))
    take(late, A, Delta(0, (others,)))
    take(late, A, Delta(0, (stray,)))
    assert [fork.place for fork in late.forks()] == [3]
    misfit = signed(replace(second, entries=(b"z",)), first.chain)
    ready, _ = take(late, A, Delta(0, (misfit,)))
    assert [fork.place for fork in ready.forks] == [2]
    assert take(late, A, Delta(0, (first,)))[0].applied == (first,)
    heads = {origin(A): head_of(third)}
    assert not messages(late.receive(A, digest(origin(A), heads), NOW + 9), Fetch)


def test_a_node_that_joins_waits_for_what_was_before_the_fork_and_not_for_more():
    nodes, (_first, second) = three_with(b"one", b"two")
    take(nodes[C], B, Delta(0, (forged(second),)))
    fresh = replica(B, joined=False)
    exchange(fresh, nodes[C], NOW)
    assert fresh.joined
    assert entries_at(fresh) >= {b"one"}


# Restart.


def test_after_a_restart_a_node_tells_of_the_fork_and_has_the_proof():
    nodes, (_first, second) = three_with(b"one", b"two")
    theirs = forged(second)
    take(nodes[B], C, Delta(0, (theirs,)))
    again = replica(B)
    again.restore(list(nodes[B].seen()), nodes[B].forks())
    exchange(again, nodes[C], NOW)
    assert nodes[C].forks() == (Fork(origin(A), second, theirs),)


def test_a_former_incarnation_that_is_forked_later_is_written_anew():
    a = replica(A)
    mine, _ = write(a, b"mine")
    a.overtaken = True
    a.renew("f" * 16)
    assert a.orphans(NOW) == ()
    take(a, B, Delta(0, (forged(mine),)))
    assert not a.overtaken
    assert a.orphans(NOW) == (mine,)


# What the author can say no more.


def with_a_new_disk() -> Replica:
    """A's machine, which has lost its journal and kept its key."""
    identities = known(*(origin(region) for region in (A, B, C)))
    return Replica(origin(A, 2), [B, C], NOW, signer=signer(origin(A)), identities=identities)


def forked_at_b(*, pruning: Pruning | None = None) -> tuple[Replica, list[Batch]]:
    """B holds three batches of A, knows a fork at the second one, and has heard of nobody since."""
    identities = known(*(origin(region) for region in (A, B, C)))
    own = signer(origin(B))
    node = Replica(origin(B), [A, C], NOW, signer=own, identities=identities, joined=True, pruning=pruning)
    _, batches = three_with(b"one", b"two", b"three")
    take(node, A, Delta(0, tuple(batches)))
    take(node, C, Delta(0, (forged(batches[1]),)))
    return node, batches


def test_what_an_author_has_lost_with_its_disk_of_a_forked_log_is_said_anew_by_who_holds_it():
    b, (first, second, third) = forked_at_b()
    assert b.stranded(NOW) == ()
    author = with_a_new_disk()
    exchange(author, b, NOW + 1)
    assert author.orphans(NOW) == (first, second)  # all that anybody gets of a forked log
    assert b.stranded(NOW) == (second, third)
    assert (b.stranded(NOW), list(b.seen()), b.heads()) == ((), [first], {origin(A): 1})


def test_what_an_author_with_a_new_disk_could_say_anew_is_not_said_by_others():
    b, (first, second, third) = forked_at_b()
    author = with_a_new_disk()
    exchange(author, b, NOW + 1)
    for batch in author.orphans(NOW):
        write(author, *batch.entries)
    told = messages(author.tick(NOW + 2), Digest)[0]
    b.receive(A, told, NOW + 2)
    assert b.stranded(NOW) == ()  # what the author says is on its way
    exchange(author, b, NOW + 3)
    assert b.stranded(NOW) == (third,)
    assert entries_at(b) == {b"one", b"two"}
    assert {*b.seen()} >= {first, second}


def test_an_author_that_has_its_disk_is_waited_for_and_leaves_nothing_to_others():
    nodes, batches = three_with(b"one", b"two", b"three")
    take(nodes[B], C, Delta(0, (forged(batches[1]),)))
    all_exchange(nodes, NOW + 1)
    assert nodes[B].stranded(NOW) == ()
    nodes[A].renew("f" * 16)
    for batch in batches:
        write(nodes[A], *batch.entries)
    all_exchange(nodes, NOW + 2)
    assert [node.stranded(NOW) for node in nodes.values()] == [(), (), ()]
    assert {*nodes[B].seen()} >= {*batches}


def test_what_is_over_of_a_forked_log_is_not_said_anew():
    b, (_first, _second, third) = forked_at_b(pruning=Pruning(lambda entry: NOW + (entry == b"three"), 0.0))
    exchange(with_a_new_disk(), b, NOW + 1)
    assert b.stranded(NOW) == (third,)


def test_a_log_goes_on_past_what_was_kept_below_its_floor_and_is_said_anew():
    pruning = Pruning(lambda entry: inf if entry == b"one" else NOW, 5.0)
    author, b = replica(A), replica(B, pruning=pruning)
    batches = [write(author, entry, now=NOW + at)[0] for entry, at in ((b"one", 0), (b"two", 0), (b"three", 9))]
    take(b, A, Delta(0, tuple(batches)))
    b.prune(NOW + 10)
    take(b, C, Delta(0, (forged(batches[0]),)))
    exchange(with_a_new_disk(), b, NOW + 10)
    assert b.stranded(NOW + 10) == (batches[0],)
    b.prune(NOW + 10)
    assert (b.applied(origin(A))[0], b.heads()) == (3, {origin(A): 3})


def test_of_who_left_what_is_in_doubt_later_is_said_anew_too():
    _, batches = three_with(b"one", b"two", b"three")
    node = replica(B)
    take(node, A, Delta(0, tuple(batches)))
    node.identities._limit = lambda origin, key: 3 if origin.region == A else None
    assert node.regroup([C], NOW) == ()
    take(node, C, Delta(0, (forged(batches[1]),)))
    assert node.stranded(NOW) == tuple(batches[1:])
    assert node.stranded(NOW) == ()


# Pruned, and left.


def pruned_beyond(*, region: str, batches) -> Replica:
    """A node whose log of A begins after these batches."""
    pruning = Pruning(lambda entry: NOW + 1, 0.0)
    node = Replica(
        origin(region),
        [A, B, C],
        NOW,
        signer=signer(origin(region)),
        identities=known(*ALL),
        joined=True,
        pruning=pruning,
    )
    take(node, A, Delta(0, tuple(batches)))
    while node.prune(NOW + 10) is not None:
        pass
    return node


def test_a_node_takes_a_proof_from_below_its_floor():
    _, batches = three_with(b"one", b"two")
    stopped, node = replica(B), pruned_beyond(region=C, batches=batches)
    take(stopped, A, Delta(0, (batches[0], forged(batches[0]))))
    assert list(node.seen()) == batches[1:]
    exchange(stopped, node, NOW + 11)
    assert [fork.place for fork in node.forks()] == [1]
    assert node.heads() == {origin(A): 2}


def test_one_old_batch_after_another_from_below_a_floor_proves_nothing():
    _, batches = three_with(b"one", b"two", b"three")
    node = pruned_beyond(region=C, batches=batches)
    for batch in (*batches, *batches):
        take(node, A, Delta(0, (batch,)))
    assert node.forks() == ()


@pytest.mark.parametrize(("place", "floor", "applied"), [(3, 2, 3), (2, 1, 2)])
def test_a_stopped_log_goes_on_from_a_floor_but_from_no_place_that_is_in_doubt(place, floor, applied):
    _, batches = three_with(b"one", b"two", b"three")
    holder = pruned_beyond(region=C, batches=batches[:2])
    checkpoint = holder.checkpoint()
    assert isinstance(checkpoint, Checkpoint)
    late, genuine = replica(B), batches[place - 1]
    take(late, A, Delta(0, (genuine, forged(genuine))))
    take(late, C, Delta(0, tuple(holder.seen())))
    ready = late.receive(C, checkpoint, NOW + 11)
    late.saved(ready, NOW + 11)
    assert ready.adopted == {origin(A): floor}
    assert (late.applied(origin(A))[0], late.heads()) == (applied, {origin(A): applied})
    assert late.receive(C, checkpoint, NOW + 11) == Ready()


@pytest.mark.parametrize(("limit", "believed"), [(1, False), (2, True)])
def test_of_who_left_only_what_is_believed_proves_a_fork_and_what_is_in_doubt_is_said_anew(limit, believed):
    _, (first, second) = three_with(b"one", b"two")
    node = replica(B)
    take(node, A, Delta(0, (first, second, forged(second))))
    node.identities._limit = lambda origin, key: limit if origin.region == A else None
    assert node.regroup([C], NOW) == (second,)
    assert bool(node.forks()) is believed
    assert list(node.seen()) == [first]


# Freshness.


def test_a_token_of_what_is_in_doubt_is_not_honoured():
    nodes, (_, second) = three_with(b"one", b"two")
    before, after = nodes[A].token(1), nodes[A].token(2)
    assert nodes[B].fresh_enough(after)
    take(nodes[B], C, Delta(0, (forged(second),)))
    assert nodes[B].fresh_enough(before)
    assert not nodes[B].fresh_enough(after)


def test_a_stopped_log_of_a_replaced_incarnation_makes_nobody_stale():
    nodes, (_, second) = three_with(b"one", b"two")
    take(nodes[B], C, Delta(0, (forged(second),)))
    _third, push = write(nodes[A], b"three")
    take(nodes[C], A, push.send[0][1])
    all_exchange(nodes, NOW + 1)
    nodes[A].renew("f" * 16)
    all_exchange(nodes, NOW + 2)
    all_exchange(nodes, NOW + 3)
    assert origin(A) not in nodes[B].staleness(NOW + 3)
