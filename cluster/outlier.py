"""Which region a call is sent to: active and deep checks, breakers, shedding, slow start, panic (multiregion 3.3).

* Active: a region is down after `fall` failed checks in a row and up after `rise` good ones. A region that has
  never answered comes up with its first good check, so that a cluster starts quickly.
* Deep: after two failed deep checks in a row (`canary`) a region that looks ready counts as grey, until one is good.
* Passive: a breaker for each class of calls (`breaker`). A region that comes up again after it was down has its
  breakers closed and is grey no more: what failed is gone. One that is up and fails keeps them open, however good its
  checks look.
* Shedding: a region that answers much slower than it used to gets a share of its calls only (`shedding`). Those are
  too few for a failure rate, so any 5xx counts as a gateway failure then: five in a row open its breaker.
* Slow start: a region that comes back, or whose breaker closes, gets five calls a second and a tenth of what is above
  that; the tenth becomes all in 10 s.
* Panic: when more than half of the regions are down or ejected, health says more about the checks than about the
  regions. All regions that still answer are used, in random order, so that the last one is not overrun; regions
  that do not even answer stay last.

Times are monotonic seconds. This module is pure: `now` and the generator are arguments.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Literal

from cluster.breaker import Breaker

Check = Literal["good", "bad", "silent"]
"""What an active check saw: ready, an answer that is not, or no answer."""
CallClass = Literal["sts", "v1"]
"""The Query API, or the JSON paths beside it: either may break alone."""
Skipped = list[tuple[str, str]]
"""Regions that were left out, each with the reason."""


@dataclass(frozen=True, slots=True)
class OutlierSettings:
    """HAProxy's and Envoy's knobs, by their names. Higher numbers act later."""

    fall: int = 3
    rise: int = 2
    deep_fall: int = 2
    panic_share: float = 0.5
    slow_start_s: float = 10.0
    slow_start_share: float = 0.1
    slow_start_per_s: float = 5.0


@dataclass(slots=True)
class RegionHealth:
    """What is known of one region. A fresh one counts as up, because nothing is known against it."""

    settings: OutlierSettings = field(default_factory=OutlierSettings)
    up: bool = True
    silent: bool = False
    seen: bool = False
    ever_good: bool = False
    streak: int = 0
    grey: bool = False
    deep_streak: int = 0
    draining: bool = False
    share: float = 1.0
    """The share of its calls that shedding leaves it."""
    full_at: float = 0.0
    """When its slow start ends."""
    free_at: float = 0.0
    """When the next call passes whatever the slow start says."""
    breakers: dict[CallClass, Breaker] = field(default_factory=lambda: {"sts": Breaker(), "v1": Breaker()})
    steady: bool = True
    """Nothing is known against it, a slow start apart; kept so that the usual call asks only this."""

    def check(self, result: Check, now: float) -> None:
        """Takes the result of one active check."""
        good = result == "good"
        first = not self.seen or (good and not self.ever_good)
        back = self.ever_good
        self.seen, self.silent = True, result == "silent"
        self.ever_good = self.ever_good or good
        self.streak = 0 if good == self.up else self.streak + 1
        if good != self.up and (first or self.streak >= (self.settings.rise if good else self.settings.fall)):
            self.up, self.streak = good, 0
            if good:
                self._return(now, slowly=back)
            self._settle()

    def deep_check(self, good: bool, now: float) -> None:
        """Takes the result of one deep check."""
        self.deep_streak = 0 if good else self.deep_streak + 1
        if good and self.grey:
            self._start_slowly(now)
        self.grey = not good if good else self.grey or self.deep_streak >= self.settings.deep_fall
        self._settle()

    def request(
        self, now: float, call: CallClass = "sts", *, failed: bool = False, gateway: bool = False, silent: bool = False
    ) -> None:
        """Takes the outcome of one request: `failed` for any 5xx, `gateway` for no answer or 502, 503, 504.

        `silent` says that not even a connection was made, which is so for every class of calls.
        """
        self.silent = silent
        gateway = gateway or (failed and self.share < 1.0)
        for one in self.breakers if silent else (call,):
            breaker = self.breakers[one]
            if breaker.request(now, failed=failed, gateway=gateway):
                if not breaker.proving:
                    self._start_slowly(now)
                self._settle()

    def shed(self, share: float) -> None:
        """Sets the share of its calls that it gets."""
        self.share = share
        self._settle()

    def drain(self, draining: bool, now: float) -> None:
        """Begins or ends to keep new calls away."""
        if self.draining and not draining:
            self._start_slowly(now)
        self.draining = draining
        self._settle()

    def forget(self) -> None:
        """Nothing is known any more but that the region was seen, and whether the operator drains it."""
        self.up, self.silent, self.streak, self.grey, self.deep_streak = True, False, 0, False, 0
        self.share, self.full_at, self.free_at = 1.0, 0.0, 0.0
        self.breakers = {call: Breaker() for call in self.breakers}
        self._settle()

    def ejected(self, now: float) -> bool:
        """Whether a breaker is open at `now`."""
        return any(breaker.is_open(now) for breaker in self.breakers.values())

    def available(self, now: float) -> bool:
        """Whether the region is up and not ejected."""
        return self.up and not self.grey and not self.ejected(now)

    def objection(self, call: CallClass, now: float) -> str:
        """Why nobody is sent there, in a word; empty when calls of the class may be."""
        if not self.up:
            return "down"
        if self.draining:
            return "draining"
        if self.grey:
            return "grey"
        return "ejected" if self.breakers[call].is_open(now) else ""

    def reservation(self, call: CallClass, now: float, rng: Random) -> str:
        """Why this call had better go elsewhere, in a word; empty when it need not. Takes the probe of a half-open
        breaker."""
        breaker = self.breakers[call]
        if breaker.proving:  # its probes pass, or nobody would ever learn that the region is well
            return "" if breaker.take_probe(now) else "half-open"
        if self.share < 1.0 and rng.random() >= self.share:
            return "shed"
        return "slow-start" if now < self.full_at and not self._starts_with(now, rng) else ""

    def _starts_with(self, now: float, rng: Random) -> bool:
        """Whether slow start lets a call pass: a few every second, of the others a share that grows."""
        settings = self.settings
        if now >= self.free_at:
            self.free_at = now + 1 / settings.slow_start_per_s
            return True
        grown = 1 - (self.full_at - now) / settings.slow_start_s
        return rng.random() < max(settings.slow_start_share, grown)

    def _return(self, now: float, *, slowly: bool) -> None:
        for breaker in self.breakers.values():
            breaker.reset(now)
        self.grey, self.deep_streak = False, 0
        if slowly:
            self._start_slowly(now)

    def _start_slowly(self, now: float) -> None:
        self.full_at = now + self.settings.slow_start_s

    def _settle(self) -> None:
        proving = any(breaker.proving for breaker in self.breakers.values())
        self.steady = self.up and self.share >= 1.0 and not (self.draining or self.grey or proving)


def choose(
    order: Sequence[str],
    regions: Mapping[str, RegionHealth],
    call: CallClass,
    now: float,
    rng: Random,
    tried: Collection[str] = (),
) -> tuple[str | None, Skipped]:
    """The region of `order` to try, and those before it that were left out; None where all were `tried`.

    A region without alternative is always tried. In panic the word for the chosen one is `panic`.
    """
    first = order[0]
    if not tried and (len(order) == 1 or (regions[first].steady and now >= regions[first].full_at)):
        return first, []
    left = [region for region in order if region not in tried]
    if not left:
        return None, []
    objections = {region: regions[region].objection(call, now) for region in order}
    if _is_panic(objections, regions[first].settings.panic_share):
        return _in_panic(left, objections, regions, rng)
    return _best(left, objections, regions, call, now, rng)


def _is_panic(objections: Mapping[str, str], share: float) -> bool:
    ill = [reason for reason in objections.values() if reason not in ("", "draining")]
    return len(ill) > share * sum(reason != "draining" for reason in objections.values())


def _in_panic(
    left: Sequence[str], objections: Mapping[str, str], regions: Mapping[str, RegionHealth], rng: Random
) -> tuple[str, Skipped]:
    answering = [region for region in left if not regions[region].silent and objections[region] != "draining"]
    region = rng.choice(answering) if answering else left[0]
    return region, [(region, "panic")]


def _best(
    left: Sequence[str],
    objections: Mapping[str, str],
    regions: Mapping[str, RegionHealth],
    call: CallClass,
    now: float,
    rng: Random,
) -> tuple[str | None, Skipped]:
    skipped: Skipped = []
    for region in left:
        reason = objections[region] or regions[region].reservation(call, now, rng)
        if not reason:
            return region, skipped
        skipped.append((region, reason))
    # Only reservations are left: the nearest that nobody objects to, whatever its share, or else one that drains.
    for bearable in ("", "draining"):
        for region in left:
            if objections[region] == bearable:
                return region, [one for one in skipped if one[0] != region]
    return None, skipped
