"""How large a share of its calls a region keeps that answers slower or worse than it used to (multiregion 3.3). Pure.

What is seen of a region is gathered in windows of two seconds, longer where calls are few (at most 12 s), and judged:

| seen | share |
|---|---|
| half of the calls took more than five times as long as half of them usually do | times usual ÷ now, at once |
| the slow calls took more than five times as long as usual | halved |
| more than a tenth failed | times a tenth ÷ the share that failed, at most half; at once where most failed |
| none of that | a fifth comes back |

The first rule is the inverse of the latency, so that what the region still gets adds about as much to the mean as it
did when it was well; a second window like that makes it next to nothing. A slow call is the 99th percentile of a
window, or of fewer than 100 calls the 90th: one hiccup is no illness. Usual is the median of the windows of the last
ten minutes in which the region was well. If it is ill for five minutes it is as it is, and what is usual is found anew.

* A region is compared with itself and with the others: where even the best of them is slower than it used to be, by
  as much more has this one to be. What makes all of them slow is no reason to go to another one.
* What was sent before a share was cut says nothing about the share after it.
* Deep checks (`canary`) come once a second then, and count as calls: the share can be small and the router sees all the
  same that the region is well. One that is well for them alone falls ill again as soon as it gets its calls; each time
  the share rests twice as long before it grows, up to a minute.
* A region that refuses because it has too much to do (503 with `Retry-After`) is not ill: that is for `admission`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from statistics import median

WINDOW_S = 2.0
WINDOW_S_MAX = 12.0
"""A window with too few calls ends then all the same, and a share grows."""
USUAL_WINDOWS = 300
USUAL_WINDOWS_MIN = 3
"""Windows from which what is usual is known."""
SLOW_S_MAX = 300.0
CALLS_MIN = 20
P99_CALLS_MIN = 100
CALLS_MIN_SHED = 5
"""Of a region that gets a share only, fewer calls have to do."""
TIMES = 5.0
SLOWER_S_MIN = 0.02
FAILED_SHARE = 0.1
MOST = 0.5
HALF = 0.5
SHARE_MIN = 1 / 256
RECOVERY = 0.2
REST_S_BASE = 2.0
REST_S_MAX = 60.0
FORGIVE_S = 30.0
"""A region that had its whole share for so long did not fall ill again, but anew."""
ROUNDING = 1e-6
"""Of times that were added up."""

Latency = tuple[float, float, float]
"""Median, 90th and 99th percentile of a window, in seconds."""


@dataclass(slots=True)
class Shedding:
    """One region. `share` is what it keeps; times are monotonic seconds."""

    share: float = 1.0
    _took_s: list[float] = field(default_factory=list)
    _failed: int = 0
    _began_at: float | None = None
    _cut_at: float = 0.0
    _rest_s: float = REST_S_BASE
    _grown: bool = False
    """Since the last cut."""
    _whole_at: float = -FORGIVE_S
    _slow_since: float | None = None
    _usual: deque[Latency] = field(default_factory=lambda: deque(maxlen=USUAL_WINDOWS))

    @property
    def usual_s(self) -> float:
        """How long half of the calls usually take at most; 0 while that is not known."""
        usual_s = self._usual_latency()[0]
        return 0.0 if usual_s == inf else usual_s

    def slowdown(self) -> float:
        """How many times as long as usual half of the calls of this window take; 1 while there are too few to tell."""
        if len(self._took_s) < CALLS_MIN_SHED:
            return 1.0
        return _latency(self._took_s)[0] / self._usual_latency()[0]

    def add(self, took_s: float, now: float, *, failed: bool) -> None:
        """Takes a call that was answered at `now`."""
        if now - took_s >= self._cut_at:
            self._took_s.append(took_s)
            self._failed += failed

    def tick(self, now: float, others: float = 1.0) -> float:
        """Judges what was seen; the share. `others` is the least slowdown of another region."""
        if self._began_at is None:
            self._began_at = now
        age_s = now - self._began_at + ROUNDING
        if len(self._took_s) >= (CALLS_MIN if self.share >= 1.0 else CALLS_MIN_SHED):
            self._judge(now, max(1.0, others), in_full=age_s >= WINDOW_S)
        elif age_s >= WINDOW_S_MAX:
            self._begin(now)
            self._grow(now)
        return self.share

    def _judge(self, now: float, others: float, *, in_full: bool) -> None:
        seen, usual, calls = _latency(self._took_s), self._usual_latency(), len(self._took_s)
        failing = self._failed / calls
        middle, slow = _slower(seen[0], usual[0], others), _slower(seen[_rank(calls)], usual[_rank(calls)], others)
        factor = min(1 / middle, FAILED_SHARE / failing if failing > MOST else 1.0)
        if in_full and factor >= 1.0:
            factor = min(
                HALF if slow > 1.0 else 1.0, min(HALF, FAILED_SHARE / failing) if failing > FAILED_SHARE else 1.0
            )
        if factor >= 1.0 and not in_full:
            return
        self._note_slow(now, slowly=max(middle, slow) > 1.0)
        self._begin(now)
        if factor < 1.0:
            self._cut(factor, now)
            return
        if calls >= CALLS_MIN:
            self._usual.append(seen)
        self._grow(now)

    def _usual_latency(self) -> Latency:
        """Endless while it is not known, so that nothing is slower."""
        if len(self._usual) < USUAL_WINDOWS_MIN:
            return inf, inf, inf
        middle, slow, slowest = (median(times) for times in zip(*self._usual, strict=True))
        return middle, slow, slowest

    def _note_slow(self, now: float, *, slowly: bool) -> None:
        if not slowly:
            self._slow_since = None
        elif self._slow_since is None:
            self._slow_since = now
        elif now - self._slow_since >= SLOW_S_MAX:
            self._usual.clear()
            self._slow_since = None

    def _begin(self, now: float) -> None:
        self._took_s, self._failed, self._began_at = [], 0, now

    def _cut(self, factor: float, now: float) -> None:
        if self.share >= 1.0 and now - self._whole_at >= FORGIVE_S:
            self._rest_s = REST_S_BASE
        elif self._grown:
            self._rest_s = min(REST_S_MAX, 2 * self._rest_s)
        self.share, self._cut_at, self._grown = max(SHARE_MIN, self.share * factor), now, False

    def _grow(self, now: float) -> None:
        if self.share < 1.0 and now - self._cut_at + ROUNDING >= self._rest_s:
            self.share, self._grown = min(1.0, self.share + RECOVERY), True
            self._whole_at = now


def judge(regions: Mapping[str, Shedding], now: float) -> None:
    """Sets the share of each region anew; once a second."""
    before = {region: one.slowdown() for region, one in regions.items()}
    for region, one in regions.items():
        one.tick(now, min((slowdown for other, slowdown in before.items() if other != region), default=1.0))


def _latency(took_s: Sequence[float]) -> Latency:
    ordered = sorted(took_s)
    middle, slow, slowest = (ordered[int(len(ordered) * share)] for share in (0.5, 0.9, 0.99))
    return middle, slow, slowest


def _rank(calls: int) -> int:
    """Which time of a window counts as its slow calls'."""
    return 2 if calls >= P99_CALLS_MIN else 1


def _slower(took_s: float, usual_s: float, others: float) -> float:
    """How many times as long as it usually does, where all are `others` times as slow; 1 for what is bearable."""
    expected_s = usual_s * others
    return took_s / expected_s if took_s > max(TIMES * expected_s, expected_s + SLOWER_S_MIN) else 1.0
