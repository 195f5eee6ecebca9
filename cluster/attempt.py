"""One request on its way through the router, and what came of each region that it was sent to. (I/O)"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from aiohttp.web_request import BaseRequest

from cluster import forwarding, route, waiting
from cluster.delay import Path
from cluster.outlier import CallClass, Skipped
from cluster.router_config import View
from cluster.upstream import Answer, UpstreamError
from stsd.wire import deadline

Result = Answer | UpstreamError


class Full(UpstreamError):
    """The region has all the calls that it may have; nothing was sent to it."""

    definite = True


@dataclass(slots=True)
class Attempt:
    """A request on its way: when it arrived (monotonic seconds), the latency added so far, how late it runs, and what
    came of each region."""

    view: View
    request: BaseRequest
    target: str
    path: str
    query: str
    body: bytes
    binding: str
    call: CallClass
    began: float
    wait_s: float
    """How long the region may wait for others, issuers of ID tokens or other regions, before it answers."""
    added_s: float = 0.0
    late_s: float = 0.0
    steps: Skipped = field(default_factory=list)
    asked: set[str] = field(default_factory=set)
    policy: str = ""
    """The policy that chose the first region."""
    until: float | None = None
    """When the client stops to wait (monotonic seconds), if it told."""

    @classmethod
    def of(cls, view: View, request: BaseRequest, target: str, body: bytes, arrived: float) -> Attempt:
        """A request that has just arrived."""
        path, _, query = target.partition("?")
        binding = request.headers.get("Authorization") or query
        call: CallClass = "sts" if path == "/" else "v1"
        wait_s = waiting.keys_wait_s(path, query, body) or forwarding.asked_wait_s(request.method, path, body)
        attempt = cls(view, request, target, path, query, body, binding, call, arrived, wait_s)
        told = deadline.read(request.headers.get(deadline.HEADER))
        attempt.until = None if told is None else monotonic() + told - time.time()
        return attempt

    def left_s(self, now: float) -> float | None:
        """Seconds until the client stops to wait; None when it did not tell."""
        return None if self.until is None else self.until - now

    @property
    def asks(self) -> tuple[str, str, str, bytes]:
        """What `retry` decides by."""
        return self.request.method, self.path, self.query, self.body

    def copy(self) -> Attempt:
        """The same request on another way, which begins now; its steps and regions are noted together."""
        given: dict[str, Any] = {name: getattr(self, name) for name in self.__slots__}
        return Attempt(**{**given, "began": monotonic(), "added_s": 0.0, "late_s": 0.0})

    def came(self, region: str, result: Result, role: str = "") -> None:
        """Notes what came of a region."""
        if isinstance(result, Answer):
            said = f"status={result.status}"
        elif isinstance(result, Full):
            said = "full"
        else:
            said = "no-connection" if result.definite else "no-answer"
        self.steps.append((region, route.words(said, role)))

    def leave_out(self, skipped: Skipped) -> None:
        """Notes regions that were left out, each once."""
        known = {region for region, _ in self.steps}
        self.steps += [step for step in skipped if step[0] not in known]

    def gave_up(self, region: str, role: str) -> None:
        """Notes a region that was still at work when another one had answered."""
        self.steps.append((region, route.words("abandoned", role)))

    async def travel(self, path: Path) -> None:
        """One way between the client's place and the region."""
        # The first leg counts from the arrival, so that reading the body does not come on top.
        since = self.began if not self.added_s else monotonic() - self.late_s
        started = monotonic()
        self.late_s = await path.hold(since)
        self.added_s += monotonic() - started
