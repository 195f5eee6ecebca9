"""When a node knows that its own clock is wrong, and when it only knows that clocks differ."""

from __future__ import annotations

import pytest

from stsd.revocation.peer_clocks import ALLOWANCE_S, HEARD_S, PeerClocks

NOW = 1_795_435_200.0


def exchange(clocks: PeerClocks, peer: str, ahead_s: float, *, out_s: float = 0.05, back_s: float = 0.05, at=0.0):
    """Our clock is that much ahead of a peer's, which takes 10 ms to answer."""
    asked_at = NOW + ahead_s
    came = NOW + out_s
    ours = asked_at, asked_at + out_s + 0.01 + back_s
    clocks.note(peer, ours, (came, came + 0.01), at)


def among(*ahead_s: float) -> PeerClocks:
    clocks = PeerClocks()
    for number, one in enumerate(ahead_s):
        exchange(clocks, f"peer-{number}", one)
    return clocks


@pytest.mark.parametrize("ahead_s", [0.0, 1.3, -1.3, 60.0, -60.0])
def test_the_measured_difference_is_that_of_the_clocks_whatever_the_answer_took(ahead_s):
    [estimate] = among(ahead_s).heard(0).values()
    assert estimate.ahead_s == pytest.approx(ahead_s, abs=1e-6)
    assert estimate.error_s == pytest.approx(0.05, abs=1e-6)


@pytest.mark.parametrize("ahead_s", [5.0, -5.0, 60.0, -60.0])
def test_a_clock_that_two_of_three_disagree_with_is_wrong_and_by_how_much(ahead_s):
    assert among(ahead_s, ahead_s + 0.02).wrong_by_s(0) == pytest.approx(ahead_s, abs=0.02)


@pytest.mark.parametrize("ahead_s", [0.0, 1.0, -1.0, ALLOWANCE_S, -ALLOWANCE_S])
def test_a_clock_within_the_allowance_is_right(ahead_s):
    assert among(ahead_s, ahead_s, ahead_s).wrong_by_s(0) is None


@pytest.mark.parametrize(
    "ahead_s",
    [
        (),
        (60,),  # two nodes: who is wrong?
        (60, 0),  # one lies
        (60, -60),  # both differ, but from each other too
        (60, 60, 0),  # two halves of four
        (60, 60, 0, 0),  # two of five lie
        (60, 60, -60, -60),
    ],
)
def test_whoever_is_no_majority_of_all_clocks_convinces_nobody(ahead_s):
    assert among(*ahead_s).wrong_by_s(0) is None


@pytest.mark.parametrize("ahead_s", [(60, 60), (60, 60, 60), (60, 60, 60, 0), (60, 61, 60.5, -9), (60, 60, 60, 0.5)])
def test_a_majority_that_agrees_does(ahead_s):
    assert among(*ahead_s).wrong_by_s(0) == pytest.approx(60, abs=0.5)


def test_what_a_lopsided_link_may_have_made_of_it_is_no_evidence():
    clocks = PeerClocks()
    for peer in ("first", "second"):
        exchange(clocks, peer, 0.0, out_s=0.1, back_s=9.0)
    assert min(one.ahead_s for one in clocks.heard(0).values()) > ALLOWANCE_S
    assert clocks.wrong_by_s(0) is None


@pytest.mark.parametrize("step_s", [60.0, 5.0, -5.0, -60.0])
def test_a_clock_that_was_moved_between_question_and_answer_is_no_evidence(step_s):
    clocks = PeerClocks()
    for peer in ("first", "second"):
        clocks.note(peer, (NOW, NOW + 0.1 + step_s), (NOW + 0.05, NOW + 0.06), 0)
    assert clocks.wrong_by_s(0) is None


def test_who_is_cut_off_goes_on_because_what_was_heard_grows_old():
    clocks = among(60, 60)
    assert clocks.wrong_by_s(HEARD_S) is not None
    assert clocks.wrong_by_s(HEARD_S + 0.01) is None
    exchange(clocks, "peer-0", 60, at=HEARD_S + 0.01)
    assert clocks.wrong_by_s(HEARD_S + 0.01) is None


def test_one_answer_of_a_right_clock_ends_it():
    clocks = among(60, 60)
    exchange(clocks, "peer-1", 0)
    assert clocks.wrong_by_s(0) is None


def test_who_left_says_nothing_any_more():
    clocks = among(60, 60)
    clocks.keep({"peer-1"})
    assert clocks.heard(0).keys() == {"peer-1"}
    assert clocks.wrong_by_s(0) is None
