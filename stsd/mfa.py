"""MFA codes: one-time passwords by time (RFC 6238: HMAC-SHA-1, 30 s, 6 digits), and which were used (spec 3.2.9).

1. A code is good for its own step and DRIFT_STEPS before and after it, by service time.
2. A step of a device is used once. From the moment a code is accepted its step is *reserved*: a second request with it
   is refused while the first is being stored. What could not be stored is released, and then nothing was issued.
3. A device has at most MAX_VERIFICATIONS in a window of WINDOW_S of UTC, right or wrong; the window's failures are
   stored too, so that a restart gives no more. Each region counts its own.

`now` is service time in Unix seconds. Nothing here holds a code, and a seed only while it is verified.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from hmac import compare_digest
from typing import Literal, NamedTuple

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.hotp import HOTP

DIGITS = 6
STEP_S = 30
DRIFT_STEPS = 2
WINDOW_S = 180
MAX_VERIFICATIONS = 9


class UsedStep(NamedTuple):
    """One step of a device, used `at` an instant (Unix seconds); `device` is its serial number."""

    device: str
    step: int
    at: int

    @property
    def over_at(self) -> int:
        """When its code is refused anyway, in every window in which it counts (Unix seconds)."""
        return (self.step + 1 + DRIFT_STEPS) * STEP_S + WINDOW_S


class Failed(NamedTuple):
    """A code was refused: how many of a device were in a window, this one included. Windows are counted from 1970."""

    device: str
    window: int
    failures: int
    reason: Literal["mfa_wrong_code", "mfa_code_used"] = "mfa_wrong_code"


Verdict = UsedStep | Failed
"""Of one code. It is to be stored before anybody hears of it."""


class OverBudget(Exception):
    """The device was verified as often as the window allows; this code was not looked at."""


@dataclass(slots=True)
class _Device:
    """`used` has every step with the instant of its use here, or None where another region said so."""

    used: dict[int, int | None] = field(default_factory=dict)
    reserved: dict[int, int] = field(default_factory=dict)
    window: int = 0
    failures: int = 0

    def verifications(self, window: int) -> int:
        here = [at for at in (*self.used.values(), *self.reserved.values()) if at is not None]
        return sum(at // WINDOW_S == window for at in here) + (self.failures if self.window == window else 0)

    def is_free(self, step: int) -> bool:
        return step not in self.used and step not in self.reserved

    def fail(self, window: int) -> int:
        self.failures = self.failures + 1 if self.window == window else 1
        self.window = window
        return self.failures

    def forget(self, now: float) -> None:
        over = [step for step in (*self.used, *self.reserved) if UsedStep("", step, 0).over_at <= now]
        for step in over:
            self.used.pop(step, None)
            self.reserved.pop(step, None)


class UsedCodes:
    """The steps that this node knows to be used, and the failures that it has seen."""

    def __init__(self) -> None:
        self._devices: dict[str, _Device] = {}

    def verify(self, device: str, seed: bytes, code: str, now: float) -> Verdict:
        """Judge a code and reserve its step. Raises OverBudget."""
        window, known = int(now) // WINDOW_S, self._devices.setdefault(device, _Device())
        known.forget(now)
        if known.verifications(window) >= MAX_VERIFICATIONS:
            raise OverBudget
        # Every step is compared, so that the time taken does not tell which one a code is near to.
        good = [step for step in steps(now) if compare_digest(code_of(seed, step), code)]
        for step in filter(known.is_free, good):
            known.reserved[step] = int(now)
            return UsedStep(device, step, int(now))
        return Failed(device, window, known.fail(window), "mfa_code_used" if good else "mfa_wrong_code")

    def add(self, used: UsedStep, now: float, *, here: bool) -> None:
        """A step was used, `here` in this region or in another one; again and in any order is the same."""
        if used.over_at <= now:
            return
        known = self._devices.setdefault(used.device, _Device())
        known.forget(now)
        known.reserved.pop(used.step, None)
        if here or used.step not in known.used:
            known.used[used.step] = used.at if here else None

    def release(self, used: UsedStep) -> None:
        """A reserved step could not be stored: its code may be given again."""
        known = self._devices.get(used.device)
        if known is not None:
            known.reserved.pop(used.step, None)

    def restore(self, failed: Failed) -> None:
        """What was stored of a device's failures before a restart."""
        known = self._devices.setdefault(failed.device, _Device())
        known.window, known.failures = failed.window, failed.failures

    def next_code(self, device: str, seed: bytes, now: float) -> str | None:
        """A code that is good now and not used, of the present step if possible; None when all are used."""
        known, present = self._devices.get(device, _Device()), int(now) // STEP_S
        free = sorted(filter(known.is_free, steps(now)), key=lambda step: (step < present, abs(step - present)))
        return code_of(seed, free[0]) if free else None


def steps(now: float) -> Iterator[int]:
    """The steps whose codes are good now."""
    present = int(now) // STEP_S
    yield from range(max(0, present - DRIFT_STEPS), present + DRIFT_STEPS + 1)


def code_of(seed: bytes, step: int) -> str:
    """The code of one step (RFC 4226 section 5.3)."""
    return HOTP(seed, DIGITS, SHA1(), enforce_key_length=False).generate(step).decode("ascii")  # noqa: S303
