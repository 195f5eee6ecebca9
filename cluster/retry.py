"""Which requests the router may send a second time, and how many (multiregion 3.3).

A failure to connect is *definite*: the region did nothing, so any call may go elsewhere. Once bytes were sent a
failure is *indefinite*: something may have happened, so only calls of the tables below are repeated. A request with
an MFA code is not: the code counts once.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl

REPEATABLE_ACTIONS = frozenset({"AssumeRole", "GetAccessKeyInfo", "GetCallerIdentity", "GetSessionToken"})
"""STS actions that do no harm when they happen twice: a second credential is one more credential."""

REPEATABLE_POSTS = frozenset({"/v1/verify", "/v1/revocations"})
"""Verifying only reads; a revocation is an idempotent join and any region may deny."""

REPEATABLE_GETS = ("/v1/", "/.well-known/")
ONE_TIME_PARAMETERS = frozenset({"TokenCode"})
FORM_FIELDS_MAX = 10_000


def repeatable(method: str, path: str, query: str, body: bytes) -> bool:
    """Whether the request may be sent again after its bytes may have arrived; what is not understood may not."""
    if path == "/":
        return _repeatable_action(query, body)
    if method == "POST":
        return path in REPEATABLE_POSTS
    return method in ("GET", "HEAD") and path.startswith(REPEATABLE_GETS)


def _repeatable_action(query: str, body: bytes) -> bool:
    parameters: dict[str, str] = {}
    try:
        for text in (body.decode("utf-8"), query):
            for name, value in parse_qsl(text, keep_blank_values=True, max_num_fields=FORM_FIELDS_MAX):
                parameters.setdefault(name, value)
    except ValueError:
        return False
    return parameters.get("Action") in REPEATABLE_ACTIONS and not ONE_TIME_PARAMETERS & parameters.keys()


@dataclass(slots=True)
class RetryBudget:
    """At most 20 % of what is in flight, but three; and a bucket of 500 tokens, five a retry, one back a success.

    The first bound keeps a moment's retries from doubling the load, the second a long outage's.
    """

    share: float = 0.2
    concurrent_min: int = 3
    tokens_max: float = 500.0
    cost: float = 5.0
    refill: float = 1.0
    active: int = 0
    tokens: float = 500.0

    def take(self, in_flight: int) -> bool:
        """Whether one more retry may begin now; if so it counts until `done`."""
        if self.tokens < self.cost or self.active >= max(self.concurrent_min, int(in_flight * self.share)):
            return False
        self.tokens -= self.cost
        self.active += 1
        return True

    def done(self) -> None:
        """A retry has ended, well or not."""
        self.active -= 1

    def succeeded(self) -> None:
        """A request was answered."""
        self.tokens = min(self.tokens_max, self.tokens + self.refill)
