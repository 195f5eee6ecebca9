"""Which requests the router may send a second time, and how many (multiregion 3.3).

| call | after no connection | after bytes were sent | to two regions at once |
|---|---|---|---|
| GetCallerIdentity, GetAccessKeyInfo, DecodeAuthorizationMessage | yes | yes | yes |
| `/v1/verify`, GET of `/v1/` and of `/.well-known/`, also an account's | yes | yes | yes |
| revocations | yes | yes | yes |
| AssumeRole, also WithSAML and WithWebIdentity, GetSessionToken, GetFederationToken | yes | yes | no |
| anything with an MFA code, anything else | yes | no | no |

A failure to connect is *definite*: the region did nothing, so any call may go elsewhere. Once bytes were sent a
failure is *indefinite*: something may have happened. A second credential does no harm, but a hedge would make one for
nothing; an MFA code counts once. Another region is possible at the global endpoint only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from random import Random
from urllib.parse import parse_qsl

HEDGEABLE_ACTIONS = frozenset({"DecodeAuthorizationMessage", "GetAccessKeyInfo", "GetCallerIdentity"})
"""STS actions that may run twice at once: they only read. What issues a credential would issue one too many."""

REPEATABLE_ACTIONS = HEDGEABLE_ACTIONS | {
    "AssumeRole",
    "AssumeRoleWithSAML",
    "AssumeRoleWithWebIdentity",
    "GetFederationToken",
    "GetSessionToken",
}
"""STS actions of the global endpoint that do no harm when they happen twice: a second credential is one more
credential, and nothing is kept of an assertion or an ID token. A trade-in token counts once."""

REPEATABLE_POSTS = frozenset({"/v1/verify", "/v1/revocations"})
"""Verifying only reads; a revocation is an idempotent join and any region may deny."""

REPEATABLE_GETS = re.compile(r"/v1/|(/[0-9a-f-]{36})?/\.well-known/")
"""How their paths begin; the issuer of an account has its id in front."""
ONE_TIME_PARAMETERS = frozenset({"TokenCode"})
FORM_FIELDS_MAX = 10_000
JITTER_S = 0.02
"""Calls that one region broke off all at once arrive at the next one spread over so long."""


def repeatable(method: str, path: str, query: str, body: bytes) -> bool:
    """Whether the request may be sent again after its bytes may have arrived; what is not understood may not."""
    return _allowed(REPEATABLE_ACTIONS, method, path, query, body)


def hedgeable(method: str, path: str, query: str, body: bytes) -> bool:
    """Whether two regions may be asked at once; what is not understood may not."""
    return _allowed(HEDGEABLE_ACTIONS, method, path, query, body)


def pause_s(rng: Random, *, definite: bool) -> float:
    """Seconds until a retry begins. Where nothing was done, no connection or a refusal, calls come as clients make
    them, and none has to wait."""
    return 0.0 if definite else rng.uniform(0, JITTER_S)


def in_time(left_s: float | None, needs_s: float) -> bool:
    """Whether what takes `needs_s` ends before the client stops to wait; `left_s` is None for one that told nothing."""
    return left_s is None or needs_s < left_s


def _allowed(actions: frozenset[str], method: str, path: str, query: str, body: bytes) -> bool:
    if path == "/":
        return _has_action(actions, query, body)
    if method == "POST":
        return path in REPEATABLE_POSTS
    return method in ("GET", "HEAD") and REPEATABLE_GETS.match(path) is not None


def _has_action(actions: frozenset[str], query: str, body: bytes) -> bool:
    parameters: dict[str, str] = {}
    try:
        for text in (body.decode("utf-8"), query):
            for name, value in parse_qsl(text, keep_blank_values=True, max_num_fields=FORM_FIELDS_MAX):
                parameters.setdefault(name, value)
    except ValueError:
        return False
    return parameters.get("Action") in actions and not ONE_TIME_PARAMETERS & parameters.keys()


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

    def has_room(self, in_flight: int) -> bool:
        """Whether one more retry may begin now."""
        return self.tokens >= self.cost and self.active < max(self.concurrent_min, int(in_flight * self.share))

    def take(self, in_flight: int) -> bool:
        """Whether one more retry may begin now; if so it counts until `done`."""
        if not self.has_room(in_flight):
            return False
        self.tokens -= self.cost
        self.active += 1
        return True

    def done(self) -> None:
        """A retry has ended, well or not."""
        self.active -= 1

    def succeeded(self) -> None:
        """A request was answered, and not by an error of the region."""
        self.tokens = min(self.tokens_max, self.tokens + self.refill)

    def forget(self) -> None:
        """The bucket is full again; retries that run still count."""
        self.tokens = self.tokens_max
