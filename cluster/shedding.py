"""How large a share of its calls a region keeps that answers slower or worse than it used to (multiregion 3.3). Pure.

Every two seconds a window of calls is judged; one of a region that gets a share lasts up to 12 s until it has calls
enough. The region is ill when its slow calls took more than five times as long
as usual, or when more than a tenth failed: its share is halved, down to a sixteenth. Otherwise a fifth comes back.
Usual is the median of the windows of the last ten minutes in which it was well; a region that is ill for five minutes
is as it is, and what is usual is found anew. A slow call is the 99th percentile of a window, or of fewer than
100 calls the 90th: one hiccup is no illness.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from statistics import median

EVERY_S = 2.0
"""Two ticks of `admission`."""
USUAL_WINDOWS = 300
ILL_WINDOWS_MAX = 150
USUAL_WINDOWS_MIN = 3
"""Windows from which what is usual is known."""
CALLS_MIN = 20
P99_CALLS_MIN = 100
CALLS_MIN_SHED = 5
"""Of a region that gets a share only, fewer calls have to do."""
WAIT_TICKS_MAX = 5
"""So often the share stays as it is while there are too few calls to judge."""
TIMES = 5.0
SLOWER_S_MIN = 0.02
FAILED_SHARE = 0.1
SHARE_MIN = 1 / 16
RECOVERY = 0.2


@dataclass(slots=True)
class Shedding:
    """One region. `share` is what it keeps."""

    share: float = 1.0
    took_s: list[float] = field(default_factory=list)
    failed: int = 0
    _ill: int = 0
    _waited: int = 0
    _usual: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=USUAL_WINDOWS))

    def add(self, took_s: float, *, failed: bool) -> None:
        """Takes a call that was answered."""
        self.took_s.append(took_s)
        self.failed += failed

    def tick(self) -> float:
        """Judges the window that ends now and begins the next; the share."""
        took_s, failed = self.took_s, self.failed
        if self.share < 1.0 and len(took_s) < CALLS_MIN_SHED and self._waited < WAIT_TICKS_MAX:
            self._waited += 1
            return self.share
        self.took_s, self.failed, self._waited = [], 0, 0
        enough = CALLS_MIN if self.share >= 1.0 else CALLS_MIN_SHED
        if len(took_s) >= enough and self._is_ill(took_s, failed):
            self.share = max(SHARE_MIN, self.share / 2)
        else:
            self.share = min(1.0, self.share + RECOVERY)
        return self.share

    def _is_ill(self, took_s: list[float], failed: int) -> bool:
        took_s.sort()
        slow = [took_s[int(len(took_s) * share)] for share in (0.9, 0.99)]
        if failed > len(took_s) * FAILED_SHARE:
            return True
        if self._is_slow(slow[-1] if len(took_s) >= P99_CALLS_MIN else slow[0], len(took_s) >= P99_CALLS_MIN):
            self._ill += 1
            if self._ill >= ILL_WINDOWS_MAX:
                self._usual.clear()
            return True
        self._ill = 0
        if len(took_s) >= CALLS_MIN:
            self._usual.append((slow[0], slow[-1]))
        return False

    def _is_slow(self, took_s: float, is_p99: bool) -> bool:
        if len(self._usual) < USUAL_WINDOWS_MIN:
            return False
        usual_s = median(window[is_p99] for window in self._usual)
        return took_s > max(TIMES * usual_s, usual_s + SLOWER_S_MIN)
