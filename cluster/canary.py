"""The deep health check: a region issues a session token and verifies it, once in ten seconds (multiregion 3.3). (I/O)

A region whose `/readyz` is well and whose issuing is broken (*grey*) is found by doing what clients do. The router
signs with the key of the profile `admin`, read from the data directory's `credentials` (mode 0600) for each check and
never kept, logged or passed as an argument; GetSessionToken needs no permission. What the region refuses because of
the caller (4xx, a revoked session), or because it is overloaded and says so, tells nothing about its health.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

from cluster.upstream import Answer, Upstream, UpstreamError
from loadtest.places import Key
from loadtest.signer import Signer, post, session_token_of, verify_body

EVERY_S = 10.0
AGAIN_S = 1.0
"""After a check that failed: two in a row make a region grey."""
TIMEOUT_S = 2.0
BODY = b"Action=GetSessionToken&Version=2011-06-15&DurationSeconds=900"
ILL_REASONS = frozenset({"malformed", "unknown_key", "bad_signature", "not_yet_valid", "expired"})
"""What a region may not say of a token that it has just issued."""

ReadKey = Callable[[], Key]
"""Raises OSError or ValueError where there is no key."""


@dataclass(frozen=True, slots=True)
class Found:
    """Whether the region issues and verifies, None where nobody can tell; and how long each call took that it answered,
    in seconds."""

    good: bool | None
    took_s: tuple[float, ...] = ()


async def check(upstream: Upstream, region: str, read_key: ReadKey) -> Found:
    """One check, at most TIMEOUT_S long."""
    try:
        key = await asyncio.to_thread(read_key)
    except (OSError, ValueError):
        return Found(None)
    took_s: list[float] = []
    try:
        async with asyncio.timeout(TIMEOUT_S):
            signer = Signer(key, region, f"http://{upstream.host}:{upstream.port}")
            good = await _issue_and_verify(upstream, signer, took_s)
    except (UpstreamError, TimeoutError):
        good = False
    return Found(good, tuple(took_s))


async def _issue_and_verify(upstream: Upstream, signer: Signer, took_s: list[float]) -> bool | None:
    issued = await _send(upstream, signer.request(BODY), took_s)
    if issued.status != 200:
        return _judged(issued)
    try:
        token = session_token_of(issued.body)
    except ValueError:
        return False
    fields = {"host": f"{upstream.host}:{upstream.port}", "content-type": "application/json"}
    verified = await _send(upstream, post("/v1/verify", fields, verify_body(token)), took_s)
    return _accepted(verified.body) if verified.status == 200 else _judged(verified)


async def _send(upstream: Upstream, request: bytes, took_s: list[float]) -> Answer:
    began = monotonic()
    answer = await upstream.send(request, b"")
    took_s.append(monotonic() - began)
    return answer


def _judged(answer: Answer) -> bool | None:
    """An answer that is none of the good ones."""
    return None if answer.status < 500 or answer.refuses else False


def _accepted(body: bytes) -> bool | None:
    try:
        said = json.loads(body)
        if said["active"] is True:
            return True
        return False if said["reason"] in ILL_REASONS else None
    except (ValueError, KeyError, TypeError):
        return False
