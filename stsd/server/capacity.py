"""A node that can do only so many calls a second, for experiments with overload on a machine that is idle. Test hook.

Calls are served one after the other, each takes 1 ÷ `per_s` seconds, and whoever comes later waits in a queue. Two ways
to run such a service are compared:

* without `queue_ms`: everybody is served in the end, also clients that gave up long ago, because a service that knows
  neither its queue nor its clients' deadlines cannot tell;
* with `queue_ms`: who would wait longer, or beyond the deadline that it told (`amz-sdk-request: ttl=`), is refused at
  once with 503 and `Retry-After`. Refusing takes none of the capacity.

Only calls of clients count (the Query API, `/v1/verify`); health checks and replication do not. Pure but for `admit`.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from time import monotonic

from stsd.errors import ServiceUnavailable, StsError
from stsd.wire import deadline, json_api, xml
from stsd.wire.messages import Request, Response

OVERLOADED = "More requests than this node can serve"
CALLS = frozenset({"/", "/v1/verify"})
RETRY_AFTER = (("Retry-After", "1"),)


@dataclass(slots=True)
class Capacity:
    """A queue and its server. `free_at` is when whoever comes next is served, in monotonic seconds."""

    per_s: float
    queue_s: float | None = None
    free_at: float = 0.0

    def turn(self, now: float, left_s: float | None) -> float | None:
        """Takes a place in the queue: seconds until the call is done; None when it is refused. `left_s` is the time
        until the caller's deadline, None for one that told none."""
        service_s = 1 / self.per_s
        wait_s = max(0.0, self.free_at - now)
        too_late = left_s is not None and wait_s + service_s > left_s
        if self.queue_s is not None and (wait_s > self.queue_s or too_late):
            return None
        self.free_at = now + wait_s + service_s
        return wait_s + service_s

    async def admit(self, request: Request, wall_now: float) -> Response | None:
        """Waits for the call's turn; the refusal when there is none. `wall_now` in Unix seconds."""
        if request.path not in CALLS:
            return None
        until = deadline.read(request.headers.get(deadline.HEADER))
        done_in_s = self.turn(monotonic(), None if until is None else until - wall_now)
        if done_in_s is None:
            return _refusal(request)
        await asyncio.sleep(done_in_s)
        return None


def _refusal(request: Request) -> Response:
    error: StsError = ServiceUnavailable(OVERLOADED, reason="overloaded")
    if request.path != "/":
        return json_api.error(error, request.id, "verify")
    as_json = xml.wants_json(request.headers)
    body = (xml.render_error_json if as_json else xml.render_error)(error, request.id)
    content_type = "application/json" if as_json else "text/xml"
    return Response(error.status, body, content_type, RETRY_AFTER, "unknown", error.code, {"reason": error.reason})
