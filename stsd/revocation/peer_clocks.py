"""Whether this node's clock is wrong, by what the clocks of its peers say (design 2.1).

Cut-offs are safe while clocks differ by at most the allowance EPSILON_MS (contract 10). A node that is farther off
gives sessions that escape a cut-off, or that are refused without need; so it has to notice that by itself.

1. A peer is asked once a heartbeat what its clock says. With `t1` when we asked and `t4` when the answer came, by our
   clock, and `t2`, `t3` the same by the peer's, ours is ahead by ((t1 - t2) + (t4 - t3)) / 2, wrong by at most half of
   the way there and back, (t4 - t1) - (t3 - t2) (RFC 5905 section 8). A slow or lopsided link makes it less certain,
   never wrong. A clock that was moved between question and answer cannot be evidence either: moved forward it is a long
   way, moved back a negative one, which says nothing.
2. Ours is *off from* a peer's when it is beyond the allowance for certain: by more than it, and that error.
3. Ours is *wrong* when it is off from peers that agree with each other, within the allowance, and these are more than
   half of all the clocks that are known, ours among them. So two nodes never know which of them is wrong, nor do two
   halves; one that lies convinces nobody of three nodes, nor do two of five; and at most a minority can be stopped.
4. What was heard counts for HEARD_S. A node that is cut off, or hears one peer alone, knows nothing and goes on: that
   others are away must never stop a region. What it would miss is no more than what it misses of revocations anyway.

Pure. `now` is seconds of a clock that nobody moves; everything else is service time, which is what sessions carry.
"""

from __future__ import annotations

from collections.abc import Collection
from statistics import median
from typing import NamedTuple

from stsd.revocation.revocation_set import EPSILON_MS

ALLOWANCE_S = EPSILON_MS / 1000
HEARD_S = 3.0
"""Three heartbeats: one may get lost."""


class Estimate(NamedTuple):
    """By how many seconds our clock is ahead of a peer's, give or take `error_s`, as of `taken_at`."""

    ahead_s: float
    error_s: float
    taken_at: float


class PeerClocks:
    """What one node knows of the clocks of others."""

    def __init__(self) -> None:
        self._estimates: dict[str, Estimate] = {}

    def note(self, peer: str, ours: tuple[float, float], theirs: tuple[float, float], now: float) -> None:
        """A peer answered. `ours` is when it was asked and heard, by our clock; `theirs` when it heard and answered."""
        (asked_at, heard_at), (theirs_in, theirs_out) = ours, theirs
        way_s = (heard_at - asked_at) - (theirs_out - theirs_in)
        if way_s >= 0:
            ahead_s = ((asked_at - theirs_in) + (heard_at - theirs_out)) / 2
            self._estimates[peer] = Estimate(ahead_s, way_s / 2, now)

    def keep(self, peers: Collection[str]) -> None:
        """From now on these are the peers."""
        for gone in self._estimates.keys() - set(peers):
            del self._estimates[gone]

    def forget(self) -> None:
        """Our clock was moved: what was measured says nothing of it any more."""
        self._estimates.clear()

    def heard(self, now: float) -> dict[str, Estimate]:
        """What is known now, by peer."""
        return {peer: one for peer, one in self._estimates.items() if now - one.taken_at <= HEARD_S}

    def wrong_by_s(self, now: float) -> float | None:
        """By how much our clock is ahead of those that show it to be wrong, negative when it is behind; None when
        nothing shows that (rules 2 and 3)."""
        heard = self.heard(now).values()
        group = _largest_agreeing(sorted(one.ahead_s for one in heard if abs(one.ahead_s) - one.error_s > ALLOWANCE_S))
        return median(group) if 2 * len(group) > len(heard) + 1 else None


def _largest_agreeing(ahead_s: list[float]) -> list[float]:
    """The most of these, which ascend, that lie within the allowance of each other."""
    groups = ([other for other in ahead_s if 0 <= other - least <= ALLOWANCE_S] for least in ahead_s)
    return max(groups, key=len, default=[])
