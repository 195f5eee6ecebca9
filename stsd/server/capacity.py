"""A node that can do only so many calls a second, for experiments with overload on a machine that is idle. Test hook.

Calls are served one after the other, each takes 1 ÷ `per_s` seconds, and whoever comes later waits in a queue. Two ways
to run such a service are compared:

* without `queue_ms`: everybody is served in the end, also clients that gave up long ago, because a service that knows
  neither its queue nor its clients' deadlines cannot tell;
* with `queue_ms`: who would wait longer, or beyond the deadline that it told (`stsd.wire.deadline`), is refused at
  once with 503 and `Retry-After`. Refusing takes none of the capacity.

Only calls of clients count (the Query API, `/v1/verify`); health checks and replication do not.
"""

from __future__ import annotations

import asyncio
from time import monotonic

from stsd.capacity import Capacity
from stsd.errors import ServiceUnavailable
from stsd.server import refusal
from stsd.wire import deadline
from stsd.wire.messages import Request, Response

OVERLOADED = "More requests than this node can serve"
CALLS = frozenset({"/", "/v1/verify"})
RETRY_AFTER = (("Retry-After", "1"),)


async def admit(capacity: Capacity, request: Request, wall_now: float) -> Response | None:
    """Waits for the call's turn; the refusal when there is none. `wall_now` in Unix seconds."""
    if request.path not in CALLS:
        return None
    done_in_s = capacity.turn(monotonic(), deadline.left_s(request.headers, wall_now))
    if done_in_s is not None:
        await asyncio.sleep(done_in_s)
        return None
    response = refusal.of(request, ServiceUnavailable(OVERLOADED, reason="overloaded"))
    response.headers = RETRY_AFTER
    return response
