"""How many requests a second an account may make in a region (spec 5.5): a token bucket for each.

Off unless the operator asks for it (contract 10). The bucket holds what comes in one second, so that a burst of that
many passes at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from stsd.errors import Throttling

COUNTED = frozenset(
    (
        "AssumeRole",
        "DecodeAuthorizationMessage",
        "GetAccessKeyInfo",
        "GetCallerIdentity",
        "GetFederationToken",
        "GetSessionToken",
    )
)
"""The operations that share an account's quota."""


@dataclass(slots=True)
class Quota:
    """Token buckets by calling account and endpoint; the global endpoint is counted separately (spec 5.3).

    `per_s` is requests a second. Time is that of the caller, in Unix seconds; when it steps back nothing is added, and
    the bucket fills from there on.
    """

    per_s: float
    _buckets: dict[tuple[str, str], tuple[float, float]] = field(default_factory=dict, repr=False)

    def take(self, account: str, endpoint: str, now: float) -> None:
        """Count one request. Raises Throttling when the bucket is empty."""
        left, at = self._buckets.get((account, endpoint), (self.capacity, now))
        left = min(self.capacity, left + max(0.0, now - at) * self.per_s)
        enough = left >= 1
        self._buckets[account, endpoint] = (left - 1 if enough else left, now)
        if not enough:
            raise Throttling("Rate exceeded", reason="quota")

    @property
    def capacity(self) -> float:
        """The largest burst, in requests."""
        return max(1.0, self.per_s)
