"""What tests may do to a node that was started with --unsafe-test-hooks (contract 8): forget, and move the clock.

`POST /_test/reset {"epoch"?}`: back to the world; a new incarnation, and every revocation is gone. The epoch tells
the nodes of a cluster apart from what they were: messages of an older epoch are ignored, a newer one resets a node.
`POST /_test/clock {"now"} | {"advance"} | {}`: set service time, move it, or go back to real time; it keeps running.
`POST /_test/capacity {"per_s", "queue_ms"?} | {}`: serve so many calls a second (see `capacity`), or as many as come.
`POST /_test/faults {"error_share"?, "error_status"?, "grey_status"?, "times"?, "ms"?, "stall_ms"?} | {}`: do what is
given badly from now on, and what is not given as before (see `faults`), or everything well. `GET` tells what is wrong,
the calls a second to which it is limited (`per_s`), and by how much service time is moved (`clock_offset_s`).
`POST /_test/entry {"kind"}`: record a revocation of a kind of a later version, as that version would.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from random import Random
from time import time_ns
from typing import Any

from stsd.capacity import Capacity
from stsd.errors import AccessDenied, StsError, ValidationError
from stsd.node import is_loopback
from stsd.revocation.codec import MAX_SEQUENCE
from stsd.revocation.revocation_set import RULES, Revocation
from stsd.server.clock import Clock
from stsd.server.faults import MEMBERS, WELL, FaultyAnswers
from stsd.server.gateway import Gateway
from stsd.server.replication import Replicator
from stsd.wire import json_api
from stsd.wire.messages import Request, Response

RESET, CLOCK, CAPACITY, FAULTS = "/_test/reset", "/_test/clock", "/_test/capacity", "/_test/faults"
ENTRY = "/_test/entry"
MAX_INSTANT = 253_402_300_799 - 36 * 3600
"""The longest session (spec 3.0.2) before the end of the year 9999: its expiration has a four-digit year too."""


class TestHooks:
    """The hooks of one node."""

    def __init__(self, clock: Clock, replicator: Replicator, gateway: Gateway) -> None:
        self._clock, self._replicator, self._gateway = clock, replicator, gateway

    async def reset(self, request: Request) -> Response:
        """Forget everything since the world, and the moved clock."""
        return await _guarded(request, "test_reset", self._reset)

    async def clock(self, request: Request) -> Response:
        """Move service time."""
        return await _guarded(request, "test_clock", self._move)

    async def capacity(self, request: Request) -> Response:
        """Lower or free how much the node can do."""
        return await _guarded(request, "test_capacity", self._limit)

    async def faults(self, request: Request) -> Response:
        """Do something badly, or well again."""
        return await _guarded(request, "test_faults", self._break)

    async def tell_faults(self, request: Request) -> Response:
        """What is wrong with the node by order of its hooks."""
        return await _guarded(request, "test_faults", self._told)

    async def entry(self, request: Request) -> Response:
        """Record what this version does not know."""
        return await _guarded(request, "test_entry", self._record)

    async def _record(self, request: Request) -> dict[str, Any]:
        kind = _content(request, ("kind",)).get("kind")
        if not isinstance(kind, str) or not kind or kind in RULES:
            raise ValidationError(f"kind must be a word, and none of {', '.join(RULES)}", reason="entry")
        recorded = await self._replicator.revoke(Revocation(kind, "of a later version", 0, None))
        return {"origin": str(recorded.origin), "sequence": recorded.sequence}

    async def _break(self, request: Request) -> dict[str, Any]:
        faulty = self._gateway.faulty
        changed = (WELL if faulty is None else faulty.faults).changed(_content(request, MEMBERS))
        self._gateway.faulty = None if changed == WELL else FaultyAnswers(changed, Random())  # noqa: S311  chance
        return await self._told(request)

    async def _told(self, _: Request) -> dict[str, Any]:
        faulty, capacity = self._gateway.faulty, self._gateway.capacity
        others = {"per_s": capacity.per_s if capacity else 0, "clock_offset_s": self._clock.offset_s}
        return (WELL if faulty is None else faulty.faults).members() | others

    async def _limit(self, request: Request) -> dict[str, Any]:
        content = _content(request, ("per_s", "queue_ms"))
        for name, value in content.items():
            if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value <= MAX_LIMIT:
                raise ValidationError(f"{name} must be a number above 0, at most {MAX_LIMIT:,}", reason="capacity")
        if content and "per_s" not in content:
            raise ValidationError("Give per_s with queue_ms", reason="capacity")
        queue_s = content["queue_ms"] / 1000 if "queue_ms" in content else None
        self._gateway.capacity = Capacity(content["per_s"], queue_s) if content else None
        return content

    async def _reset(self, request: Request) -> dict[str, Any]:
        epoch = _content(request, ("epoch",)).get("epoch", time_ns() // 1000)
        if not isinstance(epoch, int) or isinstance(epoch, bool) or not 0 < epoch <= MAX_SEQUENCE:
            raise ValidationError("epoch must be a positive integer below 2**53", reason="epoch")
        await self._replicator.reset(epoch)
        return {"epoch": epoch}

    async def _move(self, request: Request) -> dict[str, Any]:
        content = _content(request, ("now", "advance"))
        if len(content) > 1:
            raise ValidationError("Give now or advance, not both", reason="clock")
        offset_s = self._offset_s(content)
        if not 0 <= self._clock.wall() + offset_s <= MAX_INSTANT:
            raise ValidationError("Service time must stay between 1970 and 9999", reason="clock")
        await self._replicator.move_clock(offset_s)
        return {"now": int(self._clock.service())}

    def _offset_s(self, content: dict[str, Any]) -> float:
        if not content:
            return 0.0
        ((name, value),) = content.items()
        if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) <= MAX_INSTANT:
            raise ValidationError(f"{name} must be a number of seconds", reason="clock")
        return value - self._clock.wall() if name == "now" else self._clock.offset_s + value


MAX_LIMIT = 1_000_000


def _content(request: Request, members: tuple[str, ...]) -> dict[str, Any]:
    return json_api.parse(request.body or b"{}", members)


async def _guarded(request: Request, operation: str, hook: Callable[[Request], Awaitable[dict[str, Any]]]) -> Response:
    try:
        if not is_loopback(request.source_ip):
            raise AccessDenied("Test hooks answer on loopback only", reason="not_loopback")
        return json_api.answer(await hook(request), operation)
    except StsError as error:
        return json_api.error(error, request.id, operation)
