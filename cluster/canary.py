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


async def check(upstream: Upstream, region: str, read_key: ReadKey) -> bool | None:
    """Whether the region issues and verifies; None where nobody can tell."""
    try:
        key = await asyncio.to_thread(read_key)
    except (OSError, ValueError):
        return None
    try:
        async with asyncio.timeout(TIMEOUT_S):
            return await _issue_and_verify(upstream, Signer(key, region, f"http://{upstream.host}:{upstream.port}"))
    except (UpstreamError, TimeoutError):
        return False


async def _issue_and_verify(upstream: Upstream, signer: Signer) -> bool | None:
    issued = await upstream.send(signer.request(BODY), b"")
    if issued.status != 200:
        return _judged(issued)
    try:
        token = session_token_of(issued.body)
    except ValueError:
        return False
    fields = {"host": f"{upstream.host}:{upstream.port}", "content-type": "application/json"}
    verified = await upstream.send(post("/v1/verify", fields, verify_body(token)), b"")
    return _accepted(verified.body) if verified.status == 200 else _judged(verified)


def _judged(answer: Answer) -> bool | None:
    """An answer that is none of the good ones."""
    overloaded = any(name.lower() == b"retry-after" for name, _ in answer.headers)
    return None if answer.status < 500 or overloaded else False


def _accepted(body: bytes) -> bool | None:
    try:
        said = json.loads(body)
        if said["active"] is True:
            return True
        return False if said["reason"] in ILL_REASONS else None
    except (ValueError, KeyError, TypeError):
        return False
