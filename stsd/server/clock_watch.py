"""Asks the clocks of peers each heartbeat, and stops the issuing of sessions while this node's own is wrong.

How that is judged is in `stsd.revocation.peer_clocks`. A node whose clock is wrong refuses to issue with 503, is not
ready, so that routers go elsewhere, and says so once in its log (`clock_wrong`, with the seconds that it is ahead);
it goes on verifying, revoking and replicating. It issues again as soon as the next answers show that its clock is
right, or when it hears too few others to know (`clock_right`, `clock_unknown`).

The clock that is compared is service time, which sessions carry. When a test hook moves it, what was measured is
forgotten, and for MOVING_S nothing is measured: the hook moves one node after the other (contract 8), and in between
their clocks do differ.
"""

from __future__ import annotations

from collections.abc import Mapping

from stsd.revocation.messages import ClockReading, Sent
from stsd.revocation.peer_clocks import PeerClocks
from stsd.server.backbone import Backbone
from stsd.server.clock import Clock
from stsd.server.keeper import Report
from stsd.view import View

MOVING_S = 0.3


class ClockWatch:
    """Of one node; `view.clock_wrong_by_s` is what it says."""

    def __init__(self, backbone: Backbone, view: View, clock: Clock, report: Report) -> None:
        self._backbone, self._view, self._clock, self._report = backbone, view, clock, report
        self._peers = PeerClocks()
        self._from = 0.0

    def ask(self) -> None:
        """Each heartbeat: every peer."""
        peers = self._backbone.peers
        self._peers.keep(peers)
        self._judge()
        self._backbone.tell(peers, ClockReading(self._view.replica.epoch, self._clock.service()))

    def hear(self, peer: str, reading: ClockReading) -> list[Sent]:
        """A peer asks, and gets the answer; or it has answered."""
        heard_at = self._clock.service()
        if reading.asked is None:
            asked = reading.sent_at, heard_at
            return [ClockReading(self._view.replica.epoch, self._clock.service(), asked)]
        asked_at, theirs_in = reading.asked
        now = self._clock.steady()
        if now >= self._from:
            self._peers.note(peer, (asked_at, heard_at), (theirs_in, reading.sent_at), now)
            self._judge()
        return []

    def moved(self) -> None:
        """A test hook has moved our clock."""
        self._from = self._clock.steady() + MOVING_S
        self._peers.forget()
        self._judge()

    def offsets_s(self) -> Mapping[str, float]:
        """By how many seconds our clock is ahead of each peer's that is heard."""
        return {peer: one.ahead_s for peer, one in self._peers.heard(self._clock.steady()).items()}

    def _judge(self) -> None:
        now, was = self._clock.steady(), self._view.clock_wrong_by_s
        self._view.clock_wrong_by_s = wrong_by_s = self._peers.wrong_by_s(now)
        if wrong_by_s is not None and was is None:
            self._report("clock_wrong", offset_s=round(wrong_by_s, 3), peers=sorted(self._peers.heard(now)))
        elif wrong_by_s is None and was is not None:
            self._report("clock_right" if len(self._peers.heard(now)) > 1 else "clock_unknown")
