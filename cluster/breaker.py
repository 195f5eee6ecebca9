"""Passive outlier detection of one region for one class of calls: a circuit breaker (multiregion 3.3). Pure.

    closed ── 5 gateway failures in a row, or > 50 % of ≥ 20 requests in 2 s ──▶ open for 5 s, 10 s, … 60 s
       ▲                                                                            │
       └── 2 probes in a row answered ── half-open: one probe a second ◀────────────┘
                                            └── a probe fails ──▶ open again, for longer

Every 10 quiet seconds forgive one opening. What was sent before it opened and is answered while it is open says
nothing. Times are monotonic seconds.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class BreakerSettings:
    """Envoy's knobs, by their names. Higher numbers open later and hold longer."""

    consecutive_gateway_failures: int = 5
    failure_rate: float = 0.5
    requests_min: int = 20
    window_s: float = 2.0
    ejection_s_base: float = 5.0
    ejection_s_max: float = 60.0
    forgive_s: float = 10.0
    probes: int = 2
    probe_every_s: float = 1.0


@dataclass(slots=True)
class Breaker:
    """One class of calls to one region; closed at first."""

    settings: BreakerSettings = field(default_factory=BreakerSettings)
    consecutive: int = 0
    ejections: int = 0
    open_until: float = 0.0
    proving: bool = False
    """Open or half-open: not yet closed again."""
    proved: int = 0
    next_probe_at: float = 0.0
    window: deque[tuple[float, bool]] = field(default_factory=deque)
    failures: int = 0

    def is_open(self, now: float) -> bool:
        """Whether nothing may pass."""
        return now < self.open_until

    def take_probe(self, now: float) -> bool:
        """Whether a call may pass to a half-open breaker now; if so, none may for a second."""
        if now < max(self.open_until, self.next_probe_at):
            return False
        self.next_probe_at = now + self.settings.probe_every_s
        return True

    def request(self, now: float, *, failed: bool, gateway: bool) -> bool:
        """Takes an outcome: `failed` for any 5xx, `gateway` for no answer or 502, 503, 504. Whether that opened or
        closed it."""
        failed = failed or gateway
        if self.proving:
            return not self.is_open(now) and self._prove(now, failed)
        self._slide(now)
        self.window.append((now, failed))
        self.failures += failed
        self.consecutive = self.consecutive + 1 if gateway else 0
        if failed and self._is_outlier():
            self._open(now)
            return True
        return False

    def reset(self, now: float) -> None:
        """Closes it: what failed is gone."""
        self.open_until = min(self.open_until, now)
        self.proving = False
        self._forget()

    def _prove(self, now: float, failed: bool) -> bool:
        if failed:
            self._open(now)
            return True
        self.proved += 1
        if self.proved < self.settings.probes:
            return False
        self.proving = False
        return True

    def _is_outlier(self) -> bool:
        settings, total = self.settings, len(self.window)
        rate = total >= settings.requests_min and self.failures > settings.failure_rate * total
        return rate or self.consecutive >= settings.consecutive_gateway_failures

    def _open(self, now: float) -> None:
        settings = self.settings
        quiet_s = max(0.0, now - self.open_until)
        self.ejections = max(0, self.ejections - int(quiet_s / settings.forgive_s)) + 1
        self.open_until = now + min(settings.ejection_s_max, settings.ejection_s_base * self.ejections)
        self.proving, self.proved, self.next_probe_at = True, 0, 0.0
        self._forget()

    def _forget(self) -> None:
        self.consecutive = self.failures = 0
        self.window.clear()

    def _slide(self, now: float) -> None:
        while self.window and self.window[0][0] <= now - self.settings.window_s:
            self.failures -= self.window.popleft()[1]
