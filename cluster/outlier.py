"""Which regions can be sent to: active checks, passive outlier detection, ejection, panic (multiregion 3.3).

* Active: a region is down after `fall` failed checks in a row and up after `rise` good ones. A region that has
  never answered comes up with its first good check, so that a cluster starts quickly.
* Passive: 5 gateway failures in a row, or more than 50 % failures among at least 20 requests in 2 s, eject a region
  for 5 s times the number of its ejections (at most 60 s); every 10 quiet seconds forgive one ejection. A region that
  comes up again after it was down is no longer ejected: what failed is gone.
* Panic: when more than half of the regions are down or ejected, health says more about the checks than about the
  regions. All regions that still answer are used, in random order, so that the last one is not overrun; regions
  that do not even answer stay last.

Times are monotonic seconds. This module is pure: `now` and the generator are arguments.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Literal

Check = Literal["good", "bad", "silent"]
"""What an active check saw: ready, an answer that is not, or no answer."""


@dataclass(frozen=True, slots=True)
class OutlierSettings:
    """Envoy's and HAProxy's knobs, by their names. Higher numbers eject later and hold longer."""

    fall: int = 3
    rise: int = 2
    consecutive_gateway_failures: int = 5
    failure_rate: float = 0.5
    requests_min: int = 20
    window_s: float = 2.0
    ejection_s_base: float = 5.0
    ejection_s_max: float = 60.0
    forgive_s: float = 10.0
    panic_share: float = 0.5


@dataclass(slots=True)
class RegionHealth:
    """What is known of one region. A fresh one counts as up, because nothing is known against it."""

    settings: OutlierSettings = field(default_factory=OutlierSettings)
    up: bool = True
    silent: bool = False
    seen: bool = False
    ever_good: bool = False
    streak: int = 0
    consecutive: int = 0
    ejections: int = 0
    ejected_until: float = 0.0
    window: deque[tuple[float, bool]] = field(default_factory=deque)
    failures: int = 0

    def check(self, result: Check, now: float) -> None:
        """Takes the result of one active check."""
        good = result == "good"
        first = not self.seen or (good and not self.ever_good)
        self.seen, self.silent = True, result == "silent"
        self.ever_good = self.ever_good or good
        self.streak = 0 if good == self.up else self.streak + 1
        if good != self.up and (first or self.streak >= (self.settings.rise if good else self.settings.fall)):
            self.up, self.streak = good, 0
            if good:
                self._return(now)

    def request(self, now: float, *, failed: bool = False, gateway: bool = False, silent: bool = False) -> None:
        """Takes the outcome of one request: `failed` for any 5xx, `gateway` for no answer or 502, 503, 504.

        `silent` says that not even a connection was made.
        """
        failed = failed or gateway
        self.silent = silent
        self._slide(now)
        self.window.append((now, failed))
        self.failures += failed
        self.consecutive = self.consecutive + 1 if gateway else 0
        if not self.ejected(now) and self._is_outlier():
            self._eject(now)

    def ejected(self, now: float) -> bool:
        """Whether passive detection keeps the region out at `now`."""
        return now < self.ejected_until

    def available(self, now: float) -> bool:
        """Whether the region is up and not ejected."""
        return self.up and not self.ejected(now)

    def _is_outlier(self) -> bool:
        settings, total = self.settings, len(self.window)
        rate = total >= settings.requests_min and self.failures > settings.failure_rate * total
        return rate or self.consecutive >= settings.consecutive_gateway_failures

    def _eject(self, now: float) -> None:
        settings = self.settings
        quiet_s = max(0.0, now - self.ejected_until)
        self.ejections = max(0, self.ejections - int(quiet_s / settings.forgive_s)) + 1
        self.ejected_until = now + min(settings.ejection_s_max, settings.ejection_s_base * self.ejections)
        self._forget()

    def _return(self, now: float) -> None:
        self.ejected_until = min(self.ejected_until, now)
        self._forget()

    def _forget(self) -> None:
        self.consecutive = self.failures = 0
        self.window.clear()

    def _slide(self, now: float) -> None:
        while self.window and self.window[0][0] <= now - self.settings.window_s:
            self.failures -= self.window.popleft()[1]


def candidates(
    order: Sequence[str], regions: Mapping[str, RegionHealth], now: float, rng: Random
) -> tuple[tuple[str, ...], bool]:
    """The regions of `order` to try, best first, and whether this is panic.

    Unavailable regions follow the available ones only in panic; a region without alternative is always tried.
    """
    usable = tuple(region for region in order if regions[region].available(now))
    if len(usable) == len(order):
        return usable, False
    share = regions[order[0]].settings.panic_share
    unavailable = len(order) - len(usable)
    if unavailable <= share * len(order):
        return usable, False
    answering = [region for region in order if not regions[region].silent]
    rng.shuffle(answering)
    return (*answering, *(region for region in order if regions[region].silent)), True
