"""How clients behave when a call fails: whether they call again, when, and what they tell the server. Pure.

| behaviour | calls again | waits |
|---|---|---|
| `plain` | never | |
| `naive-retries` | three times | not at all |
| `jitter` | three times | a random time up to 0.1 s, doubling up to 2 s (full jitter) |
| `budget` | twice, as long as retries stay a tenth of its calls | the same, and what a 503 asks for (`Retry-After`) |

The first three give each call the whole time-out. `budget` has one deadline for a call and everything after it, and
sends it as the AWS SDKs do: `amz-sdk-request: ttl=20261126T110634.250Z; attempt=2; max=3` (theirs without fractions).
Called again is what may succeed another time and may happen twice: everything that load consists of, if there was no
answer, or 429 or 5xx. The bucket that keeps retries a tenth is that of Finagle and Linkerd: calls pay in, retries pay.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random

DEADLINE_HEADER = "amz-sdk-request"
TOO_MANY_REQUESTS = 429
BURST = 5.0
"""Retries that a budget has at first, and saves up at most."""
ATTEMPT_S_MIN = 0.001
"""What is left for an attempt whose deadline passed while it was waited for: aiohttp takes 0 or less for no bound."""


@dataclass(frozen=True, slots=True)
class Behaviour:
    """One row of the table. `budget` is the share of calls that may be retries, None for no bound."""

    retries: int = 0
    backoff_s: float = 0.0
    backoff_s_max: float = 0.0
    budget: float | None = None
    deadline: bool = False
    retry_after: bool = False


BEHAVIOURS: Mapping[str, Behaviour] = {
    "plain": Behaviour(),
    "naive-retries": Behaviour(retries=3),
    "jitter": Behaviour(retries=3, backoff_s=0.1, backoff_s_max=2.0),
    "budget": Behaviour(retries=2, backoff_s=0.1, backoff_s_max=2.0, budget=0.1, deadline=True, retry_after=True),
}


@dataclass(frozen=True, slots=True)
class Failure:
    """A call that failed. `status` is None without an answer; `retry_after_s` is what the answer asked for."""

    status: int | None = None
    retry_after_s: float = 0.0

    @property
    def retryable(self) -> bool:
        """Whether it may succeed another time."""
        return self.status is None or self.status == TOO_MANY_REQUESTS or self.status >= 500


@dataclass(slots=True)
class Client:
    """One client and its budget; all its calls share it."""

    behaviour: Behaviour
    rng: Random
    tokens: float = BURST

    def begins(self) -> None:
        """A call begins, which is no retry."""
        if self.behaviour.budget is not None:
            self.tokens = min(BURST, self.tokens + self.behaviour.budget)

    def pause_s(self, attempt: int, failure: Failure, left_s: float) -> float | None:
        """How long to wait before the next attempt; None: give up. `attempt` counts those made, `left_s` is the time
        until the call's deadline."""
        behaviour = self.behaviour
        if attempt > behaviour.retries or not failure.retryable:
            return None
        longest_s = min(behaviour.backoff_s_max, behaviour.backoff_s * 2 ** (attempt - 1))
        pause_s = self.rng.uniform(0, longest_s)
        if behaviour.retry_after:
            pause_s += failure.retry_after_s
        if behaviour.deadline and pause_s >= left_s:
            return None
        return pause_s if self._pays() else None

    def timeout_s(self, timeout_s: float, left_s: float) -> float:
        """How long one attempt may take; `left_s` is the time until the call's deadline."""
        return min(timeout_s, max(left_s, ATTEMPT_S_MIN)) if self.behaviour.deadline else timeout_s

    def headers(self, attempt: int, deadline: float) -> dict[str, str]:
        """What the attempt tells the server; `deadline` in Unix seconds."""
        behaviour = self.behaviour
        if not behaviour.deadline:
            return {}
        ttl = datetime.fromtimestamp(deadline, UTC).strftime("%Y%m%dT%H%M%S.%f")[:-3]
        return {DEADLINE_HEADER: f"ttl={ttl}Z; attempt={attempt}; max={behaviour.retries + 1}"}

    def _pays(self) -> bool:
        if self.behaviour.budget is None:
            return True
        if self.tokens < 1.0:
            return False
        self.tokens -= 1.0
        return True


def retry_after_s(value: str | None) -> float:
    """The seconds of a `Retry-After` field (RFC 9110 10.2.3); a date, which nobody here sends, counts as nothing."""
    try:
        return max(0.0, float(value)) if value else 0.0
    except ValueError:
        return 0.0
