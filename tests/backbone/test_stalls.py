"""When an origin counts as stalled, and until when."""

from __future__ import annotations

from stsd.revocation.messages import Origin
from stsd.server.backbone.stalls import QUIET_S, STALLED_AFTER_S, Stalls

ORIGIN = Origin("eu-west-1", "1", "0" * 16)


class Reached:
    """How far the log is, whoever brought it, and how far the backbone did."""

    def __init__(self) -> None:
        self.applied = self.brought = 0
        self.stalls = Stalls(lambda origin: self.applied, lambda origin: self.brought)

    def look(self, told: int, now: float) -> tuple[bool, bool]:
        began, ended = self.stalls.look({ORIGIN: told}, now)
        return began == [ORIGIN], ended == [ORIGIN]


def test_an_origin_stalls_when_it_trails_for_two_seconds_and_is_told_once():
    reached = Reached()
    assert reached.look(5, 0) == (False, False)
    assert reached.look(5, STALLED_AFTER_S - 0.1) == (False, False)
    assert reached.look(5, STALLED_AFTER_S) == (True, False)
    assert reached.look(6, STALLED_AFTER_S + 1) == (False, False)
    assert reached.stalls.is_stalled(ORIGIN)


def test_an_origin_that_is_behind_but_moves_is_not_stalled():
    reached = Reached()
    for second in range(20):
        assert reached.look(100 + second * 10, second) == (False, False)
        reached.applied = 100 + second * 10
    assert not reached.stalls.stalled


def test_a_stall_ends_when_the_backbone_itself_has_brought_everything():
    reached = Reached()
    reached.look(5, 0)
    reached.look(5, 2)
    reached.applied = 5
    assert reached.look(5, 3) == (False, False)
    reached.brought = 5
    assert reached.look(5, 4) == (False, True)
    assert not reached.stalls.stalled


def test_a_stall_goes_on_while_a_gap_is_open_before_what_the_backbone_brings():
    reached = Reached()
    reached.look(5, 0)
    reached.look(5, 2)
    reached.brought = 6
    assert reached.look(6, 3) == (False, False)
    assert reached.stalls.is_stalled(ORIGIN)
    reached.applied = 6
    assert reached.look(6, 4) == (False, True)


def test_a_stall_ends_when_nothing_is_lacking_and_nothing_new_was_told_for_a_minute():
    reached = Reached()
    reached.look(5, 0)
    reached.look(5, 2)
    reached.applied = 5
    assert reached.look(5, 3) == (False, False)
    reached.look(6, 50)
    reached.applied = 6
    assert reached.look(6, 50 + QUIET_S - 1) == (False, False)
    assert reached.look(6, 50 + QUIET_S) == (False, True)


def test_what_a_reset_took_away_is_forgotten():
    reached = Reached()
    reached.look(5, 0)
    reached.look(5, 2)
    assert reached.stalls.look({}, 3) == ([], [])
    assert not reached.stalls.stalled
