"""A node that does its work badly, for experiments: wrong answers, late answers, burnt CPU. Test hook.

| member | what clients see |
|---|---|
| `error_share`, `error_status` | that share of answers is a 5xx, and nothing was done |
| `grey_status` | whoever wants a session gets that 5xx; everything else works, health checks too; 0 for a well node |
| `times`, `ms` | an answer comes after `times` as long, and `ms` milliseconds; the node only waits |
| `stall_ms` | before each call the node burns so much CPU, and does nothing else meanwhile |

Only calls of clients suffer. Health checks, metrics, peers and the hooks themselves do not: what is wrong with a node
is what it does not tell by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from dataclasses import asdict, dataclass, replace
from random import Random
from time import monotonic, process_time
from typing import Any

from stsd.errors import InternalFailure, ServiceUnavailable, ValidationError
from stsd.server import refusal
from stsd.wire.messages import Request, Response

ISSUING = (b"Action=AssumeRole", b"Action=GetSessionToken", b"Action=GetFederationToken")
"""How calls that make sessions begin, those with web identity and SAML too."""
UNTOUCHED = frozenset({"/healthz", "/readyz", "/metrics"})
STATUSES = (500, 502, 503, 504)
LIMITS: Mapping[str, tuple[float, float]] = {
    "error_share": (0, 1),
    "times": (1, 1000),
    "ms": (0, 60_000),
    "stall_ms": (0, 10_000),
}
MEMBERS = (*LIMITS, "error_status", "grey_status")
REASON = "test_hook"


@dataclass(frozen=True, slots=True)
class Faults:
    """What is wrong with a node; nothing by default."""

    error_share: float = 0.0
    error_status: int = 503
    grey_status: int = 0
    times: float = 1.0
    ms: float = 0.0
    stall_ms: float = 0.0

    def changed(self, content: Mapping[str, Any]) -> Faults:
        """With the members given; all is well with none. Raises ValidationError."""
        for name, value in content.items():
            if name in LIMITS:
                low, high = LIMITS[name]
                if not isinstance(value, int | float) or isinstance(value, bool) or not low <= value <= high:
                    raise ValidationError(f"{name} must be a number from {low:g} to {high:g}", reason="faults")
            elif type(value) is not int or value not in (*STATUSES, *((0,) if name == "grey_status" else ())):
                allowed = ", ".join(map(str, STATUSES))
                raise ValidationError(f"{name} must be one of {allowed}", reason="faults")
        return replace(self, **content) if content else WELL

    def members(self) -> dict[str, Any]:
        """As the hook tells them."""
        return asdict(self)


WELL = Faults()


class FaultyAnswers:
    """Stands around the answers of a node while something is wrong with it."""

    def __init__(self, faults: Faults, rng: Random) -> None:
        self.faults, self._rng = faults, rng

    async def around(self, request: Request, work: Coroutine[Any, Any, Response]) -> Response:
        """What the client gets instead of, or after, `work`."""
        if request.path in UNTOUCHED or request.path.startswith("/_"):
            return await work
        faults = self.faults
        burn(faults.stall_ms / 1000)
        status = self._status(request)
        if status:
            work.close()
            return made_up(request, status)
        started = monotonic()
        response = await work
        late_s = (monotonic() - started) * (faults.times - 1) + faults.ms / 1000
        if late_s > 0:
            await asyncio.sleep(late_s)
        return response

    def _status(self, request: Request) -> int:
        """Of the error that this request meets; 0 for none."""
        faults = self.faults
        if faults.grey_status and request.path == "/" and issues(request):
            return faults.grey_status
        return faults.error_status if self._rng.random() < faults.error_share else 0


def burn(seconds: float) -> None:
    """Uses so much CPU time of this process, whatever else the machine does."""
    until = process_time() + seconds
    while process_time() < until:
        pass


def issues(request: Request) -> bool:
    """Whether a call of the Query API makes a session."""
    return any(action in request.body or action in request.query.encode() for action in ISSUING)


def made_up(request: Request, status: int) -> Response:
    """The error in the form of its call; the log says that a test hook made it."""
    error = InternalFailure(reason=REASON) if status == 500 else ServiceUnavailable(reason=REASON)
    response = refusal.of(request, error)
    response.status = status
    return response
