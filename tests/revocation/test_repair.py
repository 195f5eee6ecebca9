"""Who asks whom for what, what the answer is, and when a node that joins has caught up."""

from stsd.revocation.messages import (
    FORKED,
    MAX_BATCH_BYTES,
    MAX_FETCH_BYTES,
    MAX_FETCH_ENTRIES,
    Delta,
    Fetch,
    Head,
)
from stsd.revocation.repair import FETCH_TIMEOUT_S
from tests.revocation.nodes import NOW, A, B, C, exchange, messages, origin, replica, take, write
from tests.revocation.signed import digest


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


def test_a_clock_that_steps_back_makes_nobody_wait_until_it_is_there_again():
    node, heads = replica(B), {origin(A): 3}
    assert messages(node.receive(A, digest(origin(A), heads), NOW), Fetch)
    assert messages(node.receive(C, digest(origin(C), heads), NOW - 0.5), Fetch)


def test_what_did_not_come_is_asked_for_again_at_once_and_of_its_own_node_last():
    node, heads = replica(B), {origin(A): 3}
    assert node.ask_again(origin(A), NOW).send == ()
    node.receive(A, digest(origin(A), heads), NOW)
    assert node.ask_again(origin(A), NOW).send == ((A, Fetch(0, {origin(A): 0})),)
    node.receive(C, digest(origin(C), heads), NOW)
    assert node.ask_again(origin(A), NOW).send == ((C, Fetch(0, {origin(A): 0})),)
    late = NOW + FETCH_TIMEOUT_S
    assert not messages(node.receive(A, digest(origin(A), heads), late - 0.1), Fetch)
    assert messages(node.receive(A, digest(origin(A), heads), late), Fetch)


def test_what_is_not_lacking_is_not_asked_for_again():
    writer, node = replica(A), replica(B)
    batch, _ = write(writer)
    node.receive(C, digest(origin(C), {origin(A): 1}), NOW)
    take(node, A, Delta(0, (batch,)))
    assert node.ask_again(origin(A), NOW).send == ()


def test_a_peer_that_has_stopped_a_log_is_asked_again_for_the_proof():
    node = replica(B)
    node.receive(C, digest(origin(C), {origin(A): Head(2, FORKED)}), NOW)
    assert node.ask_again(origin(A), NOW).send == ((C, Fetch(0, {origin(A): 0})),)


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


def test_a_page_that_the_last_one_has_overtaken_makes_nobody_wait():
    writer, node = replica(A), replica(B)
    first, second = write(writer)[0], write(writer)[0]
    node.receive(A, digest(origin(A), {origin(A): 3}), NOW)
    last = node.receive(A, Delta(0, (second,), "last"), NOW)
    node.receive(A, Delta(0, (first,), "page"), NOW)
    assert messages(node.saved(last, NOW), Fetch) == [Fetch(0, {origin(A): 2})]


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
    assert MAX_FETCH_BYTES // 2 < sent <= MAX_FETCH_BYTES
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
