"""What was issued before a cut-off is before it, whatever the clock did in between."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stsd.revocation.instants import AHEAD_MS, MAX_STEP_MS, Instants
from stsd.revocation.messages import Digest
from tests.revocation.nodes import A, B, replica, take, write
from tests.revocation.signed import announced, heartbeat

NOW = 1_795_435_200.0
moves = st.lists(st.tuples(st.sampled_from(["issue", "cut_off"]), st.integers(-3_000_000, 3_000_000)), max_size=12)


def test_a_clock_that_was_set_back_moves_a_cut_off_by_as_much():
    instants = Instants()
    issued_ms = instants.issue(NOW)
    assert instants.cut_off(NOW - 5) == issued_ms + 1
    assert instants.behind_ms(NOW - 5) == 5_001


def test_a_session_that_is_issued_after_a_cut_off_is_not_before_it():
    instants = Instants()
    instants.issue(NOW)
    cutoff_ms = instants.cut_off(NOW - 1.5)
    assert instants.issue(NOW - 1.5) == cutoff_ms
    assert instants.issue(NOW + 1) == int((NOW + 1) * 1000)


def test_a_session_is_never_issued_so_far_ahead_that_it_were_not_valid_yet_elsewhere():
    instants = Instants()
    instants.issue(NOW)
    instants.cut_off(NOW - 5)
    assert instants.issue(NOW - 5) == int((NOW - 5) * 1000)


def test_within_one_millisecond_the_order_counts():
    instants = Instants()
    for now in (NOW, NOW + 0.0003, NOW + 0.0006):
        before_ms = instants.issue(now)
        cutoff_ms = instants.cut_off(now)
        assert before_ms < cutoff_ms <= instants.issue(now)


def test_a_clock_that_was_an_hour_fast_is_told_and_not_followed():
    instants = Instants()
    instants.issue(NOW + 3600)
    assert instants.cut_off(NOW) == int(NOW * 1000)
    assert instants.behind_ms(NOW) > MAX_STEP_MS


@pytest.mark.parametrize("said_by", ["issue", "region"])
def test_a_clock_that_was_a_minute_fast_is_not_followed_either_when_that_minute_is_nearly_over(said_by):
    instants, said = Instants(), NOW + 60
    if said_by == "issue":
        instants.issue(said)
    for second in range(1, 60):
        now = NOW + second
        behind_s = said - now if said_by == "region" else -0.5
        instants.look(now, behind_s)
        assert instants.cut_off(now, behind_s) == int(now * 1000)
        assert instants.behind_ms(now, behind_s) in (int(said - now) * 1000, int(said - now) * 1000 + 1)
        assert instants.issue(now) == int(now * 1000)
    assert instants.cut_off(NOW + 60, 0.0) == int((NOW + 60) * 1000)
    assert instants.cut_off(NOW + 61, 4.0) == int((NOW + 65) * 1000)  # what is said from then on counts again


def test_sessions_since_a_wrong_clock_was_set_right_are_before_a_cut_off_also_when_it_is_set_back_once_more():
    instants = Instants()
    instants.issue(NOW + 60)
    issued_ms = instants.issue(NOW + 1)
    assert instants.cut_off(NOW - 1) == issued_ms + 1


def test_what_the_region_has_said_counts_as_what_was_issued_here():
    assert Instants().cut_off(NOW, behind_s=4.2) == int(NOW * 1000) + 4_200
    assert Instants().cut_off(NOW, behind_s=-4.2) == int(NOW * 1000)


@given(moves)
def test_nothing_escapes_and_what_comes_after_is_spared_while_the_clock_is_little_behind(steps):
    """Steps of microseconds; the clock stays within MAX_STEP_MS of where it was furthest."""
    instants, now_us, furthest_us = Instants(), int(NOW * 1e6), int(NOW * 1e6)
    issued_ms: list[int] = []
    spared_ms = 0
    for action, step_us in steps:
        now_us = max(now_us + step_us, furthest_us - (MAX_STEP_MS - 10) * 1000)
        furthest_us = max(furthest_us, now_us)
        now = now_us / 1e6
        if action == "cut_off":
            spared_ms = instants.cut_off(now)
            assert all(at_ms < spared_ms for at_ms in issued_ms)
            assert spared_ms >= int(now * 1000)
        else:
            issued_ms.append(instants.issue(now))
            ahead_ms = issued_ms[-1] - int(now * 1000)
            assert 0 <= ahead_ms <= AHEAD_MS
            assert issued_ms[-1] >= spared_ms or spared_ms > int(now * 1000) + AHEAD_MS


# What a region has said, to a node that has just started.


def test_the_region_said_the_time_of_its_last_batch_and_of_its_last_start():
    a, again = replica(A), replica(A)
    batch, _ = write(a, now=NOW + 30)
    assert again.latest_of_region() == NOW
    again.restore([batch])
    assert again.latest_of_region() == NOW + 30
    b = replica(B)
    take(b, A, a.committed(a.append((b"x",), NOW + 60), NOW).send[0][1])
    assert b.latest_of_region() == NOW  # another region's clock


def test_peers_tell_a_node_that_has_just_started_what_it_said_last():
    a = replica(A)
    own, theirs = a.origin, replica(B).origin
    for at in (NOW + 7, NOW + 5):
        a.receive(B, Digest(0, theirs, {}, {own: heartbeat(own, at)}, announced(own, theirs)), NOW)
        assert a.latest_of_region() == NOW + 7
    forged = heartbeat(own, NOW + 7)._replace(at=NOW + 9)
    assert a.receive(B, Digest(0, theirs, {}, {own: forged}), NOW).refused == (("bad_signature", own),)
    assert a.latest_of_region() == NOW + 7
    (told,) = [message for peer, message in a.tick(NOW + 1).send if peer == B]
    assert told.heartbeats[own].at == NOW + 1  # it says its own time again
